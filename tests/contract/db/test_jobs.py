"""Jobs in the database: claimed once, fenced, and saved together with what they change of their image."""

from __future__ import annotations

import threading
import uuid
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from glimpse.db.base import Database
from glimpse.domain.clock import now
from glimpse.domain.image import Image, ImageChange, Location
from glimpse.domain.job import Job, JobChange, JobQuery, JobStatus
from glimpse.domain.status import Status
from glimpse.errors import Conflict, Duplicate, Invalid, LeaseLost, MarkerUnknown, NotFound
from tests.contract.db.backends import Backend
from tests.contract.db.examples import ADMIN, MOMENT, image

KINDS = ("hash", "copy")


def draft(**fields: Any) -> Job:
    values: dict[str, Any] = {
        "id": str(uuid.uuid4()), "type": "hash", "owner": "project-a", "user_id": "u", "request_id": "req-1",
        "input": {"loc_url": "https://host/ä\U0001f600"}, "created_at": MOMENT, "updated_at": MOMENT,
    }  # fmt: skip
    return Job(**(values | fields))


def added(database: Database, **fields: Any) -> Job:
    job = draft(**fields)
    database.add_job(job)
    return job


def claimed(database: Database, **fields: Any) -> Job:
    job = added(database, **fields)
    claim = database.claim_job(database.get_job(job.id), "worker-1", 1000.25)
    assert claim is not None
    return claim


def stored_image(database: Database, **fields: Any) -> Image:
    made = image(**fields)
    database.create_image(made)
    return made


def test_a_job_is_read_as_it_was_recorded(backend: Backend) -> None:
    before = backend.as_kept(now())
    job = added(backend.database, unique_key="import:1", due_at=7.123456789, image_id="1" * 36)
    read = backend.database.get_job(job.id)
    assert read == msgspec.structs.replace(job, created_at=read.created_at, updated_at=read.updated_at)
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
    "wrong", [{"type": "x" * 31}, {"owner": "x" * 256}, {"user_id": "\U0001f600"}, {"unique_key": "x" * 101}]
)
def test_texts_of_a_job_fit(database: Database, wrong: dict[str, str]) -> None:
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


def test_jobs_come_when_they_are_due_the_longest_first(database: Database) -> None:
    ids = [added(database, due_at=due_at).id for due_at in (30.5, 10.5, 20.5, 40.5)]
    added(database, type="other", due_at=5.0)
    assert [job.id for job in database.due_jobs(KINDS, 30.5, limit=9)] == [ids[1], ids[2], ids[0]]
    assert [job.id for job in database.due_jobs(KINDS, 30.5, limit=1)] == [ids[1]]
    assert database.due_jobs(KINDS, 10.4, limit=9) == []
    assert database.due_jobs((), 100.0, limit=9) == []


def test_jobs_of_projects_that_have_enough_are_left_out(database: Database) -> None:
    owners = ("lab", "Lab", "web", None, "lab")
    ids = [added(database, owner=owner, due_at=float(due_at)).id for due_at, owner in enumerate(owners)]

    def due(limit: int, *without: str) -> list[str]:
        found = database.due_jobs(KINDS, 100.0, limit=limit, without_owners=without)
        return [job.id for job in found]

    assert due(9, "lab") == [ids[1], ids[2], ids[3]]
    assert due(1, "lab") == [ids[1]]
    assert due(9, "lab", "Lab", "web", "nobody") == [ids[3]]
    assert due(9) == ids


def test_looking_for_due_jobs_reads_an_index(backend: Backend) -> None:
    if backend.kind != "sqlite":
        pytest.skip("SQLite says it in one line")
    with backend.counting() as statements:
        backend.database.due_jobs(KINDS, 10.0, limit=2)
    [statement] = statements
    with backend.engine.connect() as connection:
        plan = connection.exec_driver_sql("EXPLAIN QUERY PLAN " + statement, (10.0, *sorted(KINDS), 2, 0)).fetchall()
    assert "ix_glimpse_jobs_due_at" in str(plan)


def test_a_job_is_claimed_once(database: Database) -> None:
    job = added(database)
    [due] = database.due_jobs(KINDS, 1.0, limit=9)
    claim = database.claim_job(due, "worker-1", 1000.25)
    assert claim is not None
    assert (claim.status, claim.claimed_by, claim.due_at) == (JobStatus.RUNNING, "worker-1", 1000.25)
    assert (claim.attempt, claim.generation) == (1, 1)
    assert database.get_job(job.id) == claim
    assert database.claim_job(due, "worker-2", 2000.0) is None
    assert database.due_jobs(KINDS, 1000.0, limit=9) == []


def test_of_many_claims_at_once_one_succeeds(database: Database) -> None:
    job = added(database)
    due = database.get_job(job.id)
    results: list[Job | None] = []
    start = threading.Barrier(6)

    def claim(number: int) -> None:
        start.wait()
        results.append(database.claim_job(due, f"worker-{number}", 1000.0))

    threads = [threading.Thread(target=claim, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 6
    assert [one.claimed_by for one in results if one is not None] == [database.get_job(job.id).claimed_by]


def test_a_job_whose_lease_ran_out_is_claimed_by_another(database: Database) -> None:
    first = claimed(database)
    database.save_job(first, JobChange(step=("read", 5)))
    [due] = database.due_jobs(KINDS, 1000.25, limit=9)
    second = database.claim_job(due, "worker-2", 2000.0)
    assert second is not None
    assert (second.generation, second.attempt, second.steps) == (2, 2, {"read": 5})
    for change in (JobChange(message="x"), JobChange(status=JobStatus.SUCCEEDED), JobChange(bytes_done=1)):
        with pytest.raises(LeaseLost):
            database.save_job(first, change)
    assert database.get_job(first.id) == second


def test_the_same_worker_in_an_older_generation_is_fenced_too(database: Database) -> None:
    first = claimed(database)
    [due] = database.due_jobs(KINDS, 1001.0, limit=9)
    assert database.claim_job(due, "worker-1", 2000.0) is not None
    with pytest.raises(LeaseLost):
        database.save_job(first, JobChange(message="x"))


def test_a_renewed_job_is_not_claimed(database: Database) -> None:
    job = claimed(database)
    [due] = database.due_jobs(KINDS, 1000.25, limit=9)
    assert database.renew_jobs("worker-1", [job.id], 5000.0) == {job.id: False}
    assert database.claim_job(due, "worker-2", 6000.0) is None
    assert database.due_jobs(KINDS, 4999.0, limit=9) == []
    # the claim itself goes on to hold
    database.save_job(job, JobChange(message="still here"))


def test_renewal_tells_what_became_of_the_jobs(backend: Backend) -> None:
    database = backend.database
    gone = stored_image(database)
    jobs = [claimed(database) for _ in range(3)]
    of_deleted = claimed(database, image_id=gone.id)
    other = claimed(database)
    ids = [job.id for job in (*jobs, of_deleted)]
    database.cancel_job(jobs[1].id)
    database.save_job(jobs[2], JobChange(status=JobStatus.SUCCEEDED))
    database.finish_delete(gone.id, None)
    with backend.counting() as statements:
        told = database.renew_jobs("worker-1", ids, 5000.0)
    assert told == {jobs[0].id: False, jobs[1].id: True, of_deleted.id: True}
    assert len([one for one in statements if one.startswith("UPDATE")]) == 1
    assert len(statements) == 2
    assert database.get_job(other.id).due_at == 1000.25
    assert database.renew_jobs("worker-2", ids, 6000.0) == {}


def test_progress_and_steps(database: Database) -> None:
    job = claimed(database)
    database.save_job(job, JobChange(bytes_done=5, bytes_total=2**40))
    database.save_job(job, JobChange(step=("first", {"a": "ä\U0001f600"}), message="half way\x00\U0001f600"))
    job = database.get_job(job.id)
    assert (job.bytes_done, job.bytes_total, job.steps) == (5, 2**40, {"first": {"a": "ä\U0001f600"}})
    assert job.message == "half way??"
    database.save_job(job, JobChange(step=("second", None)))
    assert database.get_job(job.id).steps == {"first": {"a": "ä\U0001f600"}, "second": None}


def test_a_pause_and_another_attempt(database: Database) -> None:
    job = claimed(database, unique_key="import:1")
    database.save_job(job, JobChange(status=JobStatus.PENDING, due_at=500.5, message="no luck"))
    assert database.due_jobs(KINDS, 500.0, limit=9) == []
    [due] = database.due_jobs(KINDS, 500.5, limit=9)
    assert (due.status, due.claimed_by, due.attempt, due.message) == (JobStatus.PENDING, None, 1, "no luck")
    assert due.unique_key == "import:1"
    with pytest.raises(LeaseLost):
        database.save_job(job, JobChange(message="x"))
    again = database.claim_job(due, "worker-1", 1000.0)
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
    assert database.due_jobs(KINDS, 1e12, limit=9) == []
    with pytest.raises(LeaseLost):
        database.save_job(job, JobChange(message="x"))
    assert database.cancel_job(job.id) == ended


def test_cancelling(database: Database) -> None:
    pending = added(database, unique_key="import:1")
    cancelled = database.cancel_job(pending.id)
    assert (cancelled.status, cancelled.due_at, cancelled.unique_key) == (JobStatus.CANCELLED, None, None)
    assert cancelled.ended_at is not None
    running = claimed(database)
    asked = database.cancel_job(running.id)
    assert (asked.status, asked.cancel_requested, asked.due_at) == (JobStatus.RUNNING, True, 1000.25)
    # whoever takes it over is told
    [due] = database.due_jobs(KINDS, 2000.0, limit=9)
    assert due.cancel_requested


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
        added(database, type=KINDS[number % 2], image_id=str(number % 3), owner=f"p{number % 2}") for number in range(7)
    ]
    everything = database.list_jobs(JobQuery())
    assert {job.id for job in everything} == {job.id for job in jobs}
    assert everything == sorted(everything, key=lambda job: (job.created_at, job.id), reverse=True)
    seen: list[Job] = []
    while page := database.list_jobs(JobQuery(limit=3, after=seen[-1].id if seen else None)):
        seen += page
    assert seen == everything
    assert {job.type for job in database.list_jobs(JobQuery(type="copy"))} == {"copy"}
    assert len(database.list_jobs(JobQuery(image_id="0"))) == 3
    assert len(database.list_jobs(JobQuery(owner="p1", image_id="0"))) == 1
    database.cancel_job(jobs[0].id)
    assert [job.id for job in database.list_jobs(JobQuery(status=JobStatus.CANCELLED))] == [jobs[0].id]
    assert database.list_jobs(JobQuery(limit=0)) == []


def test_old_jobs_are_forgotten(database: Database) -> None:
    ended, pending, running = claimed(database), added(database), claimed(database)
    database.save_job(ended, JobChange(status=JobStatus.FAILED))
    assert database.forget_jobs(now() - timedelta(hours=1)) == 0
    assert database.forget_jobs(now() + timedelta(hours=1)) == 1
    assert {job.id for job in database.list_jobs(JobQuery())} == {pending.id, running.id}
