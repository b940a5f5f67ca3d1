"""The htpasswd file of auth ``basic``: a line ``name:hash`` for each user, with bcrypt hashes only."""

from __future__ import annotations

import os
import re
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import bcrypt

from glimpse.auth.base import AuthSettingsError

#: bcrypt ignores further bytes, so longer passwords are refused.
MAX_PASSWORD_BYTES = 72
#: Width of the database columns for names of users and projects.
MAX_NAME = 255

_BCRYPT = re.compile(r"\$2[aby]\$(?:0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{53}")


def name_fault(name: str) -> str | None:
    """Return why ``name`` is not a valid user name, or None."""
    if not name:
        return "is empty"
    if len(name) > MAX_NAME:
        return f"is longer than {MAX_NAME} characters"
    if ":" in name:
        return "contains a colon"
    if not name.isprintable() or name != name.strip() or max(name) > "\uffff":
        return "contains characters that are not allowed"
    return None


def read_htpasswd(path: Path) -> dict[str, bytes]:
    """Read the bcrypt hash of every user. Empty lines and lines that begin with ``#`` are ignored.

    :raises AuthSettingsError: the file cannot be read, or a line is invalid; the error names the line.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except OSError as error:
        raise AuthSettingsError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise AuthSettingsError(f"{path}: is not UTF-8 text") from error
    hashes: dict[str, bytes] = {}
    for number, name, value in _entries(lines):
        fault = name_fault(name)
        if fault is not None:
            raise AuthSettingsError(f"{path}, line {number}: the user name {fault}")
        if name in hashes:
            raise AuthSettingsError(f"{path}, line {number}: user {name} is listed twice")
        if not _BCRYPT.fullmatch(value) or not _usable(value):
            raise AuthSettingsError(f"{path}, line {number}: the password of user {name} is not hashed with bcrypt")
        hashes[name] = value.encode("ascii")
    return hashes


def set_password(path: Path, name: str, password: str, *, rounds: int = 12) -> None:
    """Add user ``name`` to the file, or replace the user's password; other lines stay.

    A new file is readable only by its owner; an existing one keeps its owner and permissions.
    ``rounds`` is bcrypt's cost as a power of two.

    :raises AuthSettingsError: the name or password is invalid, or the file cannot be read or written.
    """
    fault = name_fault(name)
    if fault is not None:
        raise AuthSettingsError(f"The user name {fault}.")
    secret = password.encode()
    if not secret or len(secret) > MAX_PASSWORD_BYTES or b"\0" in secret:
        raise AuthSettingsError(f"A password must have 1 to {MAX_PASSWORD_BYTES} bytes, without NUL.")
    path = path.resolve()
    if path.exists():
        read_htpasswd(path)  # an invalid file is not overwritten
    entry = f"{name}:{bcrypt.hashpw(secret, bcrypt.gensalt(rounds)).decode('ascii')}"
    try:
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        place = next((index for index, line in enumerate(lines) if line.strip().startswith(f"{name}:")), len(lines))
        lines[place : place + 1] = [entry]
        _replace(path, "".join(f"{line}\n" for line in lines))
    except OSError as error:
        raise AuthSettingsError(f"{path}: cannot be written: {error.strerror}") from error


def _entries(lines: list[str]) -> Iterator[tuple[int, str, str]]:
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if text and not text.startswith("#"):
            name, _, value = text.partition(":")
            yield number, name, value


def _usable(value: str) -> bool:
    """Tell whether bcrypt itself accepts the hash: some endings of the salt are invalid in its alphabet."""
    try:
        bcrypt.hashpw(b"", b"$2b$04$" + value[7:].encode("ascii"))
    except ValueError:
        return False
    return True


def _replace(path: Path, text: str) -> None:
    before = path.stat() if path.exists() else None
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            if before is not None:
                os.fchown(file.fileno(), before.st_uid, before.st_gid)
                os.fchmod(file.fileno(), stat.S_IMODE(before.st_mode))
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except OSError:
        Path(temporary).unlink(missing_ok=True)
        raise
