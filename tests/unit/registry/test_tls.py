"""Handshakes with a registry, and the effect of changed files."""

from __future__ import annotations

import logging
import ssl
import time
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from glimpse.launcher.handshake import make_server_context
from glimpse.registry import tls as tls_module
from glimpse.registry.certs import issue_client, issue_server, load_issuer, make_certificates, new_issuer
from glimpse.registry.tls import Client, ServerTls, read_client
from glimpse.registry.wire import Role
from glimpse.tls_files import TlsFileError
from tests.support.private_ca import (
    UNWANTED,
    Pair,
    authority,
    client_context,
    handshake,
    pair,
    server_files,
    unwanted,
    without_role,
    written,
)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return authority(tmp_path / "ca")


@pytest.fixture
def tls(place: Path) -> ServerTls:
    return ServerTls(server_files(place), {}, make_context=make_server_context)


def enter(tls: ServerTls, place: Path, own: Pair | None) -> Client:
    """Who the registry says the client is, after a handshake."""
    return tls.client(handshake(tls.context(), client_context(place / "ca.crt", own))[0])


@pytest.mark.parametrize(("name", "role"), [("node", Role.API), ("operator", Role.ADMIN)])
def test_a_certificate_says_who_the_client_is_and_its_role(tls: ServerTls, place: Path, name: str, role: Role) -> None:
    client = enter(tls, place, pair(place, name))
    assert (client.name, client.role) == (name, role)
    assert tls.refusal(client) is None


def test_a_certificate_without_a_role_gets_in_and_has_none(tls: ServerTls, place: Path) -> None:
    client = enter(tls, place, without_role(place))
    assert (client.name, client.role) == ("no-role", None)


def test_roles_of_the_settings_replace_those_of_the_certificates(place: Path) -> None:
    tls = ServerTls(server_files(place), {"node": Role.ADMIN})
    assert enter(tls, place, pair(place, "node")).role is Role.ADMIN
    assert enter(tls, place, pair(place, "operator")).role is None


def test_nobody_comes_in_without_a_certificate(tls: ServerTls, place: Path) -> None:
    with pytest.raises(ssl.SSLError, match="PEER_DID_NOT_RETURN_A_CERTIFICATE"):
        enter(tls, place, None)


@pytest.mark.parametrize(("kind", "reason"), UNWANTED.items())
def test_a_certificate_that_is_not_good_gets_nobody_in(tls: ServerTls, place: Path, kind: str, reason: str) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match=reason):
        enter(tls, place, unwanted(place, kind))


def test_nothing_older_than_tls_1_3_is_spoken(tls: ServerTls, place: Path) -> None:
    client = client_context(place / "ca.crt", pair(place, "node"))
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError, match="UNSUPPORTED_PROTOCOL"):
        handshake(tls.context(), client)


def test_a_session_cannot_be_resumed_because_its_ca_may_be_gone(tls: ServerTls, place: Path) -> None:
    server, client = handshake(tls.context(), client_context(place / "ca.crt", pair(place, "node")))
    server.write(b"x")
    assert client.read(1) == b"x"
    assert client.session is None or not client.session.has_ticket


def test_a_new_server_certificate_is_shown_to_the_next_connection(tls: ServerTls, place: Path) -> None:
    client = client_context(place / "ca.crt", pair(place, "node"))
    before = handshake(tls.context(), client)[1].getpeercert(binary_form=True)
    renew_server(place)
    after = handshake(tls.context(), client)[1].getpeercert(binary_form=True)
    assert before != after
    assert after is not None
    assert x509.load_der_x509_certificate(after) == x509.load_pem_x509_certificate((place / "server.crt").read_bytes())


def test_a_new_ca_lets_its_clients_in_and_those_of_the_old_one_no_more(tls: ServerTls, place: Path) -> None:
    old = pair(place, "node")
    client = enter(tls, place, old)
    other = new_issuer("another CA", days=1)
    new = written(place, "new-node", issue_client(other, "new-node", Role.API, days=1))
    trusted = Pair(place / "ca.crt", place / "ca.key")
    servers = Pair(place / "servers.crt", place / "servers.key")
    servers.certificate.write_bytes(trusted.certificate.read_bytes())
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(tls.context(), client_context(servers.certificate, new))
    written(place, "ca", other)
    assert tls.client(handshake(tls.context(), client_context(servers.certificate, new))[0]).name == "new-node"
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(tls.context(), client_context(servers.certificate, old))
    # and the connection that was open already
    assert tls.refusal(client) == "The registry's CAs have changed: connect again."


def test_an_open_connection_notices_a_removed_ca_without_a_new_one(
    tls: ServerTls, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls_module, "LOOK_INTERVAL", 0.0)
    client = enter(tls, place, pair(place, "node"))
    assert tls.refusal(client) is None
    written(place, "ca", new_issuer("another CA", days=1))
    assert tls.refusal(client) is not None


def test_an_open_connection_stays_when_its_ca_does(tls: ServerTls, place: Path) -> None:
    client = enter(tls, place, pair(place, "node"))
    both = (place / "ca.crt").read_bytes() + written(
        place, "more", new_issuer("one more", days=1)
    ).certificate.read_bytes()
    (place / "ca.crt").write_bytes(both)
    enter(tls, place, pair(place, "operator"))
    assert tls.refusal(client) is None


def test_a_certificate_that_expires_ends_the_open_connection(tls: ServerTls, place: Path) -> None:
    client = enter(tls, place, pair(place, "node"))
    assert client.expires > time.time()
    late = Client(name=client.name, role=client.role, expires=time.time() - 1, certificate=client.certificate)
    assert tls.refusal(late) == "The certificate of this client has expired."


@pytest.mark.parametrize("damage", ["half", "gone", "other-key"])
def test_what_cannot_be_used_leaves_the_content_before_in_force(
    tls: ServerTls, place: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "glimpse.registry.tls")
    good = (place / "server.crt").read_bytes()
    match damage:
        case "half":
            (place / "server.crt").write_bytes(good[: len(good) // 2])
        case "gone":
            (place / "server.crt").unlink()
        case _:
            written(place, "server", new_issuer("of another key", days=1))
            (place / "server.crt").write_bytes(good)
    for _ in range(2):
        assert enter(tls, place, pair(place, "node")).name == "node"
    assert [record.levelname for record in caplog.records] == ["WARNING"], caplog.text
    assert "stay in force" in caplog.text
    renew_server(place)
    assert enter(tls, place, pair(place, "node")).name == "node"
    assert caplog.records[-1].getMessage() == "The TLS files have changed; the new ones are in force"


def test_each_file_that_cannot_be_used_is_named_in_a_sentence(tmp_path: Path) -> None:
    place = authority(tmp_path / "ca")
    files = server_files(place)
    other = authority(tmp_path / "other")
    missing, empty, locked, late = (tmp_path / name for name in ("missing", "empty", "locked", "late"))
    empty.write_bytes(b"")
    key = serialization.load_pem_private_key((place / "server.key").read_bytes(), None)
    encryption = serialization.BestAvailableEncryption(b"secret")
    form = serialization.PrivateFormat.PKCS8
    locked.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, encryption))
    expired = issue_server(load_issuer(place), "late", [], days=-1, starts=timedelta(days=-2))
    late.write_bytes(expired.certificate.public_bytes(serialization.Encoding.PEM))
    cases = [
        ({"certificate": missing}, f"The server certificate {missing} cannot be read: No such file or directory."),
        ({"certificate": empty}, f"The server certificate {empty} is not a PEM certificate."),
        ({"certificate": late}, f"The server certificate {late} has expired on "),
        ({"key": missing}, f"The key of the server certificate {missing} cannot be read: No such file or directory."),
        ({"key": empty}, f"The certificate {files.certificate} and the key {empty} cannot be used together."),
        ({"key": locked}, f"The key {locked} is encrypted: give the registry a key without a password."),
        (
            {"key": other / "server.key"},
            f"The key {other / 'server.key'} does not belong to the certificate {files.certificate}.",
        ),
        ({"client_authorities": missing}, f"The clients' CA file {missing} cannot be read: "),
        ({"client_authorities": empty}, f"The clients' CA file {empty} contains no PEM certificate."),
        ({"client_authorities": files.key}, f"The clients' CA file {files.key} contains no PEM certificate."),
    ]
    for changed, sentence in cases:
        with pytest.raises(TlsFileError) as caught:
            ServerTls(tls_module.msgspec.structs.replace(files, **changed), {})
        assert str(caught.value).startswith(sentence), caught.value


def test_a_server_certificate_near_its_end_is_worth_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    make_certificates(tmp_path, days=3)
    ServerTls(server_files(tmp_path), {})
    assert "server.crt expires on " in caplog.text


def test_what_is_no_certificate_names_nobody() -> None:
    for certificate in (b"", b"\x30\x03\x02\x01\x01"):
        assert read_client(certificate, {"": Role.ADMIN}) == Client(
            name="", role=None, expires=0.0, certificate=certificate
        )


def test_a_refused_connection_is_counted_and_logged(tls: ServerTls, caplog: pytest.LogCaptureFixture) -> None:
    counted: list[None] = []
    tls.on_refusal = lambda: counted.append(None)
    tls.refused("192.0.2.7:5000", "certificate has expired")
    assert len(counted) == 1
    assert "192.0.2.7:5000" in caplog.text
    assert "certificate has expired" in caplog.text


def renew_server(place: Path) -> None:
    """Another certificate and key for the same host, by the same CA."""
    names = [x509.DNSName("localhost")]
    written(place, "server", issue_server(load_issuer(place), "renewed", names, days=30))
