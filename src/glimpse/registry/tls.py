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
from functools import lru_cache
from pathlib import Path
from weakref import WeakKeyDictionary

import msgspec
from cryptography import x509
from cryptography.x509.oid import NameOID

from glimpse.registry.wire import Role
from glimpse.tls_files import FollowedFiles, TlsFileError, load_authorities, load_pair, read_file

# ------------------------------------------------------- The identity of a registry client, read from its certificate

#: A URI among the subject alternative names of a client certificate; its last part is a :class:`Role`.
ROLE_URI = "urn:glimpse:role:"
#: Maximum length of a name in a log line.
_LONGEST_NAME = 64


class Client(msgspec.Struct, frozen=True, kw_only=True):
    """A client with a certificate of an accepted CA.

    ``name`` is the common name of the certificate's subject, ``role`` is None if it has none, ``expires`` is the end of
    the certificate in seconds since 1970, ``certificate`` is the certificate in DER, and ``authorities`` is the PEM
    text of the CAs that verified it.
    """

    name: str
    role: Role | None
    expires: float
    certificate: bytes = b""
    authorities: bytes = b""


def read_client(certificate: bytes, roles: Mapping[str, Role], authorities: bytes = b"") -> Client:
    """Read the client from a DER certificate that the handshake has verified.

    If ``roles`` (by name) is not empty, only these count, and clients that are not listed have no role; otherwise the
    role is in the certificate, see :data:`ROLE_URI`. A certificate that cannot be read, or has several common names,
    gives an empty client.
    """
    try:
        parsed = x509.load_der_x509_certificate(certificate)
        name = _name(parsed)
        role = roles.get(name) if roles else _role(parsed)
        expires = parsed.not_valid_after_utc.timestamp()
    except ValueError:
        name, role, expires = "", None, 0.0
    name = name[:_LONGEST_NAME]
    return Client(name=name, role=role, expires=expires, certificate=certificate, authorities=authorities)


@lru_cache(maxsize=1024)
def is_issued_by_one_of(certificate: bytes, authorities: bytes) -> bool:
    """Tell whether one of the CAs in a PEM text has directly signed a DER certificate."""
    try:
        leaf = x509.load_der_x509_certificate(certificate)
        issuers = x509.load_pem_x509_certificates(authorities)
    except ValueError:
        return False
    return any(_signed(leaf, issuer) for issuer in issuers)


def _signed(leaf: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        leaf.verify_directly_issued_by(issuer)
    except Exception:  # noqa: BLE001 - another name, another kind of key, a wrong signature: all mean no
        return False
    return True


def _name(certificate: x509.Certificate) -> str:
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if len(names) == 1 else ""


def _role(certificate: x509.Certificate) -> Role | None:
    """Return the role in the certificate; of several the higher one."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return None
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    return next((role for role in (Role.ADMIN, Role.API) if ROLE_URI + role in uris), None)


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
        """``roles``: see :func:`~glimpse.registry.tls.read_client`; ``make_context`` makes an empty context.

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
