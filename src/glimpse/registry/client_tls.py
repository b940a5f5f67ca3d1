"""The client's side of mutual TLS: TLS 1.3, the registry's own CA, files followed as they change."""

from __future__ import annotations

import logging
import ssl
from pathlib import Path

from glimpse.settings.model import RegistryOptions

LOG = logging.getLogger(__name__)

_Signature = tuple[tuple[int, int, int] | None, ...]


class ClientTlsError(Exception):
    """The files cannot be used; the message is a sentence for the operator that names the file."""


class ClientTls:
    """The context for new connections. When a file changes, the next connection finds the new content.

    As long as what is there cannot be used, half of it being written for instance, the content before stays in force,
    and the log says why.
    """

    def __init__(self, options: RegistryOptions) -> None:
        """:raises ClientTlsError: a file is not named, or cannot be used."""
        self._files = _files(options)
        self._signature = _signature(self._files)
        self._context = _load(*self._files)

    def context(self) -> ssl.SSLContext:
        """What the files hold now."""
        signature = _signature(self._files)
        if signature != self._signature:
            self._signature = signature
            try:
                self._context = _load(*self._files)
            except ClientTlsError as error:
                LOG.warning("The TLS files have changed but cannot be used, so the old ones stay in force: %s", error)
            else:
                LOG.info("The TLS files have changed; the new ones are in force")
        return self._context


def _files(options: RegistryOptions) -> tuple[Path, Path, Path]:
    """CA, certificate and key.

    :raises ClientTlsError: one is not named.
    """
    named = {"ca": options.ca_file, "cert": options.cert_file, "key": options.key_file}
    missing = [f"registry_{name}_file" for name, path in named.items() if path is None]
    if missing or options.ca_file is None or options.cert_file is None or options.key_file is None:
        raise ClientTlsError(f"A connection to a registry needs [glimpse] {', '.join(missing)}.")
    return options.ca_file, options.cert_file, options.key_file


def _signature(files: tuple[Path, ...]) -> _Signature:
    """What tells one content of the files from another; None for a missing one."""
    return tuple(_identity(path) for path in files)


def _identity(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _load(ca: Path, certificate: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    try:
        context.load_verify_locations(cadata=_read(ca, "CA file").decode("ascii"))
    except (ssl.SSLError, ValueError) as error:
        raise ClientTlsError(f"The registry's CA file {ca} contains no PEM certificate.") from error
    _read(certificate, "certificate")
    _read(key, "key")
    try:
        context.load_cert_chain(certificate, key, password=_no_password)
    except (ssl.SSLError, OSError, _Encrypted) as error:
        raise ClientTlsError(_pair_problem(certificate, key, error)) from error
    return context


def _read(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ClientTlsError(f"The {what} {path} for the registry cannot be read: {error.strerror}.") from error


class _Encrypted(Exception):
    """The key asks for a password, which nobody is there to give."""


def _no_password() -> str:
    raise _Encrypted


def _pair_problem(certificate: Path, key: Path, error: Exception) -> str:
    if isinstance(error, _Encrypted):
        return f"The key {key} is encrypted: give this node a key without a password."
    if isinstance(error, ssl.SSLError) and error.reason == "KEY_VALUES_MISMATCH":
        return f"The key {key} does not belong to the certificate {certificate}."
    return f"The certificate {certificate} and the key {key} cannot be used together."
