"""The server side of mutual TLS: TLS 1.3, only clients with certificates, files reloaded when they change.

Session resumption is disabled, because a session verified with an old CA would continue under a new one. TLS 1.3 needs
tickets for resumption, so none are issued.
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

#: Prefix of a URI in the subject alternative names of a client certificate; the rest is a :class:`Role`.
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
    except Exception:  # noqa: BLE001 - a different name or kind of key, or a wrong signature: not signed by this CA
        return False
    return True


def _name(certificate: x509.Certificate) -> str:
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if len(names) == 1 else ""


def _role(certificate: x509.Certificate) -> Role | None:
    """Return the role in the certificate; the higher one if there are several."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return None
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    return next((role for role in (Role.ADMIN, Role.API) if ROLE_URI + role in uris), None)


LOG = logging.getLogger(__name__)

#: Seconds between checks of the files for requests on open connections; every new connection checks them itself.
LOOK_INTERVAL = 1.0
#: Time before expiry at which a warning is logged for the server certificate.
WARN_BEFORE = timedelta(days=14)


class TlsFiles(msgspec.Struct, frozen=True, kw_only=True):
    """The server's certificate (with its chain) and key, and the CAs of accepted clients; PEM."""

    certificate: Path
    key: Path
    client_authorities: Path


def plain_context() -> ssl.SSLContext:
    """Return an empty server context."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)


class ServerTls:
    """The :class:`glimpse.launcher.tls.TlsPolicy` of the registry.

    When a file changes, the next connection uses the new content. If the new content cannot be used, for example
    because it is only half written, the previous content stays in use, and the reason is logged.
    """

    def __init__(
        self,
        files: TlsFiles,
        roles: Mapping[str, Role],
        *,
        make_context: Callable[[], ssl.SSLContext] = plain_context,
    ) -> None:
        """``roles``: see :func:`~glimpse.registry.tls.read_client`; ``make_context`` creates an empty context.

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
        """Return why a client with an open connection may not continue, as a sentence; None if it may.

        Its certificate may have expired since the handshake, or its CA may have been removed. A client whose
        certificate is not directly signed by a CA in the file must connect again whenever the CAs change.
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
    """Load the files into a context, and return the text of the CAs."""
    certificate = read_file(files.certificate, "server certificate")
    read_file(files.key, "key of the server certificate")
    _check_server_certificate(certificate, files.certificate)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    context.num_tickets = 0
    load_pair(context, files.certificate, files.key, "the registry")
    return load_authorities(context, files.client_authorities, "clients' CA file")


def _check_server_certificate(text: bytes, path: Path) -> None:
    """Refuse a certificate that every client would refuse, and warn before it expires."""
    try:
        ends = x509.load_pem_x509_certificate(text).not_valid_after_utc
    except ValueError as error:
        raise TlsFileError(f"The server certificate {path} is not a PEM certificate.") from error
    now = datetime.now(UTC)
    if ends <= now:
        raise TlsFileError(f"The server certificate {path} has expired on {ends:%Y-%m-%d}.")
    if ends - now < WARN_BEFORE:
        LOG.warning("The server certificate %s expires on %s", path, f"{ends:%Y-%m-%d}")
