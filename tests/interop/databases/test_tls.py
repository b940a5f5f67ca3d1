"""TLS to the database with the parameters of the URL, as seen by the server."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from glimpse.db.sql.engine import connect
from glimpse.db.sql.transaction import read
from glimpse.errors import DatabaseUnavailable
from glimpse.registry.certs import issue_client, load_issuer, new_issuer
from glimpse.settings.model import DatabaseSettings, Secret
from tests.support.cutting_relay import CuttingRelay
from tests.support.database_rig import DatabaseRig, rigs
from tests.support.postgresql_standby import directory_for_server, user_of_server
from tests.support.private_ca import authority, written

PG_TLS = "-c ssl=on -c ssl_cert_file={0}/server.crt -c ssl_key_file={0}/server.key -c ssl_ca_file={0}/ca.crt"
MARIADB_TLS = "--ssl-cert={0}/server.crt --ssl-key={0}/server.key --ssl-ca={0}/ca.crt"


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A CA whose server certificate names 127.0.0.1, another CA, and the certificate of a client."""
    rigs()
    directory = directory_for_server("glimpse-tls-")
    authority(directory)
    written(directory, "other-ca", new_issuer("another CA", days=1))
    written(directory, "rig", issue_client(load_issuer(directory), "rig", None, days=1))
    for file in directory.iterdir():
        file.chmod(0o600 if file.suffix == ".key" else 0o644)
    # PostgreSQL wants to own its key; libpq that of its client
    shutil.chown(directory / "server.key", user_of_server())
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture(scope="module", params=["postgresql", "mysql"])
def url(request: pytest.FixtureRequest, place: Path) -> Iterator[sa.URL]:
    """A database on a server that has TLS and asks nobody for it."""
    options = {"RIG_PG_OPTIONS": PG_TLS.format(place), "RIG_MARIADB_OPTIONS": MARIADB_TLS.format(place)}
    with DatabaseRig(request.param, f"tls-{request.param[:2]}", **options) as rig:
        yield sa.make_url(rig.database("tls")).set(query={})


ASKED = {
    "postgresql": "SELECT coalesce(cipher, '') FROM pg_stat_ssl WHERE pid = pg_backend_pid()",
    "mysql": "SHOW SESSION STATUS LIKE 'Ssl_cipher'",
}


def cipher(url: sa.URL, parameters: dict[str, str]) -> str:
    """What the server says of the session: the cipher, empty without TLS."""
    with_them = url.update_query_dict(parameters).render_as_string(hide_password=False)
    engine = connect(DatabaseSettings(connection=Secret(with_them)))
    try:
        statement = ASKED[url.get_backend_name()]
        return read(engine, lambda connection: connection.exec_driver_sql(statement).fetchone()[-1])
    finally:
        engine.dispose()


def for_kind(url: sa.URL, postgresql: dict[str, str], mysql: dict[str, str]) -> dict[str, str]:
    return postgresql if url.get_backend_name() == "postgresql" else mysql


def test_tls_is_taken_where_the_server_has_it(url: sa.URL) -> None:
    assert cipher(url, {})
    assert cipher(url, for_kind(url, {"sslmode": "require"}, {"ssl_mode": "REQUIRED"}))
    assert cipher(url, for_kind(url, {"sslmode": "disable"}, {"ssl_disabled": "true"})) == ""
    assert cipher(url, for_kind(url, {"sslmode": "disable"}, {"ssl_mode": "DISABLED"})) == ""


def test_the_certificate_of_the_server_is_verified(url: sa.URL, place: Path) -> None:
    ours, another = str(place / "ca.crt"), str(place / "other-ca.crt")
    for mode in ("verify-ca", "verify-full"):
        parameters = {"sslmode": mode, "sslrootcert": ours}
        assert cipher(url, for_kind(url, parameters, {"ssl_ca": ours}))
        wrong = for_kind(url, {**parameters, "sslrootcert": another}, {"ssl_ca": another})
        with pytest.raises(DatabaseUnavailable):
            cipher(url, wrong)


def test_the_name_in_the_certificate_is_verified(url: sa.URL, place: Path) -> None:
    """The same server under an address that its certificate does not name."""
    ca = str(place / "ca.crt")
    strict = for_kind(url, {"sslmode": "verify-full", "sslrootcert": ca}, {"ssl_ca": ca, "ssl_verify_identity": "true"})
    lenient = for_kind(url, {"sslmode": "verify-ca", "sslrootcert": ca}, {"ssl_ca": ca, "ssl_mode": "VERIFY_CA"})
    assert cipher(url, strict)
    with CuttingRelay((url.host or "", url.port or 0), host="127.0.0.2") as relay:
        there = url.set(host="127.0.0.2", port=relay.port)
        assert cipher(there, lenient)
        with pytest.raises(DatabaseUnavailable):
            cipher(there, strict)


def test_a_client_shows_its_certificate(url: sa.URL, place: Path) -> None:
    certificate, key, ca = (str(place / name) for name in ("rig.crt", "rig.key", "ca.crt"))
    admin = connect(DatabaseSettings(connection=Secret(url.render_as_string(hide_password=False))))
    if url.get_backend_name() == "postgresql":
        parameters = {"sslmode": "verify-full", "sslrootcert": ca, "sslcert": certificate, "sslkey": key}
        with_them = url.update_query_dict(parameters).render_as_string(hide_password=False)
        engine = connect(DatabaseSettings(connection=Secret(with_them)))
        with engine.connect() as connection:
            statement = "SELECT client_dn FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
            assert "rig" in connection.exec_driver_sql(statement).scalar_one()
        engine.dispose()
    else:
        with admin.connect() as connection:
            connection.exec_driver_sql("CREATE OR REPLACE USER shown IDENTIFIED BY 'word' REQUIRE X509")
            connection.exec_driver_sql("GRANT ALL ON tls.* TO shown")
        theirs = url.set(username="shown", password="word")
        assert cipher(theirs, {"ssl_ca": ca, "ssl_cert": certificate, "ssl_key": key})
        with pytest.raises(DatabaseUnavailable):
            cipher(theirs, {"ssl_ca": ca})
    admin.dispose()


def test_files_that_vanish_are_no_defect(url: sa.URL, place: Path, tmp_path: Path) -> None:
    ca = tmp_path / "ca.crt"
    shutil.copyfile(place / "ca.crt", ca)
    parameters = for_kind(url, {"sslmode": "verify-full", "sslrootcert": str(ca)}, {"ssl_ca": str(ca)})
    with_them = url.update_query_dict(parameters).render_as_string(hide_password=False)
    engine = connect(DatabaseSettings(connection=Secret(with_them)))
    os.unlink(ca)
    with pytest.raises(DatabaseUnavailable):
        read(engine, lambda connection: connection.scalar(sa.select(sa.literal(1))))
    shutil.copyfile(place / "ca.crt", ca)
    assert read(engine, lambda connection: connection.scalar(sa.select(sa.literal(1)))) == 1
    engine.dispose()
