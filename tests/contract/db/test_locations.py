"""Locations in the database: changed with their image, removed under a lease (database 7.4 and 9.3)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec
import pytest

from glimpse.db.base import Database
from glimpse.db.sql.tables import image_locations
from glimpse.domain.image import Image, ImageChange, Location
from glimpse.domain.job import Job, JobChange, JobStatus
from glimpse.domain.status import Status
from glimpse.errors import Conflict, Invalid, LeaseLost, NotFound
from tests.contract.db.backends import Backend
from tests.contract.db.examples import ADMIN, LIFETIME, OVER, deletion_job, image, removal_job
from tests.contract.db.test_jobs import draft

URLS = ("web://a", "web://b", "web://c")


def active(database: Database, *urls: str, **fields: Any) -> Image:
    locations = tuple(Location(url=url, metadata={"store": "fast"}) for url in urls)
    made = image(status=Status.ACTIVE, size=5, locations=locations, **fields)
    database.create_image(made)
    return database.get_image(made.id, ADMIN)


def urls_of(database: Database, made: Image) -> list[str]:
    return [location.url for location in database.get_image(made.id, ADMIN).locations]


def test_added_with_the_change_of_status(database: Database) -> None:
    made = image()
    database.create_image(made)
    change = ImageChange(
        columns={"status": Status.ACTIVE, "size": 7},
        add_locations=(Location(url="web://a", metadata={"x": ["ä"]}), Location(url="web://b")),
        from_status=(Status.QUEUED,),
    )
    database.update_image(made.id, change)
    after = database.get_image(made.id, ADMIN)
    assert (after.status, after.size) == (Status.ACTIVE, 7)
    assert [(one.url, one.metadata, one.status) for one in after.locations] == [
        ("web://a", {"x": ["ä"]}, "active"), ("web://b", {}, "active"),
    ]  # fmt: skip
    with pytest.raises(Conflict):
        database.update_image(made.id, change)
    assert len(urls_of(database, made)) == 2


@pytest.mark.parametrize("url", ["web://\U0001f600", "web://\x00", "web://" + "x" * 65535])
def test_a_location_that_no_row_can_hold(database: Database, url: str) -> None:
    made = active(database, "web://a")
    with pytest.raises(Invalid):
        database.update_image(made.id, ImageChange(columns={"size": 9}, add_locations=(Location(url=url),)))
    after = database.get_image(made.id, ADMIN)
    assert (after.size, len(after.locations)) == (5, 1)


def test_metadata_are_rewritten_and_nothing_else(backend: Backend) -> None:
    database = backend.database
    made = active(database, *URLS)
    before = backend.rows(image_locations, image_id=made.id)
    new = msgspec.structs.replace(made.locations[1], metadata={"store": "fast", "a": "b"})
    database.update_image(made.id, ImageChange(relabel_locations=(new,)))
    after = backend.rows(image_locations, image_id=made.id)
    assert [row["value"] for row in after] == list(URLS)
    assert (after[0], after[2]) == (before[0], before[2])
    assert after[1]["meta_data"] == '{"store": "fast", "a": "b"}'


def test_dropped_rows_are_marked(backend: Backend) -> None:
    database = backend.database
    made = active(database, *URLS)
    ids = tuple(one.id for one in made.locations if one.id is not None)
    database.update_image(made.id, ImageChange(drop_locations=ids[:2]))
    rows = backend.rows(image_locations, image_id=made.id)
    assert [(row["status"], bool(row["deleted"]), row["deleted_at"] is None) for row in rows] == [
        ("deleted", True, False), ("deleted", True, False), ("active", False, True),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        lambda one: ImageChange(columns={"size": 9}, drop_locations=(one.id,)),
        lambda one: ImageChange(columns={"size": 9}, relabel_locations=(one,)),
        lambda one: ImageChange(columns={"size": 9}, if_location=one.id),
    ],
)
def test_what_needs_a_location_that_is_gone(database: Database, change: Callable[[Location], ImageChange]) -> None:
    made = active(database, *URLS)
    other = active(database, "web://other")
    database.update_image(made.id, ImageChange(drop_locations=(made.locations[0].id or 0,)))
    # gone, and one of another image
    for location in (made.locations[0], other.locations[0]):
        with pytest.raises(Conflict):
            database.update_image(made.id, change(location))
    assert database.get_image(made.id, ADMIN).size == 5
    database.update_image(made.id, change(made.locations[1]))
    assert database.get_image(made.id, ADMIN).size == 9


class Removal(NamedTuple):
    job: Job
    location_id: int


class TestRemoval:
    def removal(self, database: Database, made: Image, position: int = 0, lifetime: float = LIFETIME) -> Removal:
        location = made.locations[position]
        job = removal_job(made.id, location.url, location.id)
        database.begin_location_removal(job, lifetime, location.id or 0)
        return Removal(job, location.id or 0)

    def test_from_the_first_step_on_nobody_reads_it(self, backend: Backend) -> None:
        database = backend.database
        made = active(database, *URLS)
        recorded = self.removal(database, made, 1)
        assert urls_of(database, made) == ["web://a", "web://c"]
        [row] = [row for row in backend.rows(image_locations, image_id=made.id) if row["deleted"]]
        assert (row["value"], row["status"], row["id"]) == ("web://b", "pending_delete", made.locations[1].id)
        assert database.count_jobs() == {"copy_removal": {"running": 1}}
        assert database.get_job(recorded.job.id).input == {"url": "web://b", "location_id": made.locations[1].id}
        database.finish_location_removal(*recorded)
        assert database.count_jobs() == {}
        [row] = [row for row in backend.rows(image_locations, image_id=made.id) if row["deleted"]]
        assert (row["status"], row["value"], row["deleted_at"] is None) == ("deleted", "web://b", False)

    def test_a_store_that_refuses(self, database: Database) -> None:
        made = active(database, *URLS)
        recorded = self.removal(database, made)
        refusal = JobChange(status=JobStatus.FAILED, message="in use")
        database.finish_location_removal(*recorded, refusal, restore=True)
        assert urls_of(database, made) == list(URLS)
        assert database.count_jobs() == {}
        assert database.get_job(recorded.job.id).message == "in use"
        self.removal(database, made)

    def test_a_deleted_image_gets_nothing_back(self, database: Database) -> None:
        made = active(database, *URLS)
        recorded = self.removal(database, made)
        database.begin_deletion(deletion := deletion_job(made.id), LIFETIME, from_status=Status.ACTIVE)
        database.finish_deletion(deletion)
        database.finish_location_removal(*recorded, restore=True)
        seen = database.get_any_image(made.id)
        assert seen is not None
        assert seen.locations == ()

    @pytest.mark.parametrize("status", [status for status in Status if status is not Status.ACTIVE])
    def test_only_from_active_images(self, database: Database, status: Status) -> None:
        if status is Status.DELETED:
            pytest.skip("is not found")
        made = active(database, *URLS)
        database.update_image(made.id, ImageChange(columns={"status": status}))
        with pytest.raises(Conflict):
            self.removal(database, made)
        assert len(urls_of(database, made)) == 3
        assert database.count_jobs() == {}

    def test_the_last_one_stays(self, database: Database) -> None:
        made = active(database, "web://a", "web://b")
        database.finish_location_removal(*self.removal(database, made))
        with pytest.raises(Conflict):
            self.removal(database, made, 1)
        assert urls_of(database, made) == ["web://b"]

    def test_what_is_not_there(self, database: Database) -> None:
        made, other = active(database, *URLS), active(database, *URLS)
        with pytest.raises(Conflict):
            database.begin_location_removal(removal_job(made.id, "web://a"), LIFETIME, other.locations[0].id or 0)
        with pytest.raises(NotFound):
            database.begin_location_removal(removal_job("nothing", "web://a"), LIFETIME, 1)
        assert database.count_jobs() == {}

    def test_a_location_is_removed_once(self, database: Database) -> None:
        made = active(database, *URLS)
        self.removal(database, made)
        with pytest.raises(Conflict):
            self.removal(database, made)
        self.removal(database, made, 1)
        assert urls_of(database, made) == ["web://c"]

    def test_of_the_last_two_one_stays_whoever_asks(self, database: Database) -> None:
        """CVE-2016-0757: an image that loses all its locations could be given other data."""
        made = active(database, "web://a", "web://b")
        outcomes: list[str] = []
        start = threading.Barrier(2)

        def remove(position: int) -> None:
            start.wait()
            try:
                database.finish_location_removal(*self.removal(database, made, position))
                outcomes.append("removed")
            except Conflict:
                outcomes.append("refused")

        threads = [threading.Thread(target=remove, args=(position,)) for position in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(outcomes) == ["refused", "removed"]
        assert len(urls_of(database, made)) == 1

    def test_a_job_that_is_another_s(self, backend: Backend) -> None:
        database = backend.database
        made = active(database, *URLS)
        recorded = self.removal(database, made, lifetime=OVER)
        taken = database.claim_job(recorded.job, "worker-2", LIFETIME)
        assert taken is not None
        for restore in (False, True):
            with pytest.raises(LeaseLost):
                database.finish_location_removal(*recorded, restore=restore)
        assert [row["status"] for row in backend.rows(image_locations, deleted=True)] == ["pending_delete"]
        database.finish_location_removal(taken, recorded.location_id)
        assert [row["status"] for row in backend.rows(image_locations, deleted=True)] == ["deleted"]


def unverified(database: Database, made: Image) -> dict[str, str | None]:
    marks = database.unverified_locations(made.id)
    return {
        one.url: marks[one.id] for one in database.get_image(made.id, ADMIN).locations if one.id and one.id in marks
    }


class TestUnverified:
    def test_locations_are_trusted_unless_they_are_marked(self, database: Database) -> None:
        made = active(database, "web://a")
        database.update_image(made.id, ImageChange(add_locations=(Location(url="web://b"),)))
        assert unverified(database, made) == {}
        marked = ImageChange(add_locations=(Location(url="web://c"), Location(url="web://d")), mark_unverified=True)
        database.update_image(made.id, marked)
        assert unverified(database, made) == {"web://c": None, "web://d": None}
        assert database.unverified_locations(image().id) == {}
        assert database.unverified_locations("x" * 37) == {}

    def test_they_are_verified_or_refused(self, database: Database) -> None:
        made = active(database, "web://a")
        database.update_image(
            made.id,
            ImageChange(add_locations=tuple(Location(url=url) for url in ("web://b", "web://c")), mark_unverified=True),
        )
        first, second = database.unverified_locations(made.id)
        database.update_image(made.id, ImageChange(verified_locations=(first,), refused_locations=((second, "ä\x00"),)))
        assert list(unverified(database, made).values()) == ["ä?"]
        other = active(database, "web://a")
        database.update_image(other.id, ImageChange(verified_locations=(second,)))
        assert list(unverified(database, made).values()) == ["ä?"]

    def test_with_a_job_in_one_transaction(self, database: Database) -> None:
        made = active(database, "web://a")
        change = ImageChange(add_locations=(Location(url="web://b"),), mark_unverified=True)
        work = draft(image_id=made.id)
        moment = database.add_job(work, change)
        assert database.get_image(made.id, ADMIN).updated_at == moment
        assert unverified(database, made) == {"web://b": None}
        refused = msgspec.structs.replace(change, from_status=(Status.QUEUED,))
        with pytest.raises(Conflict):
            database.add_job(draft(image_id=made.id), refused)
        assert unverified(database, made) == {"web://b": None}

    def test_a_change_can_ask_for_what_the_image_is(self, database: Database) -> None:
        made = active(database, "web://a", container_format="bare")
        for expected in ({"container_format": "ovf"}, {"container_format": None}, {"checksum": "x"}):
            with pytest.raises(Conflict, match="meanwhile"):
                database.update_image(made.id, ImageChange(columns={"name": "new"}, if_columns=expected))
        database.update_image(
            made.id, ImageChange(columns={"name": "new"}, if_columns={"container_format": "bare", "checksum": None})
        )
        assert database.get_image(made.id, ADMIN).name == "new"
