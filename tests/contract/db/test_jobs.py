"""Jobs in the database: claimed once, fenced, and saved together with what they change of their image."""

from __future__ import annotations

import threading
import time
import uuid
from datetime import timedelta
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from glimpse.db.base import Database
from glimpse.db.sql.own_tables import jobs
from glimpse.domain.clock import now
from glimpse.domain.image import Image, ImageChange, Location
from glimpse.domain.job import Claim, Job, JobChange, JobQuery, JobStatus, Renewed
from glimpse.domain.status import Status
from glimpse.errors import Conflict, Duplicate, Invalid, LeaseLost, MarkerUnknown, NotFound
from tests.contract.db.backends import Backend, directly
from tests.contract.db.examples import ADMIN, LIFETIME, MOMENT, image

KINDS = ("location_import", "location_check")


def draft(**fields: Any) -> Job:
    values: dict[str, Any] = {
        "id": str(uuid.uuid4()), "type": "location_import", "owner": "project-a", "user_id": "u", "request_id": "req-1",
        "input": {"loc_url": "https://host/ä\U0001f600", "image_id": "1"}, "created_at": MOMENT, "updated_at": MOMENT,
    }  # fmt: skip
    return Job(**(values | fields))


def added(database: Database, **fields: Any) -> Job:
    job = draft(**fields)
    database.add_job(job)
    return job


def claims_of(*held: Job) -> list[Claim]:
    return [Claim(job.id, job.generation) for job in held]


def be_due(backend: Backend, **due_at: float) -> None:
    """Set when jobs, by their owners, are due."""
    for owner, moment in due_at.items():
        backend.execute(sa.update(jobs).where(jobs.c.owner == owner).values(due_at=moment))


def due(database: Database, limit: int = 9) -> list[Job]:
    return database.due_jobs(KINDS, limit=limit)


def claimed(database: Database, lifetime: float = LIFETIME, **fields: Any) -> Job:
    job = added(database, **fields)
    claim = database.claim_job(database.get_job(job.id), "worker-1", lifetime)
    assert claim is not None
    return claim


def stored_image(database: Database, **fields: Any) -> Image:
    made = image(**fields)
    database.create_image(made)
    return made


def test_a_job_is_read_as_it_was_recorded(backend: Backend) -> None:
    before = backend.as_kept(now())
    job = added(backend.database, unique_key="import:1", stores=("fast", "b:c"), image_id="1" * 36)
    read = backend.database.get_job(job.id)
    kept = msgspec.structs.replace(job, created_at=read.created_at, updated_at=read.updated_at, due_at=read.due_at)
    assert read == kept
    assert before <= read.created_at == read.updated_at
    assert (read.status, read.attempt, read.generation, read.claimed_by) == (JobStatus.PENDING, 0, 0, None)


@pytest.mark.parametrize("job_id", ["", "no such job", "x" * 37, "\x00", "\U0001f600"])
def test_no_such_job(database: Database, job_id: str) -> None:
    for operation in (database.get_job, database.cancel_job):
        with pytest.raises(NotFound):
            operation(job_id)
    with pytest.raises(MarkerUnknown):
        database.list_jobs(JobQuery(after="no such job"))


@pytest.mark.parametrize(
    "wrong",
    [{"type": "x" * 31}, {"owner": "x" * 256}, {"user_id": "\U0001f600"}, {"unique_key": "x" * 101},
     {"type": "nobody knows it"},
     {"input": {"loc_url": 5}}, {"stores": ("a,b",)}, {"stores": ("",)}],
)  # fmt: skip
def test_a_job_fits_and_is_of_a_known_kind(database: Database, wrong: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        database.add_job(draft(**wrong))
    assert database.list_jobs(JobQuery()) == []


def test_one_unfinished_job_for_a_key(database: Database) -> None:
    first = claimed(database, unique_key="import:1")
    with pytest.raises(Duplicate):
        added(database, unique_key="import:1")
    added(database, unique_key="import:2")
    added(database)
    database.save_job(first, JobChange(status=JobStatus.FAILED))
    added(database, unique_key="import:1")


def test_jobs_come_when_they_are_due_the_longest_first(backend: Backend) -> None:
    database = backend.database
    ids = {owner: added(database, owner=owner).id for owner in ("c", "a", "b", "later")}
    be_due(backend, c=30.5, a=10.5, b=20.5, later=1e12)
    added(database, type="copy_removal", input={"url": "web://a"})
    assert [job.id for job in due(database)] == [ids["a"], ids["b"], ids["c"]]
    assert [job.id for job in due(database, 1)] == [ids["a"]]
    assert database.due_jobs((), limit=9) == []


@directly()
def test_a_new_job_is_due_at_once_by_the_clock_of_the_database(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node whose clock is wrong neither takes nor loses work; with a registry it could not sign in."""
    database = backend.database
    held = claimed(database)
    for wrong in (0.0, 4e9):
        monkeypatch.setattr(time, "time", lambda wrong=wrong: wrong)
        job = added(database)
        assert [one.id for one in due(database)] == [job.id]
        claim = database.claim_job(job, "worker-1", LIFETIME)
        assert claim is not None
        assert due(database) == []
        assert len(database.renew_jobs("worker-1", claims_of(claim, held), LIFETIME)) == 2
        assert database.claim_job(claim, "worker-2", LIFETIME) is None


def test_leases_last_as_many_seconds_as_were_asked_for(database: Database) -> None:
    held = claimed(database, lifetime=0.7)
    began = time.monotonic()
    assert due(database) == []
    while not due(database):
        assert time.monotonic() - began < 20
        time.sleep(0.02)
    assert time.monotonic() - began > 0.4
    assert [job.id for job in due(database)] == [held.id]


def test_jobs_of_projects_that_have_enough_are_left_out(backend: Backend) -> None:
    database = backend.database
    owners = ("lab", "Lab", "web", None, "lab")
    ids = [added(database, owner=owner).id for owner in owners]
    for due_at, job_id in enumerate(ids):
        backend.execute(sa.update(jobs).where(jobs.c.id == job_id).values(due_at=float(due_at)))

    def due_without(limit: int, *without: str) -> list[str]:
        return [job.id for job in database.due_jobs(KINDS, limit=limit, without_owners=without)]

    assert due_without(9, "lab") == [ids[1], ids[2], ids[3]]
    assert due_without(1, "lab") == [ids[1]]
    assert due_without(9, "lab", "Lab", "web", "nobody") == [ids[3]]
    assert due_without(9) == ids


def test_jobs_come_only_where_all_their_stores_are(database: Database) -> None:
    nothing = added(database).id
    one, both = added(database, stores=("fast",)).id, added(database, stores=("fast", "ceph2")).id

    def due_at(*stores: str) -> set[str]:
        return {job.id for job in database.due_jobs(KINDS, stores=stores, limit=9)}

    assert due_at() == {nothing}
    assert due_at("ceph2", "other") == {nothing}
    assert due_at("Fast", "fas") == {nothing}
    assert due_at("fast", "other") == {nothing, one}
    assert due_at("ceph2", "fast") == {nothing, one, both}
    held = database.claim_job(database.get_job(one), "worker-1", LIFETIME)
    assert held is not None
    database.save_job(held, JobChange(status=JobStatus.PENDING, stores=("ceph2",)))
    assert due_at("fast") == {nothing}
    assert due_at("ceph2") == {nothing, one}


def test_a_cancelled_job_comes_wherever_its_stores_are(database: Database) -> None:
    held = claimed(database, -1.0, stores=("gone",))
    assert due(database) == []
    database.cancel_job(held.id)
    assert [job.id for job in due(database)] == [held.id]


def test_looking_for_due_jobs_reads_an_index(backend: Backend) -> None:
    if backend.kind != "sqlite":
        pytest.skip("SQLite says it in one line")
    with backend.counting() as statements:
        backend.database.due_jobs(KINDS, stores=("fast",), limit=2)
    [statement] = statements
    with backend.engine.connect() as connection:
        marks = (",fast,", "", "", *sorted(KINDS), 2, 0)
        plan = connection.exec_driver_sql("EXPLAIN QUERY PLAN " + statement, marks[: statement.count("?")]).fetchall()
    assert "ix_glimpse_jobs_due_at" in str(plan)


def test_a_job_is_claimed_once(database: Database) -> None:
    job = added(database)
    [found] = due(database)
    claim = database.claim_job(found, "worker-1", LIFETIME)
    assert claim is not None
    assert (claim.status, claim.claimed_by) == (JobStatus.RUNNING, "worker-1")
    assert (claim.attempt, claim.generation) == (1, 1)
    assert database.get_job(job.id) == claim
    assert database.claim_job(found, "worker-2", LIFETIME) is None
    assert database.claim_job(claim, "worker-2", LIFETIME) is None
    assert due(database) == []


def test_a_claim_has_what_the_holder_before_recorded_last(database: Database) -> None:
    held = claimed(database, -1.0)
    [found] = due(database)
    database.save_job(held, JobChange(step=("read", 5)))
    claim = database.claim_job(found, "worker-2", LIFETIME)
    assert claim is not None
    assert claim.steps == {"read": 5}


def test_of_many_claims_at_once_one_succeeds(database: Database) -> None:
    job = added(database)
    found = database.get_job(job.id)
    results: list[Job | None] = []
    start = threading.Barrier(6)

    def claim(number: int) -> None:
        start.wait()
        results.append(database.claim_job(found, f"worker-{number}", LIFETIME))

    threads = [threading.Thread(target=claim, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 6
    assert [one.claimed_by for one in results if one is not None] == [database.get_job(job.id).claimed_by]


def test_a_job_whose_lease_ran_out_is_claimed_by_another(database: Database) -> None:
    first = claimed(database, -1.0)
    database.save_job(first, JobChange(step=("read", 5)))
    [found] = due(database)
    second = database.claim_job(found, "worker-2", LIFETIME)
    assert second is not None
    assert (second.generation, second.attempt, second.steps) == (2, 2, {"read": 5})
    for change in (JobChange(message="x"), JobChange(status=JobStatus.SUCCEEDED), JobChange(bytes_done=1)):
        with pytest.raises(LeaseLost):
            database.save_job(first, change)
    assert database.get_job(first.id) == second


def test_an_older_run_of_the_same_process_is_fenced_too(database: Database) -> None:
    """A runner that claims its own job again after an outage must not have both runs renewed, nor both save."""
    first = claimed(database, -1.0)
    [found] = due(database)
    second = database.claim_job(found, "worker-1", LIFETIME)
    assert second is not None
    with pytest.raises(LeaseLost):
        database.save_job(first, JobChange(message="x"))
    assert database.renew_jobs("worker-1", claims_of(first), LIFETIME) == []
    renewed = database.renew_jobs("worker-1", claims_of(first, second), LIFETIME)
    assert [(one.job_id, one.generation) for one in renewed] == [(second.id, 2)]


def test_a_job_that_nobody_needs_to_know_of_leaves_no_row(database: Database) -> None:
    stored = stored_image(database)
    job = claimed(database, type="staging", input={}, image_id=stored.id)
    change = ImageChange(set_properties={"a": "1"})
    database.save_job(job, JobChange(status=JobStatus.SUCCEEDED, forget=True), change)
    assert database.get_image(stored.id, ADMIN).properties == {"a": "1"}
    assert database.list_jobs(JobQuery(types=("staging",))) == []
    with pytest.raises(LeaseLost):
        database.save_job(job, JobChange(status=JobStatus.SUCCEEDED, forget=True), change)


def test_a_renewed_job_is_not_claimed(database: Database) -> None:
    job = claimed(database, -1.0)
    [found] = due(database)
    assert database.renew_jobs("worker-1", claims_of(job), LIFETIME) == [Renewed(job_id=job.id, generation=1)]
    assert database.claim_job(found, "worker-2", LIFETIME) is None
    assert due(database) == []
    # the claim itself goes on to hold
    database.save_job(job, JobChange(message="still here"))


def test_renewal_tells_what_became_of_the_jobs(backend: Backend) -> None:
    database = backend.database
    gone = stored_image(database)
    held = [claimed(database) for _ in range(3)]
    of_deleted = claimed(database, image_id=gone.id)
    other = claimed(database)
    claims = claims_of(*held, of_deleted)
    database.cancel_job(held[1].id)
    database.save_job(held[2], JobChange(status=JobStatus.SUCCEEDED))
    database.delete_without_data(gone.id)
    before = database.get_job(other.id)
    with backend.counting() as statements:
        told = {one.job_id: one for one in database.renew_jobs("worker-1", claims, 5000.0)}
    assert told == {
        held[0].id: Renewed(job_id=held[0].id, generation=1),
        held[1].id: Renewed(job_id=held[1].id, generation=1, cancelled=True),
        of_deleted.id: Renewed(job_id=of_deleted.id, generation=1, image_deleted=True),
    }
    # the jobs, what became of them, and the rows that a Glance sees
    assert [one.split(" ", 2)[:2] for one in statements if one.startswith("UPDATE")] == [
        ["UPDATE", "glimpse_jobs"],
        ["UPDATE", "tasks"],
    ]
    assert len(statements) == 3
    assert database.get_job(other.id) == before
    assert database.renew_jobs("worker-2", claims, 6000.0) == []


def test_progress_and_steps(database: Database) -> None:
    job = claimed(database)
    database.save_job(job, JobChange(bytes_done=5, bytes_total=2**40))
    database.save_job(job, JobChange(step=("first", {"a": "ä\U0001f600"}), message="half way\x00\U0001f600"))
    job = database.get_job(job.id)
    assert (job.bytes_done, job.bytes_total, job.steps) == (5, 2**40, {"first": {"a": "ä\U0001f600"}})
    assert job.message == "half way??"
    database.save_job(job, JobChange(step=("second", None)))
    assert database.get_job(job.id).steps == {"first": {"a": "ä\U0001f600"}, "second": None}


def test_a_pause_and_another_attempt(backend: Backend) -> None:
    database = backend.database
    job = claimed(database, unique_key="import:1", owner="a")
    database.save_job(job, JobChange(status=JobStatus.PENDING, pause=500.0, message="no luck"))
    assert due(database) == []
    be_due(backend, a=1.0)
    [found] = due(database)
    assert (found.status, found.claimed_by, found.attempt, found.message) == (JobStatus.PENDING, None, 1, "no luck")
    assert found.unique_key == "import:1"
    with pytest.raises(LeaseLost):
        database.save_job(job, JobChange(message="x"))
    again = database.claim_job(found, "worker-1", LIFETIME)
    assert again is not None
    assert again.attempt == 2


@pytest.mark.parametrize("end", [JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELLED])
def test_an_ended_job_stays_as_it_is(database: Database, end: JobStatus) -> None:
    job = claimed(database, unique_key="import:1")
    database.save_job(job, JobChange(status=end, message="done", result={"image_id": "1"}))
    ended = database.get_job(job.id)
    assert (ended.status, ended.message, ended.result, ended.due_at) == (end, "done", {"image_id": "1"}, None)
    assert (ended.unique_key, ended.claimed_by) == (None, None)
    assert ended.ended_at == ended.updated_at
    assert due(database) == []
    with pytest.raises(LeaseLost):
        database.save_job(job, JobChange(message="x"))
    assert database.cancel_job(job.id) == ended


def test_cancelling(database: Database) -> None:
    pending = added(database, type="upload_sweep", input={"attempt": "a"}, unique_key="import:1")
    cancelled = database.cancel_job(pending.id)
    assert (cancelled.status, cancelled.due_at, cancelled.unique_key) == (JobStatus.CANCELLED, None, None)
    assert cancelled.ended_at is not None
    running = claimed(database, -1.0)
    asked = database.cancel_job(running.id)
    assert (asked.status, asked.cancel_requested, asked.due_at) == (JobStatus.RUNNING, True, running.due_at)
    # the process that takes it over is told
    [found] = due(database)
    assert found.cancel_requested


def test_a_pending_task_that_is_cancelled_is_due_at_once_whatever_it_needs(backend: Backend) -> None:
    database = backend.database
    pending = added(database, stores=("elsewhere",), unique_key="import:1")
    claim = database.claim_job(database.get_job(pending.id), "worker-1", LIFETIME)
    assert claim is not None
    database.save_job(claim, JobChange(status=JobStatus.PENDING, pause=1000.0))
    assert due(database) == []
    asked = database.cancel_job(pending.id)
    assert (asked.status, asked.cancel_requested, asked.unique_key) == (JobStatus.PENDING, True, "import:1")
    [found] = due(database)
    assert found.id == pending.id
    again = database.claim_job(found, "worker-2", LIFETIME)
    assert again is not None
    assert again.cancel_requested


def test_a_job_that_its_process_holds_from_the_start(database: Database) -> None:
    job = draft(status=JobStatus.RUNNING, claimed_by="worker-1", generation=1, attempt=1)
    database.add_job(job, lifetime=LIFETIME)
    stored = database.get_job(job.id)
    assert (stored.status, stored.claimed_by, stored.generation) == (JobStatus.RUNNING, "worker-1", 1)
    assert due(database) == []
    assert [found.job_id for found in database.renew_jobs("worker-1", claims_of(job), LIFETIME)] == [job.id]
    database.save_job(job, JobChange(status=JobStatus.SUCCEEDED))
    assert database.get_job(job.id).status is JobStatus.SUCCEEDED


def test_and_whose_lease_expires(database: Database) -> None:
    job = draft(status=JobStatus.RUNNING, claimed_by="worker-1", generation=1, attempt=1)
    database.add_job(job, lifetime=-1.0)
    [found] = due(database)
    assert found.id == job.id
    assert database.claim_job(found, "worker-2", LIFETIME) is not None
    with pytest.raises(LeaseLost):
        database.save_job(job, JobChange(status=JobStatus.SUCCEEDED))


class TestJobsAndImages:
    """What a job does to its image happens if and only if it is recorded."""

    def test_recording_a_job_changes_its_image(self, database: Database) -> None:
        made = stored_image(database)
        job = draft(image_id=made.id, unique_key="import:1")
        lock = ImageChange(set_properties={"os_glance_import_task": job.id}, from_status=(Status.QUEUED,))
        database.add_job(job, lock)
        assert database.get_image(made.id, ADMIN).properties == {"os_glance_import_task": job.id}

    def test_or_neither_happens(self, database: Database) -> None:
        made = stored_image(database, status=Status.ACTIVE)
        lock = ImageChange(set_properties={"p": "v"}, from_status=(Status.QUEUED,))
        with pytest.raises(Conflict):
            database.add_job(draft(image_id=made.id), lock)
        with pytest.raises(NotFound):
            database.add_job(draft(image_id="nothing"), lock)
        queued = stored_image(database)
        database.add_job(draft(unique_key="import:1"))
        with pytest.raises(Duplicate):
            database.add_job(draft(image_id=queued.id, unique_key="import:1"), lock)
        assert database.get_image(queued.id, ADMIN).properties == {}
        assert len(database.list_jobs(JobQuery())) == 1

    def test_a_step_and_its_change(self, database: Database) -> None:
        made = stored_image(database, name="before")
        job = claimed(database, image_id=made.id)
        change = ImageChange(columns={"size": 5}, add_locations=(Location(url="web://a", metadata={"store": "w"}),))
        database.save_job(job, JobChange(step=("located", True)), change)
        after = database.get_image(made.id, ADMIN)
        assert (after.size, after.name, [one.url for one in after.locations]) == (5, "before", ["web://a"])
        assert database.get_job(job.id).steps == {"located": True}

    def test_a_step_that_the_image_does_not_allow(self, database: Database) -> None:
        made = stored_image(database, status=Status.ACTIVE)
        job = claimed(database, image_id=made.id)
        with pytest.raises(Conflict):
            database.save_job(job, JobChange(step=("a", 1)), ImageChange(from_status=(Status.QUEUED,)))
        assert database.get_job(job.id) == job

    def test_a_lost_claim_changes_no_image(self, database: Database) -> None:
        made = stored_image(database)
        job = claimed(database, image_id=made.id)
        stale = msgspec.structs.replace(job, generation=job.generation - 1)
        with pytest.raises(LeaseLost):
            database.save_job(stale, JobChange(step=("a", 1)), ImageChange(columns={"size": 5}))
        assert database.get_image(made.id, ADMIN).size is None

    def test_only_named_columns_of_the_image_are_written(self, database: Database) -> None:
        """Glance saves the whole row and undoes what a PATCH changed meanwhile (imports-and-stores 5.4)."""
        made = stored_image(database, name="before", status=Status.ACTIVE, properties={"a": "1"})
        job = claimed(database, image_id=made.id)
        database.update_image(made.id, ImageChange(columns={"name": "after"}, set_properties={"a": "2", "b": "3"}))
        database.save_job(job, JobChange(status=JobStatus.SUCCEEDED), ImageChange(columns={"os_hash_value": "ab"}))
        image_after = database.get_image(made.id, ADMIN)
        assert (image_after.name, image_after.os_hash_value) == ("after", "ab")
        assert image_after.properties == {"a": "2", "b": "3"}


def test_lists_and_pages(database: Database) -> None:
    jobs = [
        added(
            database,
            type=KINDS[number % 2],
            input={"image_id": "1", "loc_url": "x"},
            image_id=str(number % 3),
            owner=f"p{number % 2}",
        )
        for number in range(7)
    ]
    everything = database.list_jobs(JobQuery())
    assert {job.id for job in everything} == {job.id for job in jobs}
    assert everything == sorted(everything, key=lambda job: (job.created_at, job.id), reverse=True)
    seen: list[Job] = []
    while page := database.list_jobs(JobQuery(limit=3, after=seen[-1].id if seen else None)):
        seen += page
    assert seen == everything
    assert {job.type for job in database.list_jobs(JobQuery(types=("location_check",)))} == {"location_check"}
    assert len(database.list_jobs(JobQuery(image_id="0"))) == 3
    assert len(database.list_jobs(JobQuery(owner="p1", image_id="0"))) == 1
    claim = database.claim_job(database.get_job(jobs[0].id), "worker-1", LIFETIME)
    assert claim is not None
    database.save_job(claim, JobChange(status=JobStatus.CANCELLED))
    assert [job.id for job in database.list_jobs(JobQuery(status=JobStatus.CANCELLED))] == [jobs[0].id]
    assert database.list_jobs(JobQuery(limit=0)) == []


def test_old_jobs_are_forgotten(database: Database) -> None:
    ended, pending, running = claimed(database), added(database), claimed(database)
    database.save_job(ended, JobChange(status=JobStatus.FAILED))
    assert database.forget_jobs(now() - timedelta(hours=1)) == 0
    assert database.forget_jobs(now() + timedelta(hours=1)) == 1
    assert {job.id for job in database.list_jobs(JobQuery())} == {pending.id, running.id}


def test_unfinished_jobs_are_counted_by_kind_and_status(database: Database) -> None:
    assert database.count_jobs() == {}
    added(database)
    ended = claimed(database)
    database.save_job(ended, JobChange(status=JobStatus.FAILED))
    claimed(database)
    claimed(database, type="copy_removal", input={"url": "web://a"})
    assert database.count_jobs() == {
        "location_import": {"pending": 1, "running": 1},
        "copy_removal": {"running": 1},
    }
