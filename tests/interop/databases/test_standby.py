"""PostgreSQL with a hot standby: it serves reads, and takes over."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.support.database_rig import DatabaseRig
from tests.support.footprint import eventually
from tests.support.postgresql_standby import Standby
from tests.support.raw_http import Api
from tests.support.service import HOST, Service


@pytest.fixture
def rig() -> Iterator[DatabaseRig]:
    """A server for each test: none is the same after a failover."""
    with DatabaseRig("postgresql", "standby") as server:
        yield server


@pytest.fixture
def standby(rig: DatabaseRig) -> Iterator[Standby]:
    with Standby(rig) as running:
        yield running


def test_get_requests_are_answered_by_the_standby(rig: DatabaseRig, standby: Standby, tmp_path: Path) -> None:
    url = rig.database("service")
    options = {
        "database": {"connection": url, "slave_connection": standby.url(url), "synchronous_reader": False},
    }
    with Service(tmp_path, options=options, workers=2) as service:
        api = Api(service.port)
        image_id = api.new(name="old")

        def name() -> str | None:
            answer = api.call("GET", f"/v2/images/{image_id}")
            return answer.json["name"] if answer.status == 200 else None

        assert eventually(lambda: name() == "old", 60)
        assert api.upload(image_id, b"data").status == 204
        rig.down()
        # the main server is away: what only reads goes on
        assert (name(), api.show(image_id)["status"]) == ("old", "active")
        assert api.download(image_id).body == b"data"
        assert api.patch(image_id, [{"op": "replace", "path": "/name", "value": "new"}]).status == 503
        rig.up()
        assert api.patch(image_id, [{"op": "replace", "path": "/name", "value": "new"}]).status == 200
        assert eventually(lambda: name() == "new", 60)


def test_a_failover_needs_no_restart(rig: DatabaseRig, standby: Standby, tmp_path: Path) -> None:
    main = sa.make_url(rig.database("service"))
    query = {"host": (f"{HOST}:{main.port}", f"{HOST}:{standby.port}"), "target_session_attrs": "any"}
    both = sa.URL.create(
        "postgresql+psycopg2", main.username, main.password, database=main.database, query=query
    ).render_as_string(hide_password=False)  # fmt: skip
    with Service(tmp_path, options={"database": {"connection": both}}, workers=2) as service:
        api = Api(service.port)
        images = [api.new(name="old") for _ in range(4)]

        def has_all() -> bool:
            answers = [api.call("GET", f"/v2/images/{image_id}") for image_id in images]
            return [answer.status for answer in answers] == [200] * len(images)

        rig.down()
        # the second host answers: reads go on, changes are refused
        assert eventually(has_all, 60)
        refused = api.patch(images[0], [{"op": "replace", "path": "/name", "value": "new"}])
        assert refused.status == 503
        assert "accepts no changes at the moment" in refused.text
        standby.promote()
        changed = [api.patch(image_id, [{"op": "replace", "path": "/name", "value": "new"}]) for image_id in images]
        assert [answer.status for answer in changed] == [200] * len(images)
        assert api.upload(api.new(), b"data").status == 204
