"""A running service whose database is restarted or refuses changes: it reports this, and recovers by itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from glimpse.db.sql.engine import connect
from glimpse.settings.model import DatabaseSettings, Secret
from tests.support.database_rig import DatabaseRig
from tests.support.footprint import eventually
from tests.support.raw_http import Answer, Api
from tests.support.registry_service import RegistryService
from tests.support.service import Service

REFUSES = "The database accepts no changes at the moment; reads still work."


@pytest.fixture(scope="module", params=["postgresql", "mysql"])
def rig(request: pytest.FixtureRequest) -> Iterator[DatabaseRig]:
    with DatabaseRig(request.param, f"outage-{request.param[:2]}") as server:
        yield server


@pytest.fixture
def admin(rig: DatabaseRig) -> Iterator[sa.Engine]:
    """Somebody who may do everything on the server."""
    made = connect(DatabaseSettings(connection=Secret(rig.database("others"))))
    yield made
    made.dispose()


def ordinary_user(rig: DatabaseRig, admin: sa.Engine) -> str:
    """The URL of an empty database for a user who may do everything in it and nothing on the server."""
    url = sa.make_url(rig.database("service"))
    with admin.connect() as connection:
        if rig.kind == "postgresql":
            connection.exec_driver_sql("DROP ROLE IF EXISTS images")
            connection.exec_driver_sql("CREATE ROLE images LOGIN PASSWORD 'word'")
            connection.exec_driver_sql("ALTER DATABASE service OWNER TO images")
        else:
            connection.exec_driver_sql("CREATE OR REPLACE USER images IDENTIFIED BY 'word'")
            connection.exec_driver_sql("GRANT ALL ON service.* TO images")
    return url.set(username="images", password="word").render_as_string(hide_password=False)


def rename(api: Api, image_id: str, name: str) -> Answer:
    return api.patch(image_id, [{"op": "replace", "path": "/name", "value": name}])


def test_a_restart_is_not_noticed_after_it(rig: DatabaseRig, tmp_path: Path) -> None:
    options = {"database": {"connection": rig.database("restarted")}}
    with Service(tmp_path, options=options, workers=2) as service:
        api = Api(service.port)
        images = [api.new(name="old") for _ in range(10)]
        # connections of both workers
        assert all(api.call("GET", "/v2/images").status == 200 for _ in range(20))
        rig.down()
        for answer in (api.call("GET", "/v2/images"), rename(api, images[0], "new"), api.delete(images[1])):
            assert answer.status == 503
            assert "The database is not responding." in answer.text
        assert service.answers()
        rig.up()
        assert [rename(api, image_id, "new").status for image_id in images] == [200] * len(images)
        assert {api.show(image_id)["name"] for image_id in images} == {"new"}
        assert "The database is not responding." in service.log
        assert "refused" in service.log


def test_open_connections_that_a_restart_cut_are_made_again_at_once(rig: DatabaseRig, tmp_path: Path) -> None:
    """Nobody asks while the server is away, so every connection of the pools is one of before."""
    options = {"database": {"connection": rig.database("restarted")}}
    with Service(tmp_path, options=options, workers=2) as service:
        api = Api(service.port)
        images = [api.new(name="old") for _ in range(20)]
        assert all(api.call("GET", "/v2/images").status == 200 for _ in range(20))
        rig.kill()
        rig.up()
        assert [rename(api, image_id, "new").status for image_id in images] == [200] * len(images)
        assert [api.upload(image_id, b"data").status for image_id in images] == [204] * len(images)


@contextmanager
def service_on(url: str, place: Path, *, through_registry: bool) -> Iterator[Service]:
    """A service on a database, which it may have from a registry."""
    options = {"database": {"connection": url}}
    with ExitStack() as stack:
        if through_registry:
            options = stack.enter_context(RegistryService(place / "registry", options=options)).node_options()
        yield stack.enter_context(Service(place / "node", options=options, workers=2))


@pytest.mark.parametrize("through_registry", [False, True], ids=["directly", "through a registry"])
def test_a_database_that_refuses_changes(
    rig: DatabaseRig, admin: sa.Engine, tmp_path: Path, through_registry: bool
) -> None:
    with admin.connect() as connection:

        def refuse(refuses: bool) -> None:
            state = "on" if refuses else "off"
            if rig.kind == "postgresql":
                connection.exec_driver_sql(f"ALTER SYSTEM SET default_transaction_read_only = {state}")
                connection.exec_driver_sql("SELECT pg_reload_conf()")
            else:
                connection.exec_driver_sql(f"SET GLOBAL read_only = {state}")

        url = ordinary_user(rig, admin)
        with service_on(url, tmp_path, through_registry=through_registry) as service:
            api = Api(service.port)
            image_id, other = api.new(name="old"), api.new()
            assert api.upload(other, b"data").status == 204
            refuse(True)
            assert eventually(lambda: rename(api, image_id, "old").status == 503, 30)
            for answer in (
                rename(api, image_id, "new"),
                api.call("POST", "/v2/images", b"{}"),
                api.upload(image_id, b"data"),
                api.call("PUT", f"/v2/images/{image_id}/tags/one"),
                api.delete(other),
            ):
                assert answer.status == 503, answer.text
                assert REFUSES in answer.text
            for _ in range(10):
                shown = api.show(image_id)
                assert (shown["name"], shown["status"], shown["tags"]) == ("old", "queued", [])
                assert api.download(other).body == b"data"
                assert len(api.call("GET", "/v2/images").json["images"]) == 2
            refuse(False)
            assert eventually(lambda: rename(api, image_id, "new").status == 200, 30)
            assert api.upload(image_id, b"data").status == 204
            assert api.delete(other).status == 204


def test_a_service_waits_for_a_database_that_starts_later(rig: DatabaseRig, tmp_path: Path) -> None:
    options = {"database": {"connection": rig.database("late"), "max_retries": -1, "retry_interval": 0.2}}
    rig.down()
    service = Service(tmp_path, options=options)
    service.begin()
    try:
        assert eventually(lambda: "retrying in 0.2 seconds" in service.log, 60), service.log
        rig.up()
        service.wait_until_it_answers()
        assert Api(service.port).call("GET", "/v2/images").status == 200
        service.stop()
    finally:
        service.kill_group()
        rig.up()
