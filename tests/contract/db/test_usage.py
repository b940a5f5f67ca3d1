"""Usage of projects (database 12), and reservations under concurrency."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from glimpse.db.base import Database
from glimpse.db.records import UsageFigures
from glimpse.db.sql.own_tables import jobs
from glimpse.db.sql.tables import image_locations, image_properties
from glimpse.domain.allowance import Allowance, ImageCeiling
from glimpse.domain.image import Image, ImageChange, Location
from glimpse.domain.job import Job, JobChange, JobStatus
from glimpse.domain.status import Status
from glimpse.errors import Conflict, LeaseLost, LimitExceeded
from tests.contract.db.backends import Backend
from tests.contract.db.examples import ADMIN, LIFETIME, OVER, STORED, image, upload_job

MIB = 1 << 20
COPYING = "os_glance_importing_to_stores"


def allowance(limit: int, **fields: Any) -> Allowance:
    return Allowance(project_id="project-a", limit=limit, **fields)


def stored(database: Database, **fields: Any) -> Image:
    created = image(**fields)
    database.create_image(created)
    return created


def copies(*stores: str) -> tuple[Location, ...]:
    return tuple(Location(url=f"file:///{store}/1", metadata={"store": store}) for store in stores)


def claimed(
    database: Database, limit: Allowance | None, reserve: int = 1, lifetime: float = LIFETIME, **fields: Any
) -> Job:
    created = stored(database, **fields)
    held = upload_job(created.id)
    database.begin_upload(held, lifetime, allowance=limit, reserve=reserve)
    return held


def total(database: Database) -> int:
    return database.usage("project-a").size_total


def reserved(backend: Backend) -> list[tuple[str | None, int | None]]:
    return [(row["project_id"], row["reserved_bytes"]) for row in backend.rows(jobs) if row["due_at"] is not None]


def in_threads(count: int, work: Callable[[int], object]) -> list[object]:
    """What ``count`` threads that start together get or raise."""
    start = threading.Barrier(count)

    def run(number: int) -> object:
        start.wait()
        try:
            return work(number)
        except LimitExceeded as error:
            return error

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


def test_nothing_is_used(database: Database) -> None:
    nothing = UsageFigures(size_total=0, stage_total=0, count_total=0, count_uploading=0)
    assert database.usage("project-a") == nothing
    assert database.usage(None) == nothing


def test_every_copy_counts(database: Database) -> None:
    """imports-and-stores 7.1: size times live locations."""
    stored(database, status=Status.ACTIVE, size=10, locations=copies("a", "b", "c"))
    stored(database, status=Status.ACTIVE, size=7, locations=copies("a"))
    stored(database, status=Status.DEACTIVATED, size=5, locations=copies("a"))
    stored(database, status=Status.ACTIVE, size=None, locations=copies("a"))
    stored(database, status=Status.ACTIVE, size=100, owner="project-b", locations=copies("a"))
    stored(database, status=Status.QUEUED, size=50)
    found = database.usage("project-a")
    assert (found.size_total, found.count_total) == (42, 5)
    assert database.usage("project-b").size_total == 100


@pytest.mark.parametrize("status", [Status.KILLED, Status.DELETED, Status.PENDING_DELETE])
def test_the_dead_count_for_nothing(database: Database, status: Status) -> None:
    stored(database, status=status, size=10, locations=copies("a"), properties={COPYING: "a"})
    assert database.usage("project-a") == UsageFigures(size_total=0, stage_total=0, count_total=0, count_uploading=0)


def test_deleted_locations_count_no_more_and_pending_ones_do(backend: Backend) -> None:
    created = stored(backend.database, status=Status.ACTIVE, size=10, locations=copies("a", "b", "c"))
    rows = backend.rows(image_locations, image_id=created.id)
    for row, status in zip(rows, ("deleted", "pending_delete", "active"), strict=True):
        backend.execute(sa.update(image_locations).where(image_locations.c.id == row["id"]).values(status=status))
    assert total(backend.database) == 20


def test_unfinished_images(database: Database) -> None:
    for status in (Status.SAVING, Status.UPLOADING, Status.IMPORTING, Status.QUEUED, Status.ACTIVE):
        stored(database, status=status, size=10)
    found = database.usage("project-a")
    assert (found.stage_total, found.count_total, found.count_uploading) == (20, 5, 3)


@pytest.mark.parametrize(("text", "counts"), [("b,c", True), ("", False), (None, False)])
def test_images_being_copied_are_staged_and_uploading(database: Database, text: str | None, counts: bool) -> None:
    stored(database, status=Status.ACTIVE, size=10, locations=copies("a"), properties={COPYING: text, "other": "x"})
    found = database.usage("project-a")
    assert (found.size_total, found.stage_total, found.count_uploading) == (10, 10 * counts, int(counts))


def test_an_image_in_import_counts_once(database: Database) -> None:
    stored(database, status=Status.IMPORTING, size=10, properties={COPYING: "a"})
    found = database.usage("project-a")
    assert (found.stage_total, found.count_uploading) == (10, 1)


def test_the_property_counts_whether_it_is_deleted_or_not(backend: Backend) -> None:
    """database 12: the flag is not looked at."""
    stored(backend.database, status=Status.ACTIVE, size=10, properties={COPYING: "a"})
    backend.execute(sa.update(image_properties).values(deleted=True))
    assert backend.database.usage("project-a").count_uploading == 1


def test_images_without_an_owner(database: Database) -> None:
    stored(database, owner=None, status=Status.ACTIVE, size=10, locations=copies("a"))
    assert database.usage(None).size_total == 10
    assert database.usage("project-a").count_total == 0


def test_one_statement(backend: Backend) -> None:
    with backend.counting() as statements:
        backend.database.usage("project-a")
        backend.database.usage(None)
    assert len(statements) == 2


def test_statements_of_an_upload(backend: Backend) -> None:
    """Without an allowance an upload costs what it did; with one, 1 statement more, and 1 for the lock on servers."""
    lock = backend.kind != "sqlite"
    created = stored(backend.database)
    with backend.counting() as statements:
        backend.database.begin_upload(upload_job(created.id), LIFETIME)
    assert len(statements) == 2
    created = stored(backend.database)
    held = upload_job(created.id)
    with backend.counting() as statements:
        backend.database.begin_upload(held, LIFETIME, allowance=allowance(10), reserve=1)
    assert len(statements) == 3 + lock
    with backend.counting() as statements:
        backend.database.extend_reservation(held, allowance(10), 5, 5)
    assert len(statements) == 2 + lock


def test_a_claim_reserves(backend: Backend) -> None:
    claimed(backend.database, allowance(10), 6)
    assert reserved(backend) == [("project-a", 6)]
    assert total(backend.database) == 0


def test_a_claim_without_room_leaves_the_image_queued(backend: Backend) -> None:
    claimed(backend.database, allowance(10), 6)
    created = stored(backend.database)
    with pytest.raises(LimitExceeded, match=r"at most 10 bytes in total: 6 bytes are used .* needs 5 bytes or"):
        backend.database.begin_upload(upload_job(created.id), LIFETIME, allowance=allowance(10), reserve=5)
    assert backend.database.get_image(created.id, ADMIN).status is Status.QUEUED
    assert len(reserved(backend)) == 1
    backend.database.begin_upload(upload_job(created.id), LIFETIME, allowance=allowance(10), reserve=4)


def test_a_claim_of_an_image_that_is_not_queued_reserves_nothing(backend: Backend) -> None:
    created = stored(backend.database, status=Status.ACTIVE)
    with pytest.raises(Conflict):
        backend.database.begin_upload(upload_job(created.id), LIFETIME, allowance=allowance(10), reserve=1)
    assert reserved(backend) == []


def test_projects_do_not_share(database: Database) -> None:
    claimed(database, allowance(10), 10)
    claimed(database, Allowance(project_id="project-b", limit=10), 10, owner="project-b")


def test_what_images_have_counts_beside_what_is_reserved(database: Database) -> None:
    stored(database, status=Status.ACTIVE, size=3, locations=copies("a", "b"))
    claimed(database, allowance(10), 3)
    with pytest.raises(LimitExceeded):
        claimed(database, allowance(10), 2)
    claimed(database, allowance(10), 1)


def test_the_image_being_written_does_not_count(database: Database) -> None:
    """images-api 6.2. An image that Glance queued again may have data left over (images-api 4.2, row 20)."""
    claimed(database, allowance(10), 10, size=9, locations=copies("a"))


def test_the_end_of_an_upload_turns_its_reservation_into_usage(backend: Backend) -> None:
    held = claimed(backend.database, allowance(10), 6)
    backend.database.finish_upload(held, msgspec.structs.replace(STORED, size=4))
    assert (reserved(backend), total(backend.database)) == ([], 4)
    claimed(backend.database, allowance(10), 6)
    with pytest.raises(LimitExceeded):
        claimed(backend.database, allowance(10), 1)


@pytest.mark.parametrize("reason", [None, "The process ended."])
def test_a_cancelled_upload_gives_its_room_back(backend: Backend, reason: str | None) -> None:
    held = claimed(backend.database, allowance(10), 10)
    backend.database.cancel_upload(held, None if reason is None else JobChange(status=JobStatus.FAILED, message=reason))
    assert reserved(backend) == []
    claimed(backend.database, allowance(10), 10)


def test_recovery_gives_the_room_back(backend: Backend) -> None:
    """The job that was taken over keeps the reservation until the data of the dead process are gone."""
    held = claimed(backend.database, allowance(10), 10, lifetime=OVER)
    (expired,) = backend.database.due_jobs(["upload"], stores=["fast"], limit=2)
    taken = backend.database.claim_job(expired, "worker-2", LIFETIME)
    assert taken is not None
    with pytest.raises(LimitExceeded):
        claimed(backend.database, allowance(10), 1)
    with pytest.raises(LeaseLost):
        backend.database.extend_reservation(held, allowance(10), 5, 5)
    assert backend.database.cancel_upload(taken)
    claimed(backend.database, allowance(10), 10)


def test_a_new_attempt_takes_the_place_of_a_stale_one(backend: Backend) -> None:
    held = claimed(backend.database, allowance(10), 7)
    backend.database.update_image(held.image_id or "", ImageChange(columns={"status": Status.QUEUED}))
    backend.database.begin_upload(upload_job(held.image_id or ""), LIFETIME)
    assert reserved(backend) == [(None, None)]


def test_the_deletion_of_a_pending_image_keeps_the_room_taken(backend: Backend) -> None:
    """Deleting an image while its data come must not make room for another upload: the data still come."""
    held = claimed(backend.database, allowance(10), 10)
    backend.database.delete_without_data(held.image_id or "")
    with pytest.raises(LimitExceeded):
        claimed(backend.database, allowance(10), 1)
    assert not backend.database.cancel_upload(held)
    claimed(backend.database, allowance(10), 10)


def test_a_reservation_grows(backend: Backend) -> None:
    held = claimed(backend.database, allowance(1000))
    other = claimed(backend.database, allowance(1000), 200)
    assert backend.database.extend_reservation(held, allowance(1000), 100, 100) == 100
    # beyond the need an eighth of what is free: 1000 - 200 - 160
    assert backend.database.extend_reservation(held, allowance(1000), 160, 400) == 240
    assert sorted(reserved(backend)) == [("project-a", 200), ("project-a", 240)]
    assert backend.database.extend_reservation(held, allowance(1000), 800, 5000) == 800
    for needed in (801, 5000):
        with pytest.raises(LimitExceeded):
            backend.database.extend_reservation(held, allowance(1000), needed, needed)
    assert sorted(reserved(backend)) == [("project-a", 200), ("project-a", 800)]
    backend.database.cancel_upload(other)
    assert backend.database.extend_reservation(held, allowance(1000), 1000, 1000) == 1000


def test_a_job_that_is_gone_reserves_nothing(database: Database) -> None:
    held = claimed(database, allowance(10))
    database.cancel_upload(held)
    with pytest.raises(LeaseLost):
        database.extend_reservation(held, allowance(10), 5, 5)


def test_limits_of_keystone_count_whole_mebibytes(database: Database) -> None:
    """imports-and-stores 7.2: what is used and what is needed are rounded down before they are added."""
    of_one = allowance(MIB, unit=MIB)
    stored(database, status=Status.ACTIVE, size=MIB - 1, locations=copies("a"))
    held = claimed(database, of_one, MIB + 5)
    database.cancel_upload(held)
    with pytest.raises(LimitExceeded):
        claimed(database, of_one, 2 * MIB)


def test_one_upload_of_unknown_size_goes_beyond_a_limit_of_keystone(database: Database) -> None:
    """imports-and-stores 15: it succeeds when usage equals the limit; the next one is refused."""
    unknown = allowance(MIB, unit=MIB, overshoot=True)
    stored(database, status=Status.ACTIVE, size=MIB, locations=copies("a"))
    first, second = claimed(database, unknown), claimed(database, unknown)
    assert database.extend_reservation(first, unknown, 9 * MIB, 9 * MIB) == 9 * MIB
    with pytest.raises(LimitExceeded):
        database.extend_reservation(second, unknown, MIB, MIB)
    assert database.extend_reservation(first, unknown, 20 * MIB, 20 * MIB) == 20 * MIB
    with pytest.raises(LimitExceeded):
        claimed(database, unknown)
    database.finish_upload(first, msgspec.structs.replace(STORED, size=20 * MIB))
    with pytest.raises(LimitExceeded):
        claimed(database, unknown)


def test_a_change_that_adds_locations_counts(backend: Backend) -> None:
    """images-api 6.2: size times new locations, in the transaction that adds them."""
    created = stored(backend.database, status=Status.ACTIVE, size=4, locations=copies("a"))
    change = ImageChange(add_locations=copies("b"), takes=4, within=allowance(10))
    backend.database.update_image(created.id, change)
    assert total(backend.database) == 8
    with pytest.raises(LimitExceeded):
        backend.database.update_image(created.id, msgspec.structs.replace(change, add_locations=copies("c")))
    assert len(backend.database.get_image(created.id, ADMIN).locations) == 2


def test_a_ceiling_of_images(database: Database) -> None:
    ceiling = ImageCeiling("project-a", 2)
    for _ in range(2):
        database.create_image(image(), ceiling=ceiling)
    stored(database, status=Status.DELETED)
    last = image()
    with pytest.raises(LimitExceeded):
        database.create_image(last, ceiling=ceiling)
    database.create_image(last, ceiling=ImageCeiling("project-a", 3))


def test_creations_at_the_same_time_keep_to_the_ceiling(database: Database) -> None:
    def create(_number: int) -> None:
        database.create_image(image(), ceiling=ImageCeiling("project-a", 3))

    outcomes = in_threads(8, create)
    assert sum(outcome is None for outcome in outcomes) == 3
    assert database.usage("project-a").count_total == 3


def test_claims_at_the_same_time_keep_to_the_allowance(database: Database) -> None:
    outcomes = in_threads(8, lambda _number: claimed(database, allowance(10), 3))
    held = [outcome for outcome in outcomes if isinstance(outcome, Job)]
    assert len(held) == 3
    for one in held:
        database.finish_upload(one, msgspec.structs.replace(STORED, size=3))
    assert total(database) == 9


def test_growing_at_the_same_time_keeps_to_the_allowance(backend: Backend) -> None:
    """Uploads of unknown size that each end with 300 bytes: never more than fit, and the refused leave nothing."""
    database = backend.database
    held = [claimed(database, allowance(1000)) for _ in range(6)]

    def grow(number: int) -> int:
        for size in range(60, 301, 60):
            try:
                database.extend_reservation(held[number], allowance(1000), size, size + 60)
            except LimitExceeded:
                database.cancel_upload(held[number])
                raise
        database.finish_upload(held[number], msgspec.structs.replace(STORED, size=300))
        return 300

    outcomes = in_threads(6, grow)
    assert outcomes.count(300) <= 3
    assert total(database) == 300 * outcomes.count(300)
    assert reserved(backend) == []


CLAIMER = """
import sys
from glimpse.db.sql.database import SqlDatabase
from glimpse.db.sql.engine import connect
from glimpse.domain.allowance import Allowance
from glimpse.errors import LimitExceeded
from tests.contract.db.backends import settings_for
from tests.contract.db.examples import LIFETIME, image, upload_job

database = SqlDatabase(connect(settings_for(sys.argv[1])))
input()
for _ in range(20):
    created = image()
    database.create_image(created)
    try:
        limit = Allowance(project_id="project-a", limit=100)
        database.begin_upload(upload_job(created.id), LIFETIME, allowance=limit, reserve=7)
    except LimitExceeded:
        print("refused")
    else:
        print("claimed")
database.close()
"""


def test_claims_of_two_processes_keep_to_the_allowance(backend: Backend) -> None:
    command = [sys.executable, "-W", "error", "-c", CLAIMER, backend.url]
    processes = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    answers = [process.communicate(timeout=50) for process in processes]
    assert [errors for _, errors in answers] == ["", ""]
    outcomes = [line for output, _ in answers for line in output.splitlines()]
    assert (outcomes.count("claimed"), outcomes.count("refused")) == (14, 26)
