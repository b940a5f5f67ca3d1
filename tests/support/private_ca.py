"""CAs of tests, certificates that are wrong in one way each, and handshakes without a network."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from glimpse.registry.certs import (
    Issuer,
    certificate_pem,
    issue_client,
    issue_server,
    key_pem,
    load_issuer,
    make_certificates,
    new_issuer,
)
from glimpse.registry.tls import TlsFiles
from glimpse.registry.wire import Role

#: Certificates that a registry of :func:`authority` lets nobody in with, and what OpenSSL says of each.
UNWANTED = {
    "expired": "certificate has expired",
    "not-yet-valid": "certificate is not yet valid",
    "self-signed": "self-signed certificate",
    "other-ca": "unable to get local issuer certificate",
    "for-servers": "unsuitable certificate purpose",
}


@dataclass(frozen=True)
class Pair:
    """The files of a certificate and its key."""

    certificate: Path
    key: Path


def authority(directory: Path) -> Path:
    """A new CA in ``directory``, with a certificate of this machine's registry and clients `node` and `operator`."""
    make_certificates(directory, clients={"node": Role.API, "operator": Role.ADMIN})
    return directory


def server_files(directory: Path) -> TlsFiles:
    """What a registry with the certificates of :func:`authority` reads."""
    return TlsFiles(
        certificate=directory / "server.crt", key=directory / "server.key", client_authorities=directory / "ca.crt"
    )


def pair(directory: Path, name: str) -> Pair:
    """The certificate of a name that is in ``directory``."""
    return Pair(directory / f"{name}.crt", directory / f"{name}.key")


def written(directory: Path, name: str, issued: Issuer) -> Pair:
    """Write a certificate and its key, over others of that name too."""
    found = pair(directory, name)
    found.certificate.write_bytes(certificate_pem(issued))
    found.key.write_bytes(key_pem(issued))
    return found


def without_role(directory: Path) -> Pair:
    """A good certificate of a client that names no role."""
    return written(directory, "no-role", issue_client(load_issuer(directory), "no-role", None, days=1))


def unwanted(directory: Path, kind: str) -> Pair:
    """One of :data:`UNWANTED`; all claim the role `admin`."""
    issuer = load_issuer(directory)
    match kind:
        case "expired":
            issued = issue_client(issuer, kind, Role.ADMIN, days=-1, starts=timedelta(days=-2))
        case "not-yet-valid":
            issued = issue_client(issuer, kind, Role.ADMIN, days=2, starts=timedelta(days=1))
        case "self-signed":
            issued = new_issuer(kind, days=1)
        case "other-ca":
            # of the same name as the real one
            issued = issue_client(new_issuer("Glimpse registry trial CA", days=1), kind, Role.ADMIN, days=1)
        case "for-servers":
            issued = issue_server(issuer, kind, [], days=1)
        case _:
            raise AssertionError(kind)
    return written(directory, kind, issued)


def client_context(authorities: Path, own: Pair | None) -> ssl.SSLContext:
    """A client that trusts ``authorities`` and shows its ``own`` certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(authorities)
    if own is not None:
        context.load_cert_chain(own.certificate, own.key)
    return context


def handshake(server: ssl.SSLContext, client: ssl.SSLContext, host: str = "localhost") -> tuple[ssl.SSLObject, ...]:
    """The two ends, server first, after a whole handshake.

    :raises ssl.SSLError: one side refuses the other.
    """
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (
        server.wrap_bio(to_server, to_client, server_side=True),
        client.wrap_bio(to_client, to_server, server_hostname=host),
    )
    waiting = [ends[1], ends[0]]
    while waiting:
        end = waiting.pop(0)
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            waiting.append(end)
    return ends
