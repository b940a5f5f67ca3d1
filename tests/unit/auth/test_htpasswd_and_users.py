"""The two files of auth ``basic``."""

from __future__ import annotations

import stat
from pathlib import Path

import bcrypt
import pytest

from glimpse.auth.base import AuthSettingsError
from glimpse.auth.htpasswd import read_htpasswd, set_password
from glimpse.auth.users import read_users

# a fixed salt: it becomes part of test ids, which parallel runners compare
HASH = bcrypt.hashpw(b"secret", b"$2b$04$abcdefghijklmnopqrstuu").decode()


@pytest.mark.parametrize("variant", ["$2a$", "$2b$", "$2y$"])
def test_variants_of_bcrypt(tmp_path: Path, variant: str) -> None:
    path = tmp_path / "htpasswd"
    path.write_text(f"# users\r\n\r\n alice:{variant}{HASH[4:]} \r\n")
    assert bcrypt.checkpw(b"secret", read_htpasswd(path)["alice"])


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("alice:$apr1$abc$defghijklmnopqrstuv", "line 2: the password of user alice is not hashed with bcrypt"),
        ("alice:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=", "not hashed with bcrypt"),
        ("alice:plain", "not hashed with bcrypt"),
        ("alice", "not hashed with bcrypt"),
        ("alice:$2b$04$" + "z" * 53, "not hashed with bcrypt"),
        ("alice:$2b$99" + HASH[6:], "not hashed with bcrypt"),
        (f"alice:{HASH}x", "not hashed with bcrypt"),
        (f":{HASH}", "line 2: the user name is empty"),
        (f"al\x07ice:{HASH}", "line 2: the user name contains"),
        (f"al\x00ice:{HASH}", "line 2: the user name contains"),
        (f"{'a' * 256}:{HASH}", "longer than 255"),
        (f"first:{HASH}", "line 2: user first is listed twice"),
    ],
)
def test_lines_that_are_wrong(tmp_path: Path, line: str, complaint: str) -> None:
    path = tmp_path / "htpasswd"
    path.write_text(f"first:{HASH}\n{line}\n")
    with pytest.raises(AuthSettingsError, match=complaint) as raised:
        read_htpasswd(path)
    assert HASH not in str(raised.value)
    assert str(path) in str(raised.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(AuthSettingsError, match="cannot be read"):
        read_htpasswd(tmp_path / "absent")
    with pytest.raises(AuthSettingsError, match="cannot be read"):
        read_users(tmp_path)
    (tmp_path / "binary").write_bytes(b"alice:\xff\xfe")
    for read in (read_htpasswd, read_users):
        with pytest.raises(AuthSettingsError, match="UTF-8"):
            read(tmp_path / "binary")


def test_setting_passwords(tmp_path: Path) -> None:
    path = tmp_path / "htpasswd"
    set_password(path, "alice", "first", rounds=4)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.write_text(f"# ours\n{path.read_text()}")
    path.chmod(0o640)
    set_password(path, "alice:".rstrip(":") + "2", "other", rounds=4)
    set_password(path, "alice", "zweites Paßwort", rounds=4)
    hashes = read_htpasswd(path)
    assert sorted(hashes) == ["alice", "alice2"]
    assert bcrypt.checkpw("zweites Paßwort".encode(), hashes["alice"])
    assert bcrypt.checkpw(b"other", hashes["alice2"])
    assert path.read_text().startswith("# ours\nalice:")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert list(tmp_path.iterdir()) == [path]


def test_setting_passwords_through_a_link(tmp_path: Path) -> None:
    real = tmp_path / "real"
    link = tmp_path / "link"
    set_password(real, "alice", "first", rounds=4)
    link.symlink_to(real)
    set_password(link, "bob", "first", rounds=4)
    assert link.is_symlink()
    assert sorted(read_htpasswd(real)) == ["alice", "bob"]


@pytest.mark.parametrize(
    ("name", "password"),
    [("a:b", "pw"), ("", "pw"), (" a", "pw"), ("a\n", "pw"), ("a", ""), ("a", "x\0y"), ("a", "x" * 73), ("😀", "pw")],
)
def test_names_and_passwords_that_are_refused(tmp_path: Path, name: str, password: str) -> None:
    path = tmp_path / "htpasswd"
    with pytest.raises(AuthSettingsError):
        set_password(path, name, password, rounds=4)
    assert not path.exists()


def test_a_broken_file_is_not_written_over(tmp_path: Path) -> None:
    path = tmp_path / "htpasswd"
    path.write_text("alice:plain\n")
    with pytest.raises(AuthSettingsError):
        set_password(path, "bob", "pw", rounds=4)
    assert path.read_text() == "alice:plain\n"
    with pytest.raises(AuthSettingsError, match="cannot be written"):
        set_password(tmp_path / "absent" / "htpasswd", "bob", "pw", rounds=4)


def test_users_without_a_file() -> None:
    identity = read_users(None).identity("alice")
    assert (identity.user_id, identity.project_id) == ("alice", "alice")
    assert identity.roles == {"member", "reader"}


def test_users_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "users.ini"
    path.write_text(
        "; who is what\n[*]\nroles = Reader\n\n[alice]\nproject = 8c2f\nroles = Admin, member,\n"
        "[bob@example.org]\nproject=50%\n[carol]\nroles =\n"
    )
    users = read_users(path)
    assert users.names() == {"alice", "bob@example.org", "carol"}
    assert (users.identity("alice").project_id, users.identity("alice").roles) == ("8c2f", {"admin", "member"})
    bob = users.identity("bob@example.org")
    assert (bob.project_id, bob.roles) == ("50%", {"reader"})
    assert users.identity("carol").roles == frozenset()
    assert (users.identity("dave").project_id, users.identity("dave").roles) == ("dave", {"reader"})
    assert (users.identity("*").project_id, users.identity("DEFAULT").roles) == ("*", {"reader"})


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("project = x\n", "no section headers"),
        ("[alice]\nnonsense\n", "parsing errors"),
        ("[alice]\n[alice]\n", "already exists"),
        ("[alice]\ntenant = x\n", r"\[alice\] has the unknown key tenant"),
        ("[*]\nrole = x\n", r"\[\*\] has the unknown key role"),
        ("[alice]\nproject =\n", "the project is empty"),
        ("[alice]\nproject = a\n  b\n", "the project contains"),
        ("[alice]\nroles = a\n  b\n", "the roles contain"),
        ("[al:ice]\n", "contains a colon"),
    ],
)
def test_users_files_that_are_wrong(tmp_path: Path, content: str, complaint: str) -> None:
    path = tmp_path / "users.ini"
    path.write_text(content)
    with pytest.raises(AuthSettingsError, match=complaint) as raised:
        read_users(path)
    assert "\n" not in str(raised.value)
