"""PostgreSQL and MariaDB use indexes too when the tables were analysed only when they were nearly empty.

A few thousand images and jobs are loaded, and the plan of every statement that common operations send is asked for.
MariaDB is also asked on tables that nobody analysed; PostgreSQL analyses new tables by itself within a minute or two,
and reads tables whole until then. MariaDB remembers what it knew of a table when it opened it, so its tables are opened
anew.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from bench.catalogue import Catalogue
from bench.load import analyze, fill
from glimpse.db import schema
from glimpse.db.base import Database
from glimpse.db.records import Viewer
from glimpse.db.sql.database import SqlDatabase
from glimpse.db.sql.engine import connect, engine_url
from glimpse.db.sql.own_tables import jobs
from glimpse.domain.image import ImageChange
from glimpse.domain.job import Claim, JobStatus
from glimpse.domain.listing import Comparison, ListQuery
from glimpse.domain.status import MemberStatus, Status
from tests.contract.db.backends import SERVERS, Server, available, settings_for
from tests.contract.db.examples import ADMIN, LIFETIME, MOMENT, STORED, deletion_job, image, upload_job

KINDS = [kind for kind in available() if kind in SERVERS]
#: When the tables were analysed.
STATISTICS = {"postgresql": ("loaded", "nearly empty"), "mysql": ("loaded", "never", "nearly empty")}
#: Rows that MariaDB may read by an index on a flag: it has the primary key behind the flag, which finds one row.
FEW = 10
#: Entries that a statement with a limit reads of an index from its beginning (``db/sql/tag_property_filters.py``).
SAMPLE = 256
#: A list of one status, which no index begins with (docs/adr/0010).
_OF_ONE_STATUS = ("all of images is read", "SELECT images.id", "(images.status = ")
#: What PostgreSQL reads whole, by words of the statement: all images for an administrator's list of one status. After
#: looking at three images and one job that was due also all images for such a list, and for the sums, of a project that
#: has very many of them, and the jobs, until it looks again. It takes no hints.
EXCUSED = {
    ("postgresql", "loaded"): ((*_OF_ONE_STATUS, "images.visibility != 'community'"),),
    ("postgresql", "nearly empty"): (
        _OF_ONE_STATUS,
        ("all of images is read", "SELECT sum(images.size"),
        ("all of glimpse_jobs is read", "SELECT glimpse_jobs.id"),
    ),
}
IMAGES = 6000
JOBS = 3000
GROWING = ("images", "image_properties", "image_tags", "image_locations", "image_members", "glimpse_jobs")

pytestmark = pytest.mark.skipif(not KINDS, reason="no variable names a database server")


def _without_statistics(engine: sa.Engine) -> None:
    """Keep the server from looking at the tables by itself."""
    with engine.begin() as connection:
        for table in GROWING:
            stop = (
                "SET (autovacuum_enabled = false)" if engine.dialect.name == "postgresql" else "STATS_AUTO_RECALC = 0"
            )
            connection.exec_driver_sql(f"ALTER TABLE {table} {stop}")


@pytest.fixture(scope="module", params=[(kind, when) for kind in KINDS for when in STATISTICS[kind]], ids=str)
def loaded(request: pytest.FixtureRequest, server: Callable[[str, str], Server]) -> Iterator[sa.Engine]:
    kind, when = request.param
    made = server(kind, f"plans_{when.replace(' ', '_')}")
    made.recreate()
    engine = connect(settings_for(made.url))
    schema.sync(engine)
    _without_statistics(engine)
    if when == "nearly empty":
        _load(made, engine, 3)
        _analyze(engine)
        with engine.begin() as connection:
            for table in reversed(GROWING):
                connection.exec_driver_sql(f"DELETE FROM {table}")
    _load(made, engine, IMAGES)
    if when == "loaded":
        _analyze(engine)
    if kind == "mysql":
        with engine.begin() as connection:
            connection.exec_driver_sql(f"FLUSH TABLES {', '.join(GROWING)}")
    yield engine
    engine.dispose()
    made.recreate()


def _load(made: Server, engine: sa.Engine, size: int) -> None:
    """Images, and half as many jobs, of which one in a hundred is due."""
    fill(engine_url(made.url), Catalogue(size))
    ended = {"status": JobStatus.SUCCEEDED.value, "due_at": None, "ended_at": MOMENT}
    due = {"status": JobStatus.PENDING.value, "due_at": 1.0, "ended_at": None}
    common = {
        "type": "location_import",
        "input": "{}",
        "steps": "{}",
        "message": "",
        "attempt": 0,
        "generation": 0,
        "bytes_done": 0,
        "cancel_requested": False,
        "created_at": MOMENT,
        "updated_at": MOMENT,
    }
    rows = [
        {**common, **(ended if number % 100 else due), "id": f"job-{number}"} for number in range(size * JOBS // IMAGES)
    ]
    with engine.begin() as connection:
        connection.execute(sa.insert(jobs), rows)


def _analyze(engine: sa.Engine) -> None:
    analyze(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "ANALYZE TABLE glimpse_jobs" if engine.dialect.name == "mysql" else "ANALYZE glimpse_jobs"
        )


def _example(engine: sa.Engine, *, owners: str) -> tuple[str, str]:
    """The id and the owner of an active shared image: of the project with most images, or with few."""
    with engine.connect() as connection:
        owner = connection.exec_driver_sql(
            "SELECT owner FROM images WHERE deleted = false AND status = 'active' AND visibility = 'shared'"
            f" AND protected = false AND owner IS NOT NULL GROUP BY owner ORDER BY count(*) {owners}, owner LIMIT 1"
        ).scalar_one()
        image_id = connection.execute(
            sa.text(
                "SELECT id FROM images WHERE owner = :owner AND deleted = false AND status = 'active'"
                " AND visibility = 'shared' AND protected = false ORDER BY id LIMIT 1"
            ),
            {"owner": owner},
        ).scalar_one()
    return image_id, owner


_LISTS = (
    ListQuery(limit=25),
    ListQuery(limit=25, visibility="public"),
    ListQuery(limit=25, member_status="pending"),
    ListQuery(limit=25, comparisons=(Comparison("name", "eq", "snapshot"),)),
    ListQuery(limit=25, comparisons=(Comparison("name", "eq", "no such name"),)),
    ListQuery(limit=25, comparisons=(Comparison("status", "eq", "saving"),)),
    ListQuery(limit=25, properties=(("os_distro", "ubuntu"),)),
    ListQuery(limit=25, properties=(("os_distro", "freebsd"),)),
    ListQuery(limit=25, tags=("env-0",)),
    ListQuery(limit=25, tags=("team-7",)),
)


def _read(database: Database, image_id: str, owner: str) -> None:
    viewer = Viewer(owner)
    for query in _LISTS:
        for who in (viewer, ADMIN, Viewer("a project without images")):
            database.list_images(query, who)
    database.get_image(image_id, viewer)
    database.list_members(image_id, viewer)
    database.list_members(image_id, viewer, member_id="member")
    database.usage(owner)
    database.due_jobs(["upload"], stores=["fast"], limit=2)


def _write(database: Database, image_id: str, owner: str) -> None:
    database.update_image(image_id, ImageChange(set_properties={"p": "v"}, add_tags=("t",)))
    database.add_member(image_id, "member", maximum=100)
    database.set_member_status(image_id, "member", MemberStatus.ACCEPTED)
    database.remove_member(image_id, "member")
    made = image(owner=owner)
    database.create_image(made)
    cancelled, finished = upload_job(made.id), upload_job(made.id)
    database.begin_upload(cancelled, LIFETIME)
    database.cancel_upload(cancelled)
    database.begin_upload(finished, LIFETIME)
    database.finish_upload(finished, STORED)
    [due] = database.due_jobs(("location_import",), limit=1)
    claimed = database.claim_job(due, "worker-1", 5000.0)
    assert claimed is not None
    database.renew_jobs("worker-1", [Claim(claimed.id, claimed.generation)], 6000.0)
    deletion = deletion_job(image_id)
    database.begin_deletion(deletion, LIFETIME, from_status=Status.ACTIVE)
    database.finish_deletion(deletion)


def _faults(engine: sa.Engine, statement: str, parameters: Any) -> Iterator[str]:
    with engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            [(plan,)] = connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", parameters).fetchall()
            yield from _faults_of_node((json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"])
        else:
            for row in connection.exec_driver_sql(f"EXPLAIN {statement}", parameters).mappings():
                if row["table"] in GROWING and (row["type"] == "ALL" or _reads_whole_index(row)):
                    yield f"all of {row['table']} is read"
                if str(row["key"]).endswith("_deleted") and int(row["rows"]) > FEW:
                    yield f"{row['key']} leads to nearly all rows"


def _reads_whole_index(row: sa.RowMapping) -> bool:
    # up to a limit it is read in order, which is not whole
    return row["type"] == "index" and int(row["rows"]) > SAMPLE


def _faults_of_node(node: dict[str, Any]) -> Iterator[str]:
    if node["Node Type"] == "Seq Scan" and node.get("Relation Name") in GROWING:
        yield f"all of {node['Relation Name']} is read"
    if str(node.get("Index Name", "")).endswith("_deleted"):
        yield f"{node['Index Name']} leads to nearly all rows"
    for below in node.get("Plans", ()):
        yield from _faults_of_node(below)


@pytest.mark.parametrize("owners", ["DESC", "ASC"], ids=["large project", "small project"])
def test_common_operations_use_indexes_whatever_was_analysed(
    loaded: sa.Engine, owners: str, request: pytest.FixtureRequest
) -> None:
    image_id, owner = _example(loaded, owners=owners)
    database = SqlDatabase(loaded)
    sent: dict[str, Any] = {}

    def record(_connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, many: bool) -> None:
        if statement.startswith(("SELECT", "UPDATE", "DELETE", "WITH", "(SELECT")):
            sent.setdefault(statement, parameters[0] if many else parameters)

    event.listen(loaded, "before_cursor_execute", record)
    try:
        _read(database, image_id, owner)
        _write(database, image_id, owner)
    finally:
        event.remove(loaded, "before_cursor_execute", record)
    assert len(sent) >= 40
    excused = EXCUSED.get(request.node.callspec.params["loaded"], ())
    found = [
        f"{fault}\n{statement}"
        for statement, parameters in sent.items()
        for fault in _faults(loaded, statement, parameters)
        if not any(fault == known and all(word in statement for word in words) for known, *words in excused)
    ]
    assert found == []
