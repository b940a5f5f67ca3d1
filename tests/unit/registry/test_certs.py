"""``glimpse registry certs``: what it creates, what it refuses, and that the certificates work together."""

from __future__ import annotations

import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from cryptography import x509

from glimpse.cli.main import main
from glimpse.registry.certs import CertificatesError, make_certificates
from glimpse.registry.tls import ServerTls
from glimpse.registry.wire import Role
from glimpse.settings.database_url import addresses
from glimpse.settings.load import Sources, load
from glimpse.settings.model import Settings
from glimpse.stores.all import DRIVERS
from tests.support.private_ca import client_context, handshake, pair, server_files


def certs(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["registry", "certs", *map(str, arguments)])


def client_of(place: Path, name: str, host: str = "localhost") -> tuple[str, Role | None]:
    """Name and role of a client after a strict handshake, as Python 3.13 makes them by default."""
    tls = ServerTls(server_files(place), {})
    context = client_context(place / "ca.crt", pair(place, name))
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    server = tls.context()
    server.verify_flags |= ssl.VERIFY_X509_STRICT
    client = tls.client(handshake(server, context, host)[0])
    return client.name, client.role


def files_of(place: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in place.iterdir()}


def test_it_makes_a_ca_a_server_and_a_client_that_work_together(tmp_path: Path) -> None:
    result = certs(tmp_path / "ca")
    assert result.exit_code == 0, result.output
    assert sorted(files_of(tmp_path / "ca")) == [
        "api-node.crt", "api-node.key", "ca.crt", "ca.key", "server.crt", "server.key",
    ]  # fmt: skip
    for host in ("localhost", "127.0.0.1", "::1"):
        assert client_of(tmp_path / "ca", "api-node", host) == ("api-node", Role.API)


def test_keys_and_the_directory_can_be_read_by_their_owner_only(tmp_path: Path) -> None:
    place = tmp_path / "ca"
    certs(place)
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    for key in place.glob("*.key"):
        assert stat.S_IMODE(key.stat().st_mode) == 0o600


def test_hosts_clients_and_roles_are_those_that_were_asked_for(tmp_path: Path) -> None:
    result = certs(
        tmp_path, "--host", "registry.example.net", "--host", "192.0.2.7", "--host", "[2001:db8::7]",
        "--client", "node-1", "--role", "api", "--client", "ops", "--role", "admin",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert client_of(tmp_path, "node-1", "registry.example.net") == ("node-1", Role.API)
    assert client_of(tmp_path, "ops", "192.0.2.7") == ("ops", Role.ADMIN)
    assert client_of(tmp_path, "ops", "2001:db8::7") == ("ops", Role.ADMIN)
    with pytest.raises(ssl.SSLCertVerificationError, match=r"doesn't match|mismatch"):
        client_of(tmp_path, "node-1", "localhost")


def test_a_client_can_be_added_later_and_nothing_else_changes(tmp_path: Path) -> None:
    certs(tmp_path)
    before = files_of(tmp_path)
    result = certs(tmp_path, "--client", "ops", "--role", "admin")
    assert result.exit_code == 0, result.output
    after = files_of(tmp_path)
    assert after.keys() - before.keys() == {"ops.crt", "ops.key"}
    assert before == {name: after[name] for name in before}
    assert client_of(tmp_path, "ops") == ("ops", Role.ADMIN)
    assert "registry_server_cert_file" not in result.output


def test_a_server_of_another_host_can_be_added_when_the_first_was_moved_away(tmp_path: Path) -> None:
    certs(tmp_path)
    for kind in ("crt", "key"):
        (tmp_path / f"server.{kind}").rename(tmp_path / f"first.{kind}")
    assert certs(tmp_path, "--host", "second.example.net").exit_code == 0
    assert client_of(tmp_path, "api-node", "second.example.net")[0] == "api-node"


@pytest.mark.parametrize(
    ("made_first", "arguments", "in_the_way"),
    [
        ([], ["--client", "api-node"], "api-node.crt"),
        ([], ["--host", "localhost"], "server.crt"),
        (["ca.crt"], ["--client", "fresh", "--client", "api-node"], "api-node.crt"),
    ],
)
def test_nothing_is_overwritten_and_nothing_is_done_by_halves(
    tmp_path: Path, made_first: list[str], arguments: list[str], in_the_way: str
) -> None:
    certs(tmp_path)
    before = files_of(tmp_path)
    result = certs(tmp_path, *arguments)
    assert result.exit_code == 1
    assert f"{tmp_path / in_the_way} already exists" in result.output
    assert files_of(tmp_path) == before


def test_a_key_without_its_certificate_is_not_overwritten_either(tmp_path: Path) -> None:
    (tmp_path / "ca.key").write_text("precious")
    result = certs(tmp_path)
    assert result.exit_code == 1
    assert "ca.key already exists" in result.output
    assert files_of(tmp_path) == {"ca.key": b"precious"}


@pytest.mark.parametrize("name", ["ca", "server", "", "../out", "a/b", "-x", "a" * 65, "with blank", "ünicode"])
def test_a_name_that_is_no_file_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(CertificatesError, match="cannot be the name of a client"):
        make_certificates(tmp_path / "ca", clients={name: Role.API})
    assert not (tmp_path / "ca").exists()


@pytest.mark.parametrize("host", ["", "a b", "http://x", "-x", "a" * 300])
def test_a_host_that_is_none_is_refused(tmp_path: Path, host: str) -> None:
    with pytest.raises(CertificatesError, match="neither a host name nor an address"):
        make_certificates(tmp_path / "ca", hosts=[host])
    assert not (tmp_path / "ca").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--client", "a", "--client", "b", "--role", "api"], "one --role for each --client"),
        (["--role", "api"], "one --role for each --client"),
        (["--client", "a", "--client", "a"], "given twice"),
        (["--client", "a", "--role", "boss"], "boss"),
        (["--days", "0"], "--days"),
    ],
)
def test_a_command_line_that_makes_no_sense_makes_nothing(tmp_path: Path, arguments: list[str], message: str) -> None:
    result = certs(tmp_path / "ca", *arguments)
    assert result.exit_code == 2
    assert message in result.output
    assert not (tmp_path / "ca").exists()


def test_a_ca_that_is_there_wants_to_be_told_what_to_sign(tmp_path: Path) -> None:
    certs(tmp_path)
    result = certs(tmp_path)
    assert result.exit_code == 2
    assert "already has a CA" in result.output


def test_a_ca_whose_key_is_anothers_is_refused(tmp_path: Path) -> None:
    certs(tmp_path / "one")
    certs(tmp_path / "two")
    (tmp_path / "one" / "ca.key").write_bytes((tmp_path / "two" / "ca.key").read_bytes())
    result = certs(tmp_path / "one", "--client", "more")
    assert result.exit_code == 1
    assert "is not the key of" in result.output


def test_certificates_hold_as_long_as_asked_and_never_longer_than_their_ca(tmp_path: Path) -> None:
    certs(tmp_path, "--days", "10")
    certs(tmp_path, "--client", "long", "--days", "3650")
    ends = {
        name: x509.load_pem_x509_certificate((tmp_path / f"{name}.crt").read_bytes()).not_valid_after_utc
        for name in ("ca", "server", "long")
    }
    assert abs(ends["ca"] - datetime.now(UTC) - timedelta(days=10)) < timedelta(minutes=10)
    assert ends["long"] == ends["ca"]
    assert ends["server"] <= ends["ca"]


def test_what_it_prints_for_the_registry_is_a_configuration(tmp_path: Path) -> None:
    place = tmp_path / "ca"
    output = certs(place, "--host", "registry.example.net").output
    server = output[output.index("# configuration of the registry") : output.index("# configuration of api-node")]
    settings = loaded(tmp_path / "server.conf", server).registry_server
    assert (settings.cert_file, settings.key_file) == (place / "server.crt", place / "server.key")
    assert settings.client_ca_file == place / "ca.crt"
    assert settings.host == "registry.example.net"


def test_what_it_prints_for_a_client_is_a_configuration(tmp_path: Path) -> None:
    place = tmp_path / "ca"
    output = certs(place, "--host", "2001:db8::7").output
    settings = loaded(tmp_path / "node.conf", output[output.index("# configuration of api-node") :])
    assert str.__str__(settings.database.connection) == "registry+https://[2001:db8::7]:9191"
    assert addresses(settings.database.connection) == (("2001:db8::7", 9191),)
    assert settings.registry.ca_file == place / "ca.crt"
    assert settings.registry.cert_file == place / "api-node.crt"
    assert settings.registry.key_file == place / "api-node.key"


def loaded(file: Path, text: str) -> Settings:
    file.write_text(text)
    return load(Sources(config_files=(file,), environ={"HOME": "/nowhere"}), DRIVERS).settings
