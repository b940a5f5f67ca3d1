"""Auth ``basic``: passwords are derived once, remembered as digests, and forgotten when the files change."""

from __future__ import annotations

import base64
import gc
import logging
import threading
from collections.abc import Callable
from pathlib import Path

import bcrypt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glimpse.auth.base import AuthSettingsError
from glimpse.auth.basic import BasicAuth
from glimpse.auth.htpasswd import set_password
from glimpse.errors import Unauthenticated
from tests.unit.auth.requests import basic, request

MakeAuth = Callable[..., BasicAuth]


@pytest.fixture
def passwords(tmp_path: Path) -> Path:
    path = tmp_path / "htpasswd"
    set_password(path, "alice", "secret", rounds=4)
    set_password(path, "bob", "päßwörd: with colon", rounds=4)
    return path


@pytest.fixture
def derivations(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The hashes that bcrypt was run against; the real function runs."""
    seen: list[bytes] = []
    real = bcrypt.checkpw

    def check(password: bytes, hashed: bytes) -> bool:
        seen.append(hashed)
        return real(password, hashed)

    monkeypatch.setattr(bcrypt, "checkpw", check)
    return seen


def test_right_passwords(passwords: Path) -> None:
    auth = BasicAuth(passwords)
    assert auth.recall(basic("alice", "secret")) is None
    identity = auth.verify(basic("alice", "secret"))
    assert (identity.user_id, identity.project_id, identity.roles) == ("alice", "alice", {"member", "reader"})
    assert auth.recall(basic("alice", "secret")) == identity
    assert auth.verify(basic("bob", "päßwörd: with colon")).user_id == "bob"


def test_projects_and_roles(passwords: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    users = tmp_path / "users.ini"
    users.write_text("[alice]\nproject = 8c2f\nroles = admin\n[zoe]\n")
    identity = BasicAuth(passwords, users).verify(basic("alice", "secret"))
    assert (identity.project_id, identity.roles) == ("8c2f", {"admin"})
    assert "zoe" in caplog.text


@pytest.mark.parametrize(
    ("name", "password"), [("alice", "wrong"), ("bob", "secret"), ("Alice", "secret"), ("nobody", "secret")]
)
def test_wrong_passwords(passwords: Path, name: str, password: str) -> None:
    auth = BasicAuth(passwords)
    for _ in range(2):
        assert auth.recall(basic(name, password)) is None
        with pytest.raises(Unauthenticated, match="The user name or the password is wrong"):
            auth.verify(basic(name, password))


def test_unknown_users_cost_what_known_ones_cost(passwords: Path, derivations: list[bytes]) -> None:
    auth = BasicAuth(passwords)
    for name in ("alice", "nobody"):
        with pytest.raises(Unauthenticated):
            auth.verify(basic(name, "wrong"))
    known, unknown = derivations
    assert known[4:6] == unknown[4:6] == b"04"
    assert len(known) == len(unknown) == 60


def test_nobody_logs_in_to_an_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "htpasswd"
    path.write_text("# nobody yet\n")
    with pytest.raises(Unauthenticated):
        BasicAuth(path).verify(basic("nobody", "secret"))


def test_passwords_are_derived_once(passwords: Path, derivations: list[bytes]) -> None:
    auth = BasicAuth(passwords)
    for _ in range(5):
        auth.verify(basic("alice", "secret"))
    assert len(derivations) == 1


def test_many_connections_at_once_derive_once(passwords: Path, derivations: list[bytes]) -> None:
    auth = BasicAuth(passwords)
    start = threading.Barrier(8)
    found: list[str | None] = []

    def connect() -> None:
        start.wait()
        found.append(auth.verify(basic("alice", "secret")).user_id)

    threads = [threading.Thread(target=connect) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["alice"] * 8
    assert len(derivations) == 1


def test_passwords_are_not_kept(passwords: Path) -> None:
    auth = BasicAuth(passwords)
    credentials = basic("alice", "secret")
    auth.verify(credentials)
    secrets = {credentials.headers["authorization"], "secret", b"secret", b"alice:secret"}
    kept: list[object] = [auth]
    for holder in kept:
        if isinstance(holder, (str, bytes)):
            assert holder not in secrets
        elif isinstance(holder, (dict, list, tuple, BasicAuth)):
            kept.extend(one for one in gc.get_referents(holder) if not any(one is other for other in kept))
    assert len(kept) > 10


def test_the_memory_is_bounded(passwords: Path) -> None:
    auth = BasicAuth(passwords, remembered=1)
    auth.verify(basic("alice", "secret"))
    auth.verify(basic("bob", "päßwörd: with colon"))
    assert auth.recall(basic("alice", "secret")) is None
    assert auth.recall(basic("bob", "päßwörd: with colon")) is not None


def test_memories_fade(passwords: Path, derivations: list[bytes]) -> None:
    auth = BasicAuth(passwords, lifetime=0.0)
    auth.verify(basic("alice", "secret"))
    assert auth.recall(basic("alice", "secret")) is None
    auth.verify(basic("alice", "secret"))
    assert len(derivations) == 2


def test_changed_passwords_count(passwords: Path, tmp_path: Path) -> None:
    users = tmp_path / "users.ini"
    auth = BasicAuth(passwords, None, reload_interval=0.0)
    auth.verify(basic("alice", "secret"))
    set_password(passwords, "alice", "changed", rounds=4)
    assert auth.recall(basic("alice", "secret")) is None
    with pytest.raises(Unauthenticated):
        auth.verify(basic("alice", "secret"))
    assert auth.verify(basic("alice", "changed")).user_id == "alice"
    users.write_text("[alice]\nproject = one\n")
    both = BasicAuth(passwords, users, reload_interval=0.0)
    assert both.verify(basic("alice", "changed")).project_id == "one"
    users.write_text("[alice]\nproject = another\n")
    assert both.verify(basic("alice", "changed")).project_id == "another"


def test_files_are_not_looked_at_for_every_request(passwords: Path) -> None:
    auth = BasicAuth(passwords, reload_interval=3600.0)
    set_password(passwords, "alice", "changed", rounds=4)
    assert auth.verify(basic("alice", "secret")).user_id == "alice"
    assert auth.recall(basic("alice", "secret")) is not None


@pytest.mark.parametrize("damage", ["alice:plain\n", None])
def test_broken_changes_keep_the_users(passwords: Path, damage: str | None, caplog: pytest.LogCaptureFixture) -> None:
    auth = BasicAuth(passwords, reload_interval=0.0)
    if damage is None:
        passwords.unlink()
    else:
        passwords.write_text(damage)
    for _ in range(3):
        assert auth.verify(basic("alice", "secret")).user_id == "alice"
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


def test_broken_files_stop_the_start(passwords: Path, tmp_path: Path) -> None:
    with pytest.raises(AuthSettingsError, match="absent"):
        BasicAuth(tmp_path / "absent")
    with pytest.raises(AuthSettingsError, match="absent"):
        BasicAuth(passwords, tmp_path / "absent")


def _encoded(raw: bytes) -> str:
    return "Basic " + base64.b64encode(raw).decode("ascii")


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Basic",
        "Basic ",
        "Bearer abcdef",
        "Basic !!!!",
        "Basic YWxpY2U6c2VjcmV",
        "Basic YWxpY2U6c2VjcmV0 trailing",
        "Basic YWxpY2U6c2VjcmV0\xff",
        _encoded(b"alice"),
        _encoded(b":secret"),
        _encoded(b"alice:"),
        _encoded(b"al\xffice:secret"),
        _encoded(b"alice:\xff\xfe"),
        _encoded(b"alice\x00:secret"),
        _encoded(b"alice:sec\x00ret"),
        _encoded(b"al\nice:secret"),
        _encoded(b"al\x1bice:secret"),
        _encoded(b"a" * 256 + b":secret"),
        _encoded(b"alice:" + b"x" * 10000),
        "Basic " + "A" * 100000,
    ],
)
def test_headers_that_cannot_be_right(passwords: Path, derivations: list[bytes], header: str | None) -> None:
    auth = BasicAuth(passwords)
    credentials = request(*[] if header is None else [("Authorization", header)])
    with pytest.raises(Unauthenticated):
        auth.recall(credentials)
    with pytest.raises(Unauthenticated):
        auth.verify(credentials)
    assert derivations == []


@given(header=st.text(st.characters(max_codepoint=0xFF), max_size=60), raw=st.binary(max_size=40))
def test_any_header_is_refused_in_one_way(header: str, raw: bytes) -> None:
    with pytest.raises(Unauthenticated):
        _AUTH.verify(request(("Authorization", header)))
    with pytest.raises(Unauthenticated):
        _AUTH.verify(request(("Authorization", _encoded(raw))))


@pytest.fixture(autouse=True, scope="module")
def _shared_auth(tmp_path_factory: pytest.TempPathFactory) -> None:
    global _AUTH  # noqa: PLW0603
    path = tmp_path_factory.mktemp("auth") / "htpasswd"
    set_password(path, "alice", "secret", rounds=4)
    _AUTH = BasicAuth(path)


_AUTH: BasicAuth


def test_what_clients_do_differently(passwords: Path) -> None:
    auth = BasicAuth(passwords)
    token = base64.b64encode(b"alice:secret").decode("ascii")
    for header in (f"basic {token}", f"BASIC  {token}", f" Basic {token} "):
        assert auth.verify(request(("authorization", header))).user_id == "alice"


def test_passwords_beyond_what_bcrypt_reads(passwords: Path) -> None:
    hashed = bcrypt.hashpw(b"x" * 72, bcrypt.gensalt(4)).decode("ascii")
    passwords.write_text(f"long:{hashed}\n")
    auth = BasicAuth(passwords)
    assert auth.verify(basic("long", "x" * 80)).user_id == "long"
    with pytest.raises(Unauthenticated):
        auth.verify(basic("long", "x" * 71))


def test_the_challenge(passwords: Path) -> None:
    assert BasicAuth(passwords, realm="images").challenge == 'Basic realm="images", charset="UTF-8"'
