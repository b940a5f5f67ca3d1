"""Certificates, keys and CAs in PEM files: read with errors that name the file, and followed as they change."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Generic, TypeVar

T = TypeVar("T")

#: Modification time, size and inode of each file, None for a missing one.
Fingerprint = tuple[tuple[int, int, int] | None, ...]


class TlsFileError(Exception):
    """A file cannot be used; the message is a sentence for the operator that names the file."""


class FollowedFiles(Generic[T]):
    """What is made of some files, made anew when one of them changes.

    While the new content cannot be used, because half of it is written for instance, the content before stays in force,
    and the log says why.
    """

    def __init__(self, files: Iterable[Path], load: Callable[[], T], log: logging.Logger) -> None:
        """``load`` makes it; it raises :class:`TlsFileError` where it cannot.

        :raises TlsFileError: the files cannot be used.
        """
        self._files = tuple(files)
        self._load = load
        self._log = log
        self._fingerprint = fingerprint(self._files)
        #: what the files held when they were last looked at
        self.latest = load()

    def current(self) -> T:
        """What the files hold now."""
        now = fingerprint(self._files)
        if now != self._fingerprint:
            self._fingerprint = now
            try:
                self.latest = self._load()
            except TlsFileError as error:
                self._log.warning(
                    "The TLS files have changed but cannot be used, so the old ones stay in force: %s", error
                )
            else:
                self._log.info("The TLS files have changed; the new ones are in force")
        return self.latest


def fingerprint(files: Iterable[Path]) -> Fingerprint:
    """Differs when the content of one of ``files`` was replaced or changed."""
    return tuple(_identity(path) for path in files)


def _identity(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def read_file(path: Path, what: str) -> bytes:
    """:raises TlsFileError: it cannot be read; ``what`` says what it is."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise TlsFileError(f"The {what} {path} cannot be read: {error.strerror}.") from error


def load_pair(context: ssl.SSLContext, certificate: Path, key: Path, owner: str) -> None:
    """Put a certificate, with its chain, and its key into a context.

    :raises TlsFileError: they cannot be used; ``owner`` says whose they are, as in "this node".
    """
    try:
        context.load_cert_chain(certificate, key, password=_no_password)
    except _Encrypted as error:
        raise TlsFileError(f"The key {key} is encrypted: give {owner} a key without a password.") from error
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise TlsFileError(f"The key {key} does not belong to the certificate {certificate}.") from error
        raise TlsFileError(f"The certificate {certificate} and the key {key} cannot be used together.") from error
    except OSError as error:
        raise TlsFileError(f"The certificate {certificate} and the key {key} cannot be used together.") from error


def load_authorities(context: ssl.SSLContext, path: Path, what: str) -> bytes:
    """Put the CAs of a file into a context, and return its text.

    :raises TlsFileError: it cannot be read, or holds no certificate; ``what`` says what it is.
    """
    text = read_file(path, what)
    try:
        context.load_verify_locations(cadata=text.decode("ascii"))
    except (ssl.SSLError, ValueError) as error:
        raise TlsFileError(f"The {what} {path} contains no PEM certificate.") from error
    return text


class _Encrypted(Exception):
    """The key asks for a password, which nobody is there to give."""


def _no_password() -> str:
    raise _Encrypted
