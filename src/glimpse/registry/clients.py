"""Who is on the other end of a connection to the registry, read from the certificate that it showed."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import msgspec
from cryptography import x509
from cryptography.x509.oid import NameOID

from glimpse.registry.wire import Role

#: A URI among the subject's alternative names of a client certificate; the last word is a :class:`Role`.
ROLE_URI = "urn:glimpse:role:"
#: The longest name that goes into a log line.
_LONGEST_NAME = 64


class Client(msgspec.Struct, frozen=True, kw_only=True):
    """A client that holds the key of a certificate of an accepted CA.

    ``name`` is the common name of the certificate's subject, ``role`` None when nothing gives it one, ``expires`` the
    end of the certificate in seconds since 1970, ``certificate`` the whole in DER, and ``authorities`` the PEM text of
    the CAs that it was checked with.
    """

    name: str
    role: Role | None
    expires: float
    certificate: bytes = b""
    authorities: bytes = b""


def read_client(certificate: bytes, roles: Mapping[str, Role], authorities: bytes = b"") -> Client:
    """The client of a certificate in DER, which the handshake has verified.

    With ``roles`` (by name) these alone count, and whoever is not named there has none; without them the certificate
    says it: see :data:`ROLE_URI`. A certificate that cannot be read, or has several common names, names nobody.
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
    """Whether one of the CAs of a PEM text has itself signed a certificate in DER."""
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
    """The role that the certificate names; of several the higher one."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return None
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    return next((role for role in (Role.ADMIN, Role.API) if ROLE_URI + role in uris), None)
