"""Units of the limits, and an unavailable Keystone. Enforcement: tests/interop."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import oslo_limit.limit
import pytest

from glimpse.api.errors import status_of
from glimpse.errors import Unavailable
from glimpse.quota.base import ProjectUsage, mebibytes
from glimpse.quota.keystone_limits import KeystoneLimits, LimitsUnusable
from glimpse.settings.errors import SettingsError
from tests.unit.auth.keystone_server import Keystone, keystone_server, sections

MIB = 1 << 20


def limits(url: str, **options: str) -> KeystoneLimits:
    own = {"endpoint_service_type": "image", **sections(url)["keystone_authtoken"], **options}
    return KeystoneLimits({"oslo_limit": own}, lambda _project_id: ProjectUsage())


@pytest.fixture(autouse=True)
def own_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """oslo.limit keeps one connection in a process; tests have several Keystones."""
    monkeypatch.setattr(oslo_limit.limit, "_SDK_CONNECTION", None)


@pytest.fixture
def keystone() -> Iterator[Keystone]:
    with keystone_server() as server:
        yield server


@pytest.mark.parametrize(
    ("size", "whole"), [(None, 0), (0, 0), (MIB - 1, 0), (MIB, 1), (2 * MIB - 1, 1), (1 << 40, 1 << 20)]
)
def test_mebibytes_are_rounded_down(size: int | None, whole: int) -> None:
    """images-api 6.3."""
    assert mebibytes(size) == whole


def test_usage_in_units_of_the_limits() -> None:
    usage = ProjectUsage(size_total=5 * MIB + 7, stage_total=MIB - 1, count_total=3, count_uploading=1)
    assert usage.by_resource() == {
        "image_size_total": 5,
        "image_stage_total": 0,
        "image_count_total": 3,
        "image_count_uploading": 1,
    }


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"endpoint_service_type": ""}, "[oslo_limit] endpoint_id"),
        ({"auth_type": ""}, "[oslo_limit] auth_type"),
        ({"endpoint_interface": "secret"}, "[oslo_limit] endpoint_interface"),
        ({"timeout": "soon"}, "[oslo_limit] timeout"),
    ],
)
def test_wrong_options_are_found_at_start(options: dict[str, str], told: str) -> None:
    with pytest.raises(SettingsError) as raised:
        limits("http://127.0.0.1:9/v3", **options)
    assert told in str(raised.value)


def asked_in_both_ways(asked: KeystoneLimits, error: type[Exception]) -> list[str]:
    texts: list[str] = []
    questions: tuple[Any, ...] = (lambda: asked.enforce("p1", {"image_count_total": 1}), lambda: asked.usage("p1"))
    for question in questions:
        with pytest.raises(error) as raised:
            question()
        texts.append(str(raised.value))
    return texts


def test_nobody_listens(caplog: pytest.LogCaptureFixture) -> None:
    with keystone_server() as gone:
        url = gone.url
    asked_in_both_ways(limits(url), Unavailable)
    assert "Keystone does not answer" in caplog.text


@pytest.mark.parametrize("trouble", ["500", "503"])
def test_broken(keystone: Keystone, trouble: str) -> None:
    """The stand-in knows nothing of limits, so there is no trouble to make but in the login."""
    keystone.trouble = f"login {trouble}"
    asked_in_both_ways(limits(keystone.url), Unavailable)


def test_a_wrong_password(keystone: Keystone, caplog: pytest.LogCaptureFixture) -> None:
    keystone.trouble = "login"
    texts = asked_in_both_ways(limits(keystone.url), LimitsUnusable)
    assert status_of(LimitsUnusable("")) == 500
    assert "[oslo_limit]" in caplog.text
    assert not any("password" in text for text in texts)
    assert '"word"' not in caplog.text
