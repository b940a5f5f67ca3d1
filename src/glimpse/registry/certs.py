"""A small private CA for a trial of the registry: P-256 keys, certificates for TLS 1.3.

An installation with its own CA uses that instead. A client certificate needs a common name, the usage "client
authentication", and the URI of its role (:data:`glimpse.registry.tls.ROLE_URI`).
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from glimpse.registry.tls import ROLE_URI
from glimpse.registry.wire import Role

AUTHORITY = "ca"
SERVER = "server"
#: Names of this machine, for a server certificate without other names.
LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")

#: Tolerance for clocks of other machines that are behind.
_BACKDATED = timedelta(minutes=5)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_HOST = re.compile(r"(\*\.)?[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")

Key = ec.EllipticCurvePrivateKey


class CertificatesError(Exception):
    """Certificates cannot be created; the message is a sentence for the operator."""


class Issuer(msgspec.Struct, frozen=True):
    """A CA that can sign."""

    certificate: x509.Certificate
    key: Key


def make_certificates(
    directory: Path, *, hosts: Sequence[str] = (), clients: Mapping[str, Role] | None = None, days: int = 365
) -> list[Path]:
    """Create a CA in ``directory`` if there is none, a server certificate and certificates for ``clients``.

    An existing CA signs only what is requested: a server certificate for ``hosts``, and ``clients``. The files are
    ``NAME.crt`` and ``NAME.key`` and are never overwritten; keys are readable only by their owner. Returns the created
    files. Certificates are valid for ``days``, and never longer than their CA.

    :raises CertificatesError: a file already exists or cannot be read or written, or a name is invalid.
    """
    clients = clients or {}
    has_authority = _file(directory, AUTHORITY, "crt").exists()
    server_hosts = hosts or (() if has_authority else LOCAL_HOSTS)
    alternative = {host: _host_name(host) for host in server_hosts}
    wanted = [
        *([] if has_authority else [AUTHORITY]),
        *([SERVER] if server_hosts else []),
        *(_checked_name(name) for name in clients),
    ]
    _require_free(directory, wanted)
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        issuer = load_issuer(directory) if has_authority else new_issuer("Glimpse registry trial CA", days=days)
        made = [] if has_authority else _write(directory, AUTHORITY, issuer)
        if server_hosts:
            made += _write(
                directory, SERVER, issue_server(issuer, server_hosts[0], list(alternative.values()), days=days)
            )
        for name, role in clients.items():
            made += _write(directory, name, issue_client(issuer, name, role, days=days))
    except OSError as error:
        raise CertificatesError(f"{error.filename or directory} cannot be written: {error.strerror}.") from error
    return made


def new_issuer(name: str, *, days: int) -> Issuer:
    """Create a CA that is valid for ``days``."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _subject(name)
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    return Issuer(builder.sign(key, hashes.SHA256()), key)


def load_issuer(directory: Path) -> Issuer:
    """Load the CA of a directory.

    :raises CertificatesError: its files cannot be read.
    """
    place, key_place = _file(directory, AUTHORITY, "crt"), _file(directory, AUTHORITY, "key")
    try:
        certificate = x509.load_pem_x509_certificate(place.read_bytes())
        key = serialization.load_pem_private_key(key_place.read_bytes(), password=None)
    except OSError as error:
        raise CertificatesError(f"{error.filename} cannot be read: {error.strerror}.") from error
    except (ValueError, TypeError) as error:
        raise CertificatesError(f"{place} and {key_place} are not a CA created by this command.") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        raise CertificatesError(f"{key_place} is not the key of {place}.")
    return Issuer(certificate, key)


def issue_server(
    issuer: Issuer, name: str, names: Sequence[x509.GeneralName], *, days: float, starts: timedelta = -_BACKDATED
) -> Issuer:
    """Issue a certificate for servers with these ``names``, valid from ``starts`` to ``days`` from now."""
    return _issue(issuer, name, names, ExtendedKeyUsageOID.SERVER_AUTH, timedelta(days=days), starts)


def issue_client(
    issuer: Issuer, name: str, role: Role | None, *, days: float, starts: timedelta = -_BACKDATED
) -> Issuer:
    """Issue a certificate for a client with this ``role``, valid from ``starts`` to ``days`` from now."""
    names = [] if role is None else [x509.UniformResourceIdentifier(ROLE_URI + role)]
    return _issue(issuer, name, names, ExtendedKeyUsageOID.CLIENT_AUTH, timedelta(days=days), starts)


def certificate_pem(issued: Issuer) -> bytes:
    """Encode the certificate for a file."""
    return issued.certificate.public_bytes(serialization.Encoding.PEM)


def key_pem(issued: Issuer) -> bytes:
    """Encode the key for a file."""
    return issued.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _issue(
    issuer: Issuer,
    name: str,
    names: Sequence[x509.GeneralName],
    usage: x509.ObjectIdentifier,
    life: timedelta,
    starts: timedelta,
) -> Issuer:
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_subject(name))
        .issuer_name(issuer.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + starts)
        .not_valid_after(min(now + life, issuer.certificate.not_valid_after_utc))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key()), critical=False)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return Issuer(builder.sign(issuer.key, hashes.SHA256()), key)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])


def _checked_name(name: str) -> str:
    if not _NAME.fullmatch(name) or name in {AUTHORITY, SERVER}:
        raise CertificatesError(
            f"{name!r} cannot be the name of a client: use letters, digits, dots, hyphens and underscores, but not "
            f"{AUTHORITY} or {SERVER}."
        )
    return name


def _host_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host.strip("[]")))
    except ValueError:
        pass
    if not _HOST.fullmatch(host):
        raise CertificatesError(f"{host!r} is neither a host name nor an address.")
    return x509.DNSName(host)


def _file(directory: Path, name: str, kind: str) -> Path:
    return directory / f"{name}.{kind}"


def _require_free(directory: Path, names: Sequence[str]) -> None:
    for name in names:
        for kind in ("crt", "key"):
            path = _file(directory, name, kind)
            if path.exists() or path.is_symlink():
                raise CertificatesError(f"{path} already exists and is not overwritten. Move it away first.")


def _write(directory: Path, name: str, issued: Issuer) -> list[Path]:
    """Write the key and then the certificate of a name; a file created meanwhile is an error too."""
    contents = {"key": (key_pem(issued), 0o600), "crt": (certificate_pem(issued), 0o644)}
    for kind, (content, mode) in contents.items():
        descriptor = os.open(_file(directory, name, kind), os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
    return [_file(directory, name, "crt"), _file(directory, name, "key")]
