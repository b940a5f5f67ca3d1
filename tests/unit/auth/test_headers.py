"""Auth ``headers``: identity headers are accepted from a trusted proxy, and from nobody else."""

from __future__ import annotations

import pytest

from glimpse.auth.base import AuthSettingsError
from glimpse.auth.headers import HeaderAuth
from glimpse.errors import Unauthenticated
from tests.unit.auth.requests import request

CONFIRMED = ("X-Identity-Status", "Confirmed")
ALICE = (CONFIRMED, ("X-User-Id", "alice"), ("X-Project-Id", "mine"), ("X-Roles", "Member, READER,,"))


def test_a_confirmed_identity() -> None:
    auth = HeaderAuth(["127.0.0.0/8"])
    identity = auth.recall(
        request(
            *ALICE,
            ("X-Service-Roles", "Service"),
            ("X-Domain-Id", "default"),
            ("OpenStack-System-Scope", "all"),
            ("User-Agent", "curl"),
        )
    )
    assert identity.user_id == "alice"
    assert identity.project_id == "mine"
    assert identity.roles == {"member", "reader"}
    assert identity.service_roles == {"service"}
    assert identity.domain_id == "default"
    assert identity.system_scope == "all"
    assert not identity.read_only
    assert auth.verify(request(*ALICE)) == auth.recall(request(*ALICE))
    assert auth.challenge is None


def test_a_bare_identity() -> None:
    identity = HeaderAuth(["127.0.0.1"]).recall(request(CONFIRMED, ("X-Domain-Id", "")))
    assert identity.user_id is None
    assert identity.project_id is None
    assert identity.roles == frozenset()
    assert identity.domain_id is None
    assert identity.system_scope is None


@pytest.mark.parametrize(
    ("headers", "project"),
    [
        ([("X-Tenant", "c")], "c"),
        ([("X-Tenant", "c"), ("X-Tenant-Id", "b")], "b"),
        ([("X-Tenant", "c"), ("X-Tenant-Id", "b"), ("X-Project-Id", "a")], "a"),
        ([("X-Tenant-Id", "b"), ("X-Project-Id", "")], "b"),
    ],
)
def test_names_of_the_project(headers: list[tuple[str, str]], project: str) -> None:
    assert HeaderAuth(["127.0.0.1"]).recall(request(CONFIRMED, *headers)).project_id == project


@pytest.mark.parametrize("status", ["Invalid", "confirmed", "Confirmed,Confirmed", "", "Confirmedx"])
def test_identities_that_are_not_confirmed(status: str) -> None:
    auth = HeaderAuth(["127.0.0.1"])
    with pytest.raises(Unauthenticated):
        auth.recall(request(("X-Identity-Status", status), *ALICE[1:]))
    with pytest.raises(Unauthenticated):
        auth.recall(request(*ALICE[1:]))


@pytest.mark.parametrize(
    ("networks", "peer"),
    [
        (["10.0.0.0/8"], "10.1.2.3"),
        (["10.0.0.0/8"], "::ffff:10.1.2.3"),
        (["192.0.2.7"], "192.0.2.7"),
        ([" 2001:db8::/32 "], "2001:db8::1"),
        (["fe80::/10"], "fe80::1%eth0"),
        (["::ffff:10.0.0.0/104"], "::ffff:10.1.2.3"),
        (["10.0.0.0/8", "::1/128"], "::1"),
    ],
)
def test_trusted_peers(networks: list[str], peer: str) -> None:
    assert HeaderAuth(networks).recall(request(*ALICE, peer=peer)).user_id == "alice"


@pytest.mark.parametrize(
    ("networks", "peer"),
    [
        (["10.0.0.0/8"], "11.0.0.1"),
        (["10.0.0.0/8"], "::ffff:11.0.0.1"),
        (["10.0.0.0/8"], "::10.1.2.3"),
        (["0.0.0.0/0"], "2001:db8::1"),
        (["::/0"], "10.0.0.1"),
        (["10.0.0.0/8"], "10.1.2.3, 10.1.2.4"),
        (["10.0.0.0/8"], "unix:"),
        (["10.0.0.0/8"], ""),
        (["10.0.0.0/8"], None),
        ([], "127.0.0.1"),
    ],
)
def test_other_peers(networks: list[str], peer: str | None) -> None:
    with pytest.raises(Unauthenticated):
        HeaderAuth(networks).recall(request(*ALICE, peer=peer))


@pytest.mark.parametrize("network", ["10.0.0.1/8", "localhost", "", "10.0.0.0/33"])
def test_networks_that_are_none(network: str) -> None:
    with pytest.raises(AuthSettingsError, match="trusted_proxies"):
        HeaderAuth([network])


@pytest.mark.parametrize("name", ["X-Identity-Status", "X-User-Id", "x-project-id", "X-ROLES"])
def test_a_header_of_the_client_besides_the_one_of_the_proxy(name: str) -> None:
    headers = [*ALICE, (name, "admin")]
    with pytest.raises(Unauthenticated, match="more than once"):
        HeaderAuth(["127.0.0.1"]).recall(request(*headers))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-User-Id", "a\x00b"),
        ("X-Project-Id", "a\x1b[2J"),
        ("X-Project-Id", "p" * 256),
        ("X-User-Id", "\xff\xfe"),
        ("X-Project-Id", "\U0001f600".encode().decode("latin-1")),
        ("X-Roles", "r," * 10000),
        ("X-Roles", "member\x7f"),
        ("OpenStack-System-Scope", "all\r\nX-Roles: admin"),
    ],
)
def test_values_that_nobody_sends_in_earnest(name: str, value: str) -> None:
    headers = [header for header in ALICE if header[0] != name]
    with pytest.raises(Unauthenticated, match=name.lower()):
        HeaderAuth(["127.0.0.1"]).recall(request(*headers, (name, value)))


def test_names_beyond_ascii() -> None:
    utf8 = "Mitglied,прочитать,\U0001f600".encode().decode("latin-1")
    identity = HeaderAuth(["127.0.0.1"]).recall(request(CONFIRMED, ("X-Roles", utf8)))
    assert identity.roles == {"mitglied", "прочитать", "\U0001f600"}
