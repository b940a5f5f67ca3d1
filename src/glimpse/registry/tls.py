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
from glimpse.tls_files import FollowedFiles, TlsFileError, load_authorities, load_pair, read_file

LOG = logging.getLogger(__name__)

#: Seconds between looks at the files for requests on open connections; every new connection looks for itself.
LOOK_INTERVAL = 1.0
#: From here on before its end, a server certificate is worth a warning.
WARN_BEFORE = timedelta(days=14)


class TlsFiles(msgspec.Struct, frozen=True, kw_only=True):
    """The server's certificate (with its chain) and key, and the CAs whose clients may come in; PEM."""

    certificate: Path
    key: Path
    client_authorities: Path


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

        :raises TlsFileError: the files cannot be used.
        """
        self._files = files
        self._roles = roles
        self._make_context = make_context
        # the text of the CAs of each context that is in use
        self._authorities: WeakKeyDictionary[ssl.SSLContext, bytes] = WeakKeyDictionary()
        self._followed = FollowedFiles((files.certificate, files.key, files.client_authorities), self._load, LOG)
        self._looked = time.monotonic()
        #: called for each connection that is refused
        self.on_refusal: Callable[[], None] | None = None

    def context(self) -> ssl.SSLContext:
        """See the protocol."""
        self._looked = time.monotonic()
        return self._followed.current()

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
            self.context()
        now = self._authorities[self._followed.latest]
        if client.authorities == now or is_issued_by_one_of(client.certificate, now):
            return None
        return "The registry's CAs have changed: connect again."

    def _load(self) -> ssl.SSLContext:
        context = self._make_context()
        self._authorities[context] = _fill(context, self._files)
        return context


def _fill(context: ssl.SSLContext, files: TlsFiles) -> bytes:
    """Put the content of the files into a context, and return the text of the CAs."""
    certificate = read_file(files.certificate, "server certificate")
    read_file(files.key, "key of the server certificate")
    _check_server_certificate(certificate, files.certificate)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    context.num_tickets = 0
    load_pair(context, files.certificate, files.key, "the registry")
    return load_authorities(context, files.client_authorities, "clients' CA file")


def _check_server_certificate(text: bytes, path: Path) -> None:
    """Refuse a certificate that every client would refuse, and say in time when it comes to that."""
    try:
        ends = x509.load_pem_x509_certificate(text).not_valid_after_utc
    except ValueError as error:
        raise TlsFileError(f"The server certificate {path} is not a PEM certificate.") from error
    now = datetime.now(UTC)
    if ends <= now:
        raise TlsFileError(f"The server certificate {path} has expired on {ends:%Y-%m-%d}.")
    if ends - now < WARN_BEFORE:
        LOG.warning("The server certificate %s expires on %s", path, f"{ends:%Y-%m-%d}")
