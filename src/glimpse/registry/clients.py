"""The identity of a registry client, read from its certificate."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import msgspec
from cryptography import x509
from cryptography.x509.oid import NameOID

from glimpse.registry.wire import Role

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
