"""The registry's side of mutual TLS: TLS 1.3, clients with certificates only, files followed as they change.

There is no resumption: a session that an old CA vouched for would go on under a new one. So there are no tickets,
without which TLS 1.3 has none.
"""

from __future__ import annotations

import logging
import ssl
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from weakref import WeakKeyDictionary

import msgspec
from cryptography import x509

from glimpse.registry.clients import Client, is_issued_by_one_of, read_client
from glimpse.registry.wire import Role

LOG = logging.getLogger(__name__)

#: Seconds between looks at the files for requests on open connections; every new connection looks for itself.
LOOK_INTERVAL = 1.0
#: From here on before its end, a server certificate is worth a warning.
WARN_BEFORE = timedelta(days=14)

_Signature = tuple[tuple[int, int, int] | None, ...]


class TlsFiles(msgspec.Struct, frozen=True, kw_only=True):
    """The server's certificate (with its chain) and key, and the CAs whose clients may come in; PEM."""

    certificate: Path
    key: Path
    client_authorities: Path


class TlsError(Exception):
    """The files cannot be used; the message is a sentence for the operator that names the file."""


def plain_context() -> ssl.SSLContext:
    """An empty context for servers."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)


class ServerTls:
    """The :class:`glimpse.launcher.tls.TlsPolicy` of the registry.

    When a file changes, the next connection finds the new content. As long as what is there cannot be used, half of it
    being written for instance, the content before stays in force, and the log says why.
    """

    def __init__(
        self,
        files: TlsFiles,
        roles: Mapping[str, Role],
        *,
        make_context: Callable[[], ssl.SSLContext] = plain_context,
    ) -> None:
        """``roles``: see :func:`~glimpse.registry.clients.read_client`; ``make_context`` makes an empty context.

        :raises TlsError: the files cannot be used.
        """
        self._files = files
        self._roles = roles
        self._make_context = make_context
        # the text of the CAs of each context that is in use
        self._authorities: WeakKeyDictionary[ssl.SSLContext, bytes] = WeakKeyDictionary()
        self._signature = _signature(files)
        self._context = self._load()
        self._looked = time.monotonic()
        #: called for each connection that is refused
        self.on_refusal: Callable[[], None] | None = None

    def context(self) -> ssl.SSLContext:
        """See the protocol."""
        self._look()
        return self._context

    def client(self, connection: ssl.SSLObject) -> Client:
        """See the protocol."""
        authorities = self._authorities[connection.context]
        return read_client(connection.getpeercert(binary_form=True) or b"", self._roles, authorities)

    def refused(self, address: str, reason: str) -> None:
        """See the protocol."""
        if self.on_refusal is not None:
            self.on_refusal()
        LOG.warning("Refused a connection from %s: %s", address, reason)

    def refusal(self, client: Client) -> str | None:
        """Why a client whose connection is open may not go on by now, as a sentence; None when it may.

        Its certificate may have expired since the handshake, or its CA may be gone. Of a client whose certificate
        another one than a CA of the file has signed nobody knows here: when the CAs change, it has to connect again.
        """
        if client.expires < time.time():
            return "The certificate of this client has expired."
        if time.monotonic() - self._looked >= LOOK_INTERVAL:
            self._look()
        now = self._authorities[self._context]
        if client.authorities == now or is_issued_by_one_of(client.certificate, now):
            return None
        return "The registry's CAs have changed: connect again."

    def _look(self) -> None:
        self._looked = time.monotonic()
        signature = _signature(self._files)
        if signature == self._signature:
            return
        self._signature = signature
        try:
            self._context = self._load()
        except TlsError as error:
            LOG.warning("The TLS files have changed but cannot be used, so the old ones stay in force: %s", error)
        else:
            LOG.info("The TLS files have changed; the new ones are in force")

    def _load(self) -> ssl.SSLContext:
        context = self._make_context()
        self._authorities[context] = _fill(context, self._files)
        return context


def _signature(files: TlsFiles) -> _Signature:
    """What tells one content of the files from another: time, size and identity of each; None for a missing one."""
    return tuple(_identity(path) for path in (files.certificate, files.key, files.client_authorities))


def _identity(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _fill(context: ssl.SSLContext, files: TlsFiles) -> bytes:
    """Put the content of the files into a context, and return the text of the CAs."""
    certificate = _read(files.certificate, "server certificate")
    _read(files.key, "key of the server certificate")
    authorities = _read(files.client_authorities, "CA file of the clients")
    _check_server_certificate(certificate, files.certificate)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    context.num_tickets = 0
    try:
        context.load_cert_chain(files.certificate, files.key, password=_no_password)
    except (ssl.SSLError, _Encrypted, OSError) as error:
        raise TlsError(_pair_problem(files, error)) from error
    try:
        context.load_verify_locations(cadata=authorities.decode("ascii"))
    except (ssl.SSLError, UnicodeDecodeError, ValueError) as error:
        raise TlsError(f"The clients' CA file {files.client_authorities} contains no PEM certificate.") from error
    return authorities


def _read(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise TlsError(f"The {what} {path} cannot be read: {error.strerror}.") from error


def _check_server_certificate(text: bytes, path: Path) -> None:
    """Refuse a certificate that every client would refuse, and say in time when it comes to that."""
    try:
        ends = x509.load_pem_x509_certificate(text).not_valid_after_utc
    except ValueError as error:
        raise TlsError(f"The server certificate {path} is not a PEM certificate.") from error
    now = datetime.now(UTC)
    if ends <= now:
        raise TlsError(f"The server certificate {path} has expired on {ends:%Y-%m-%d}.")
    if ends - now < WARN_BEFORE:
        LOG.warning("The server certificate %s expires on %s", path, f"{ends:%Y-%m-%d}")


class _Encrypted(Exception):
    """The key asks for a password, which nobody is there to give."""


def _no_password() -> str:
    raise _Encrypted


def _pair_problem(files: TlsFiles, error: Exception) -> str:
    if isinstance(error, _Encrypted):
        return f"The key {files.key} is encrypted: give the registry a key without a password."
    if isinstance(error, ssl.SSLError) and error.reason == "KEY_VALUES_MISMATCH":
        return f"The key {files.key} does not belong to the certificate {files.certificate}."
    return f"The certificate {files.certificate} and the key {files.key} cannot be used together."
