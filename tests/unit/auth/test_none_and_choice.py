"""Auth ``none``, anonymous access, and the choice between kinds."""

from __future__ import annotations

from pathlib import Path

import pytest

from glimpse.auth.all import build
from glimpse.auth.base import AuthSettingsError
from glimpse.auth.basic import BasicAuth
from glimpse.auth.headers import HeaderAuth
from glimpse.auth.htpasswd import set_password
from glimpse.auth.none import NoAuth
from glimpse.context import Context
from glimpse.errors import Unauthenticated
from glimpse.policy.engine import OsloPolicy
from glimpse.settings.errors import SettingsError
from glimpse.settings.model import Auth, PolicySettings
from tests.unit.auth.requests import basic, request

CONFIRMED = (("X-Identity-Status", "Confirmed"), ("X-User-Id", "eve"), ("X-Roles", "nobody"))


def test_none_is_one_local_administrator() -> None:
    auth = NoAuth()
    identity = auth.recall(request(*CONFIRMED))
    assert identity == auth.verify(basic("eve", "pw")) == auth.recall(request(peer=None))
    assert (identity.user_id, identity.project_id) == ("local", "local")
    assert OsloPolicy(PolicySettings()).is_admin(
        Context(request_id="", roles=identity.roles, project_id=identity.project_id)
    )
    assert identity.roles == {"admin", "member", "reader"}
    assert not identity.read_only
    assert auth.challenge is None


def test_each_kind(tmp_path: Path) -> None:
    passwords = tmp_path / "htpasswd"
    set_password(passwords, "alice", "secret", rounds=4)
    assert isinstance(build(Auth()), NoAuth)
    assert isinstance(build(Auth(kind="headers")), HeaderAuth)
    assert isinstance(build(Auth(kind="basic", htpasswd_file=passwords)), BasicAuth)


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        (Auth(kind="basic"), AuthSettingsError),
        (Auth(kind="magic"), AuthSettingsError),
        (Auth(kind="headers", trusted_proxies=("10.0.0.1/8",)), AuthSettingsError),
    ],
)
def test_settings_that_do_not_work(settings: Auth, error: type[SettingsError]) -> None:
    with pytest.raises(error) as raised:
        build(settings)
    assert isinstance(raised.value, SettingsError)
    assert "\n" not in str(raised.value)


def test_anonymous_callers_read(tmp_path: Path) -> None:
    passwords = tmp_path / "htpasswd"
    set_password(passwords, "alice", "secret", rounds=4)
    auth = build(Auth(kind="basic", htpasswd_file=passwords, allow_anonymous_access=True))
    anonymous = auth.recall(request())
    assert anonymous is not None
    assert anonymous.read_only
    assert (anonymous.user_id, anonymous.project_id, anonymous.roles) == (None, None, frozenset())
    assert auth.verify(request()) == anonymous
    assert auth.challenge == 'Basic realm="glimpse", charset="UTF-8"'
    assert auth.recall(basic("alice", "secret")) is None
    assert auth.verify(basic("alice", "secret")).user_id == "alice"
    with pytest.raises(Unauthenticated):
        auth.verify(basic("alice", "wrong"))


def test_identity_headers_mean_nothing_to_other_kinds(tmp_path: Path) -> None:
    passwords = tmp_path / "htpasswd"
    set_password(passwords, "alice", "secret", rounds=4)
    auth = build(Auth(kind="basic", htpasswd_file=passwords))
    with pytest.raises(Unauthenticated):
        auth.recall(request(*CONFIRMED))
    anonymous = build(Auth(kind="basic", htpasswd_file=passwords, allow_anonymous_access=True)).recall(
        request(*CONFIRMED)
    )
    assert anonymous is not None
    assert anonymous.user_id is None
