"""PostgreSQL behind PgBouncer, which gives each transaction whichever session is free."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.support.database_rig import DatabaseRig
from tests.support.footprint import eventually
from tests.support.needs import unavailable
from tests.support.postgresql_standby import directory_for_server, user_of_server
from tests.support.raw_http import Api
from tests.support.service import HOST, Service, free_port

CONFIGURATION = """
[databases]
images = host={host} port={server_port} dbname={database} user={user} password={password}
[pgbouncer]
listen_addr = {host}
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 3
logfile = {place}/log
pidfile = {place}/pid
"""


@pytest.fixture(scope="module")
def rig() -> Iterator[DatabaseRig]:
    with DatabaseRig("postgresql", "pooler") as server:
        yield server


@pytest.fixture
def pooled(rig: DatabaseRig) -> Iterator[str]:
    """The URL of an empty database by way of three sessions."""
    program = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
    if program is None:
        unavailable("pgbouncer is not installed")
    main, place, port = sa.make_url(rig.database("pooled")), directory_for_server("glimpse-pooler-"), free_port()
    configuration = Path(place, "pgbouncer.ini")
    configuration.write_text(
        CONFIGURATION.format(
            host=HOST, server_port=main.port, database=main.database, user=main.username, password=main.password,
            port=port, place=place,
        )
    )  # fmt: skip
    user = user_of_server()
    as_user = ["setpriv", "--reuid", user, "--regid", user, "--init-groups"] if os.getuid() == 0 else []
    with (place / "output").open("wb") as output:
        process = subprocess.Popen([*as_user, program, str(configuration)], stdout=output, stderr=output, cwd="/")
    try:
        assert eventually(lambda: accepts(port), 30), (place / "output").read_text()
        yield f"postgresql+psycopg2://anybody@{HOST}:{port}/images"
    finally:
        process.terminate()
        process.wait(30)
        shutil.rmtree(place)


def accepts(port: int) -> bool:
    try:
        socket.create_connection((HOST, port), timeout=5).close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize("parameters", ["", "prepare_threshold=none"])
def test_sessions_that_change_from_transaction_to_transaction(pooled: str, tmp_path: Path, parameters: str) -> None:
    options = {"database": {"connection": pooled, "connection_parameters": parameters}}
    with Service(tmp_path, options=options, workers=2) as service:
        api = Api(service.port)

        def work(number: int) -> None:
            for step in range(15):
                image_id = api.new(name=f"{number} {step}", tags=["one"])
                assert api.upload(image_id, b"data").status == 204
                assert api.patch(image_id, [{"op": "add", "path": "/colour", "value": "red"}]).status == 200
                assert api.call("GET", "/v2/images?limit=5&tag=one").status == 200
                assert api.download(image_id).body == b"data"
                if step % 2:
                    assert api.delete(image_id).status == 204

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(work, range(8)))
        assert len(api.call("GET", "/v2/images?limit=1000").json["images"]) == 8 * 8
