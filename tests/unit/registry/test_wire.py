"""Versions and roles of the registry protocol."""

from __future__ import annotations

import pytest

from glimpse.registry.wire import CLIENT_KEEPS_IDLE, SERVER_KEEPS_IDLE, Role, Version, parse_version, version_refusal


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        ((1, 0), (1, 0), True),
        ((1, 0), (1, 1), True),
        ((1, 3), (1, 2), True),
        ((1, 0), (1, 2), False),
        ((1, 5), (1, 3), False),
        ((1, 0), (2, 0), False),
        ((2, 1), (1, 1), False),
    ],
)
def test_which_versions_work_together(one: tuple[int, int], other: tuple[int, int], together: bool) -> None:
    assert Version(*one).understands(Version(*other)) is together
    assert Version(*other).understands(Version(*one)) is together


@pytest.mark.parametrize("text", [None, "", "1", "1.", ".1", "1.0.0", "1.0 ", "-1.0", "a.b", "1.99999", "²."])
def test_what_is_no_version(text: str | None) -> None:
    assert parse_version(text) is None


def test_a_version_is_written_as_it_is_read() -> None:
    assert parse_version(str(Version(12, 34))) == (12, 34)


def test_the_refusal_names_both_versions() -> None:
    sentence = version_refusal(Version(1, 0), Version(3, 7))
    assert "1.0" in sentence
    assert "3.7" in sentence
    assert "(none)" in version_refusal(None, Version(3, 7))


def test_an_admin_may_call_everything() -> None:
    assert Role.ADMIN.may_act_as(Role.API)
    assert Role.ADMIN.may_act_as(Role.ADMIN)
    assert Role.API.may_act_as(Role.API)
    assert not Role.API.may_act_as(Role.ADMIN)


def test_clients_end_idle_connections_before_servers_do() -> None:
    assert CLIENT_KEEPS_IDLE < SERVER_KEEPS_IDLE
