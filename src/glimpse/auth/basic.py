"""Auth ``basic``: HTTP Basic authentication, which the clients' auth type ``http_basic`` uses."""

from __future__ import annotations

import base64
import binascii
import hmac
import logging
import secrets
import threading
import time
from collections import OrderedDict
from pathlib import Path
from typing import Final

import bcrypt
import msgspec

from glimpse.auth.base import AuthSettingsError, Credentials, Identity
from glimpse.auth.htpasswd import MAX_PASSWORD_BYTES, name_fault, read_htpasswd
from glimpse.auth.throttle import LoginThrottle
from glimpse.auth.users import Users, read_users
from glimpse.errors import Unauthenticated

LOG = logging.getLogger(__name__)

#: Maximum length of the header's value, in characters.
MAX_HEADER = 8192

_Mark = tuple[int, int, int] | None


class _Accounts(msgspec.Struct, frozen=True):
    """The content of the two files. ``nobody`` is a hash as costly as those of the users, which no password matches."""

    hashes: dict[str, bytes]
    users: Users
    nobody: bytes


class BasicAuth:
    """Checks passwords against an htpasswd file, and remembers right and wrong ones for a while.

    It stores only keyed digests of the header, with a key that exists only in this process. Changed files take effect
    within ``reload_interval`` seconds and clear the memory. Thread-safe.
    """

    constant: Identity | None = None

    def __init__(
        self,
        htpasswd_file: Path,
        users_file: Path | None = None,
        *,
        realm: str = "glimpse",
        remembered: int = 1024,
        lifetime: float = 300.0,
        failures_per_address: int = 30,
        reload_interval: float = 2.0,
    ) -> None:
        """``remembered`` is a number of passwords; ``lifetime`` and ``reload_interval`` are seconds.

        ``failures_per_address`` is the number of wrong passwords checked per minute, see :class:`LoginThrottle`.

        :raises AuthSettingsError: one of the files is invalid.
        """
        self._files = (htpasswd_file, users_file)
        self._realm = realm
        self._remembered = remembered
        self._lifetime = lifetime
        self._reload_interval = reload_interval
        self._key: Final = secrets.token_bytes(32)
        self._memory: OrderedDict[bytes, tuple[Identity, float]] = OrderedDict()
        # a client that repeats the same wrong password costs one key derivation, and guesses nothing
        self._wrong: OrderedDict[bytes, float] = OrderedDict()
        self._throttle = LoginThrottle(failures_per_address)
        self._lock = threading.Lock()
        # Only one thread at a time checks the same password, so a client with many connections costs one key
        # derivation. The digest selects the lock.
        self._stripes = tuple(threading.Lock() for _ in range(64))
        self._next_look = time.monotonic() + reload_interval
        self._marks = self._look()
        self._accounts = self._read()

    @property
    def challenge(self) -> str | None:
        """Ask for a name and a password in UTF-8."""
        return f'Basic realm="{self._realm}", charset="UTF-8"'

    def recall(self, credentials: Credentials) -> Identity | None:
        """Return the identity if the password was right recently, else None.

        :raises Unauthenticated: the header is missing or malformed.
        """
        header = _header_of(credentials)
        if time.monotonic() < self._next_look:
            identity = self._known(self._digest(header))
            if identity is not None:
                return identity
        _split(header)
        return None

    def seen(self, credentials: Credentials) -> bool:
        """Tell whether this name and password were right before, and the files have not changed since."""
        header = credentials.headers.get("authorization")
        return header is not None and self._digest(header) in self._memory

    def verify(self, credentials: Credentials) -> Identity:
        """Check a name and a password; takes some tenths of a second for a new one.

        :raises Unauthenticated: name or password are wrong; neither the message nor the time taken reveals which.
        :raises TooManyAttempts: see :class:`LoginThrottle`; the password was not checked.
        """
        header = _header_of(credentials)
        name, password = _split(header)
        self._look_again()
        digest = self._digest(header)
        with self._stripes[digest[0] % len(self._stripes)]:
            identity = self._known(digest)
            if identity is not None:
                return identity
            self._refuse_known_wrong(digest)
            accounts = self._accounts
            if digest not in self._memory:  # a password that was right before is not a guess
                self._throttle.begin(credentials.peer, name)
            right = bcrypt.checkpw(password[:MAX_PASSWORD_BYTES], accounts.hashes.get(name, accounts.nobody))
            if not right or name not in accounts.hashes:
                self._remember_wrong(digest, accounts)
                raise _wrong()
            self._throttle.succeeded(credentials.peer, name)
            identity = accounts.users.identity(name)
            self._remember(digest, identity, accounts)
        return identity

    def _digest(self, header: str) -> bytes:
        return hmac.digest(self._key, header.encode("utf-8", "surrogatepass"), "sha256")

    def _known(self, digest: bytes) -> Identity | None:
        remembered = self._memory.get(digest)
        return remembered[0] if remembered is not None and time.monotonic() < remembered[1] else None

    def _refuse_known_wrong(self, digest: bytes) -> None:
        until = self._wrong.get(digest)
        if until is not None and time.monotonic() < until:
            raise _wrong()

    def _remember_wrong(self, digest: bytes, accounts: _Accounts) -> None:
        with self._lock:
            if accounts is self._accounts:
                self._wrong[digest] = time.monotonic() + self._lifetime
                while len(self._wrong) > self._remembered:
                    self._wrong.popitem(last=False)

    def _remember(self, digest: bytes, identity: Identity, accounts: _Accounts) -> None:
        with self._lock:
            if accounts is not self._accounts:
                return  # the files changed during the check
            self._memory[digest] = (identity, time.monotonic() + self._lifetime)
            self._memory.move_to_end(digest)
            while len(self._memory) > self._remembered:
                self._memory.popitem(last=False)

    def _look_again(self) -> None:
        with self._lock:
            if time.monotonic() < self._next_look:
                return
            self._next_look = time.monotonic() + self._reload_interval
            marks = self._look()
            if marks == self._marks:
                return
            self._marks = marks
            try:
                self._accounts = self._read()
            except AuthSettingsError as error:
                LOG.error("The user files are invalid, so the old users and passwords stay in force: %s", error)  # noqa: TRY400 - one line says all
                return
            self._memory.clear()
            self._wrong.clear()
            LOG.info("The user files have changed; the new users and passwords are in force.")

    def _look(self) -> tuple[_Mark, ...]:
        return tuple(_mark(path) for path in self._files)

    def _read(self) -> _Accounts:
        htpasswd_file, users_file = self._files
        hashes = read_htpasswd(htpasswd_file)
        users = read_users(users_file)
        without = sorted(users.names() - hashes.keys())
        if without:
            LOG.warning("Users without a password, who cannot log in: %s", ", ".join(without))
        cost = max((int(value[4:6]) for value in hashes.values()), default=12)
        return _Accounts(hashes, users, bcrypt.gensalt(cost) + b"." * 31)


def _wrong() -> Unauthenticated:
    return Unauthenticated("The user name or the password is wrong.")


def _mark(path: Path | None) -> _Mark:
    if path is None:
        return None
    try:
        stat = path.stat()
    except OSError:
        return None  # reading it will report why
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


def _header_of(credentials: Credentials) -> str:
    header = credentials.headers.get("authorization")
    if header is None:
        raise Unauthenticated("A user name and a password are required.")
    if len(header) > MAX_HEADER:
        raise Unauthenticated("The Authorization header is too long.")
    return header


def _split(header: str) -> tuple[str, bytes]:
    """Parse the name and password from the header (RFC 7617)."""
    scheme, _, token = header.strip().partition(" ")
    if scheme.lower() != "basic":
        raise Unauthenticated("Only HTTP Basic authentication is accepted.")
    try:
        name, colon, password = base64.b64decode(token.strip(), validate=True).partition(b":")
        user = name.decode("utf-8")
        password.decode("utf-8")
    except (binascii.Error, ValueError) as error:
        raise Unauthenticated("The Authorization header is malformed.") from error
    if not colon or name_fault(user) is not None or not password or b"\0" in password:
        raise Unauthenticated("The Authorization header is malformed.")
    return user, password
