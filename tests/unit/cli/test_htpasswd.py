"""``glimpse htpasswd``."""

from __future__ import annotations

from pathlib import Path

import bcrypt
import pytest
from click.testing import CliRunner, Result

from glimpse.auth.htpasswd import read_htpasswd
from glimpse.cli.main import main


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "htpasswd"


def run(file: Path, user: str, *options: str, typed: str | bytes) -> Result:
    return CliRunner().invoke(main, ["htpasswd", str(file), user, *options], input=typed)


def lets_in(file: Path, user: str, password: str) -> bool:
    return bcrypt.checkpw(password.encode(), read_htpasswd(file)[user])


def test_it_asks_twice(file: Path) -> None:
    result = run(file, "alice", typed="correct horse\ncorrect horse\n")
    assert result.exit_code == 0
    assert "correct horse" not in result.output
    assert lets_in(file, "alice", "correct horse")
    assert file.stat().st_mode & 0o777 == 0o600


def test_two_that_differ(file: Path) -> None:
    assert run(file, "alice", typed="one\ntwo\n").exit_code != 0
    assert not file.exists()


@pytest.mark.parametrize("typed", ["correct horse\n", "correct horse", "correct horse\r\nmore\n"])
def test_from_standard_input(file: Path, typed: str) -> None:
    result = run(file, "alice", "--password-stdin", typed=typed)
    assert (result.exit_code, result.output) == (0, "")
    assert lets_in(file, "alice", "correct horse")


def test_a_new_password_and_another_user(file: Path) -> None:
    for user, password in (("alice", "one"), ("bob", "two"), ("alice", "three")):
        assert run(file, user, "--password-stdin", typed=password).exit_code == 0
    assert list(read_htpasswd(file)) == ["alice", "bob"]
    assert lets_in(file, "alice", "three")
    assert lets_in(file, "bob", "two")


@pytest.mark.parametrize(
    ("user", "typed", "said"),
    [
        ("a:b", b"password", "The user name contains a colon."),
        ("alice", b"", "A password must have 1 to 72 bytes"),
        ("alice", b"x" * 73, "A password must have 1 to 72 bytes"),
        ("alice", b"\xff\n", "The password is not UTF-8 text."),
    ],
)
def test_what_cannot_be(file: Path, user: str, typed: bytes, said: str) -> None:
    result = run(file, user, "--password-stdin", typed=typed)
    assert result.exit_code == 1
    assert said in result.stderr
    assert not file.exists()


def test_a_broken_file_stays(file: Path) -> None:
    file.write_text("alice:plain\n")
    result = run(file, "bob", "--password-stdin", typed="secret")
    assert result.exit_code == 1
    assert "line 1" in result.stderr
    assert file.read_text() == "alice:plain\n"
