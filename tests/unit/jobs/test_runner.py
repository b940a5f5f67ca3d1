"""The job runner on a real database, with small jobs that behave like real ones."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa

from glimpse.context import Context
from glimpse.db.schema import sync
from glimpse.db.sql.database import SqlDatabase
from glimpse.db.sql.engine import connect
from glimpse.db.sql.tables import tasks
from glimpse.domain.clock import now
from glimpse.domain.image import Image, ImageChange
from glimpse.domain.job import Job, JobChange, JobQuery, JobStatus
from glimpse.domain.job_kinds import KINDS, JobKind
from glimpse.domain.status import Status
from glimpse.errors import (
    AccessDenied,
    Conflict,
    DataInUse,
    DeletionDenied,
    ForeignLocation,
    LeaseLost,
    NotFound,
    Refused,
    StoreReadOnly,
    StoreUnavailable,
)
from glimpse.jobs.base import LONGEST_PAUSE, Handlers, Outcome, Run, TryAgain, WaitForStores, pause_after
from glimpse.jobs.heartbeat import Heartbeat
from glimpse.jobs.periodic import Periodic
from glimpse.jobs.queue import JobQueue
from glimpse.jobs.runner import JobRunner
from glimpse.settings.model import DatabaseSettings, Jobs, Leases, Secret
from tests.support.jobs import run_due

DONE = Outcome(status=JobStatus.SUCCEEDED, result={"a": 1})
CONTEXT = Context(request_id="req-1", user_id="u", project_id="p")
SECONDS = 20.0


@pytest.fixture
def database(tmp_path: Path) -> Iterator[SqlDatabase]:
    settings = DatabaseSettings(connection=Secret(f"sqlite:///{tmp_path}/jobs.sqlite"), sqlite_synchronous=False)
    engine = connect(settings)
    sync(engine)
    made = SqlDatabase(engine)
    yield made
    made.close()


class TestInput(msgspec.Struct, frozen=True):
    __test__ = False

    x: str = ""


@pytest.fixture(autouse=True)
def kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("test", "unknown"):
        monkeypatch.setitem(KINDS, name, JobKind(input=TestInput))


class Kind:
    """A kind of job whose work is a function."""

    def __init__(self, work: Callable[[Run], Outcome], *, attempts: int = 3) -> None:
        self.type = "test"
        self.at_once: int | None = None
        self.most_attempts = attempts
        self.run = work
        self.given_up: list[str] = []

    def give_up(self, run: Run, reason: str) -> Outcome:
        self.given_up.append(reason)
        return Outcome(status=JobStatus.FAILED, message=reason)

    def stopped(self, run: Run) -> Outcome:
        return Outcome(status=JobStatus.CANCELLED, message="stopped")


class Process:
    """A runner and the heartbeat of its process."""

    def __init__(
        self,
        database: SqlDatabase,
        kinds: Handlers,
        owner: str,
        *,
        jobs: Jobs,
        leases: Leases,
        wakeup: threading.Event | None = None,
        stores: tuple[str, ...] = (),
        on_outcome: Callable[[str, str], None] = lambda _kind, _outcome: None,
    ) -> None:
        self.heartbeat = Heartbeat(database, leases, owner)
        self.runner = JobRunner(
            database,
            kinds,
            heartbeat=self.heartbeat,
            wakeup=wakeup or threading.Event(),
            jobs=jobs,
            stores=stores,
            on_outcome=on_outcome,
        )
        self._renewal = Periodic("renewal", leases.heartbeat, self.heartbeat.renew)

    def start(self) -> None:
        self._renewal.start()
        self.runner.start()

    def stop(self) -> None:
        self.runner.stop()
        self._renewal.stop()

    def run_due(self) -> int:
        return run_due(self.runner)


def runner(
    database: SqlDatabase, kind: Kind, owner: str = "worker-1", *, threads: int = 2, lifetime: float = 30.0
) -> Process:
    jobs, leases = Jobs(threads=threads, interval=0.05), Leases(lifetime=lifetime, heartbeat=0.05)
    return Process(database, {kind.type: kind}, owner, jobs=jobs, leases=leases)


def added(database: SqlDatabase, **fields: str) -> str:
    queue = JobQueue(database)
    job = queue.draft(CONTEXT, "test", TestInput(x="y"), image_id=fields.pop("image_id", "1"))
    queue.add(msgspec.structs.replace(job, **fields))
    return job.id


def be_due(database: SqlDatabase, job_id: str) -> None:
    """Let the lease or the pause of a job be over."""
    from sqlalchemy import update

    from glimpse.db.sql.own_tables import jobs

    with database._engine.connect() as connection:
        connection.execute(update(jobs).where(jobs.c.id == job_id).values(due_at=0.0))


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.01)


def ended(database: SqlDatabase, job_id: str) -> bool:
    return database.get_job(job_id).ended_at is not None


def test_a_job_knows_who_asked(database: SqlDatabase) -> None:
    job = database.get_job(added(database))
    assert (job.owner, job.user_id, job.request_id) == ("p", "u", "req-1")
    assert (job.input, job.status) == ({"x": "y"}, JobStatus.PENDING)


def test_what_is_due_is_run_to_its_end(database: SqlDatabase) -> None:
    seen: list[Job] = []

    def work(run: Run) -> Outcome:
        seen.append(run.job)
        return DONE

    ids = {added(database), added(database)}
    engine = runner(database, Kind(work))
    assert engine.run_due() == 2
    assert engine.run_due() == 0
    assert {job.id for job in seen} == ids
    assert {job.status for job in database.list_jobs(JobQuery())} == {JobStatus.SUCCEEDED}
    assert database.get_job(ids.pop()).result == {"a": 1}


def test_jobs_of_other_kinds_are_left_to_others(database: SqlDatabase) -> None:
    job_id = added(database, type="unknown")
    assert runner(database, Kind(lambda _: DONE)).run_due() == 0
    assert database.get_job(job_id).status is JobStatus.PENDING


def test_a_started_engine_hears_the_bell(database: SqlDatabase) -> None:
    queue = JobQueue(database)
    kind = Kind(lambda _: DONE)
    jobs = Jobs(threads=1, interval=600.0)
    engine = Process(database, {"test": kind}, "w", jobs=jobs, leases=Leases(), wakeup=queue.wakeup)
    engine.start()
    try:
        for _ in range(3):
            job = queue.draft(CONTEXT, "test", TestInput(), image_id="1")
            queue.add(job)
            wait_for(lambda job_id=job.id: ended(database, job_id))
    finally:
        engine.stop()


def test_a_started_engine_finds_jobs_of_other_processes(database: SqlDatabase) -> None:
    engine = runner(database, Kind(lambda _: DONE))
    engine.start()
    try:
        job_id = added(database)
        wait_for(lambda: ended(database, job_id))
    finally:
        engine.stop()


@pytest.mark.parametrize(("threads", "most"), [(2, 1), (4, 2)])
def test_jobs_of_one_project_that_do_not_end_leave_threads_to_others(
    database: SqlDatabase, threads: int, most: int
) -> None:
    go_on = threading.Event()
    begun: list[str] = []

    def work(run: Run) -> Outcome:
        begun.append(run.job.id)
        if run.job.owner == "slow":
            assert go_on.wait(SECONDS)
        return DONE

    slow = [added(database, owner="slow") for _ in range(20)]
    engine = runner(database, Kind(work), threads=threads)
    engine.start()
    try:
        wait_for(lambda: len(begun) == most)
        for other in ("a", "b", "a"):
            job_id = added(database, owner=other)
            wait_for(lambda job_id=job_id: ended(database, job_id))
        assert len(set(begun) & set(slow)) == most
        go_on.set()
        wait_for(lambda: all(ended(database, job_id) for job_id in slow))
    finally:
        go_on.set()
        engine.stop()


def test_no_more_at_once_than_there_are_threads(database: SqlDatabase) -> None:
    running: list[str] = []
    most: list[int] = []
    lock = threading.Lock()

    def work(run: Run) -> Outcome:
        with lock:
            running.append(run.job.id)
            most.append(len(running))
        time.sleep(0.03)
        with lock:
            running.remove(run.job.id)
        return DONE

    ids = [added(database, owner=f"p{number}") for number in range(8)]
    engine = runner(database, Kind(work), threads=3)
    engine.start()
    try:
        wait_for(lambda: all(ended(database, job_id) for job_id in ids))
    finally:
        engine.stop()
    assert max(most) <= 3
    assert len(most) == 8


def test_two_engines_run_no_job_twice(database: SqlDatabase) -> None:
    seen: list[str] = []

    def work(run: Run) -> Outcome:
        seen.append(run.job.id)
        return DONE

    ids = [added(database) for _ in range(20)]
    engines = [runner(database, Kind(work), f"worker-{number}") for number in range(2)]
    for engine in engines:
        engine.start()
    try:
        wait_for(lambda: all(ended(database, job_id) for job_id in ids))
    finally:
        for engine in engines:
            engine.stop()
    assert sorted(seen) == sorted(ids)


def test_a_running_job_is_renewed(database: SqlDatabase) -> None:
    go_on = threading.Event()

    def work(_: Run) -> Outcome:
        go_on.wait(SECONDS)
        return DONE

    job_id = added(database)
    engine, other = runner(database, Kind(work), lifetime=0.4), runner(database, Kind(work), "worker-2", lifetime=0.4)
    engine.start()
    try:
        wait_for(lambda: database.get_job(job_id).status is JobStatus.RUNNING)
        for _ in range(10):
            time.sleep(0.1)
            assert other.run_due() == 0
        go_on.set()
        wait_for(lambda: ended(database, job_id))
    finally:
        engine.stop()
    assert database.get_job(job_id).attempt == 1


def test_a_job_of_a_dead_process_goes_on_from_its_last_step(database: SqlDatabase) -> None:
    done: list[str] = []

    def work(run: Run) -> Outcome:
        for step in ("one", "two", "three"):
            if step not in run.job.steps:
                done.append(step)
                run.record(step, len(done))
        return DONE

    job_id = added(database)
    dead = database.claim_job(database.get_job(job_id), "dead", -1.0)
    assert dead is not None
    database.save_job(dead, JobChange(step=("one", 0)))
    assert runner(database, Kind(work)).run_due() == 1
    assert done == ["two", "three"]
    job = database.get_job(job_id)
    assert (job.status, job.attempt, job.steps) == (JobStatus.SUCCEEDED, 2, {"one": 0, "two": 1, "three": 2})


def test_failures_are_tried_again_after_pauses_that_grow(database: SqlDatabase) -> None:
    def work(run: Run) -> Outcome:
        raise StoreUnavailable(f"no luck {run.job.attempt}")

    kind = Kind(work)
    job_id = added(database)
    pauses: list[float] = []
    for attempt in (1, 2):
        before = time.time()
        runner(database, kind).run_due()
        job = database.get_job(job_id)
        assert (job.status, job.message, job.attempt) == (JobStatus.PENDING, f"no luck {attempt}", attempt)
        assert job.due_at is not None
        pauses.append(job.due_at - before)
        assert runner(database, kind).run_due() == 0
        be_due(database, job_id)
    assert pauses[1] > pauses[0] * 1.5
    runner(database, kind).run_due()
    job = database.get_job(job_id)
    assert (job.status, job.message) == (JobStatus.FAILED, "no luck 3")
    assert kind.given_up == ["no luck 3"]
    assert [pause_after(number) for number in (1, 2, 3, 100)] == [2.0, 4.0, 8.0, LONGEST_PAUSE]


def test_a_job_may_choose_its_pause(database: SqlDatabase) -> None:
    def work(_: Run) -> Outcome:
        raise TryAgain("later", 1000.0)

    job_id = added(database)
    runner(database, Kind(work)).run_due()
    job = database.get_job(job_id)
    assert job.due_at is not None
    assert 990 < job.due_at - time.time() <= 1000
    assert job.message == "later"


def test_a_defect_is_logged_and_its_text_kept_from_users(
    database: SqlDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    def work(_: Run) -> Outcome:
        raise ValueError("a path of the host")

    kind = Kind(work, attempts=1)
    job_id = added(database)
    runner(database, kind).run_due()
    job = database.get_job(job_id)
    assert job.status is JobStatus.FAILED
    assert "path" not in job.message
    assert "a path of the host" in caplog.text


@pytest.mark.parametrize("refusal", [AccessDenied, DataInUse, DeletionDenied, ForeignLocation, StoreReadOnly])
def test_a_refusal_by_a_store_ends_the_job_at_once(database: SqlDatabase, refusal: type[Refused]) -> None:
    attempts: list[int] = []

    def work(run: Run) -> Outcome:
        attempts.append(run.job.attempt)
        raise refusal("The store denies access.")

    kind = Kind(work, attempts=20)
    job_id = added(database)
    runner(database, kind).run_due()
    job = database.get_job(job_id)
    assert (job.status, job.message, job.due_at) == (JobStatus.FAILED, "The store denies access.", None)
    assert (attempts, kind.given_up) == ([1], ["The store denies access."])


def test_a_job_that_ends_its_process_each_time_comes_to_an_end(database: SqlDatabase) -> None:
    kind = Kind(lambda _: DONE, attempts=2)
    job_id = added(database)
    for _ in range(2):
        assert database.claim_job(database.get_job(job_id), "dead", 0.0) is not None
    runner(database, kind).run_due()
    assert database.get_job(job_id).status is JobStatus.FAILED
    assert len(kind.given_up) == 1


def test_a_job_whose_cleaning_up_fails_too_comes_to_an_end(
    database: SqlDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    class Hopeless(Kind):
        def give_up(self, run: Run, reason: str) -> Outcome:
            raise ValueError("cannot be brought in order")

    def work(_: Run) -> Outcome:
        raise StoreUnavailable("no luck")

    kind = Hopeless(work, attempts=1)
    job_id = added(database)
    for _ in range(10):
        runner(database, kind).run_due()
        if ended(database, job_id):
            break
        be_due(database, job_id)
    assert database.get_job(job_id).status is JobStatus.FAILED
    assert "cannot be brought in order" in caplog.text


class TestStopping:
    def test_a_cancelled_job_stops_at_its_next_question(self, database: SqlDatabase) -> None:
        def work(run: Run) -> Outcome:
            while True:
                run.progress(5, 10)
                time.sleep(0.01)

        job_id = added(database)
        engine = runner(database, Kind(work))
        engine.start()
        try:
            wait_for(lambda: database.get_job(job_id).bytes_done == 5)
            assert database.cancel_job(job_id).status is JobStatus.RUNNING
            wait_for(lambda: ended(database, job_id))
        finally:
            engine.stop()
        job = database.get_job(job_id)
        assert (job.status, job.message, job.bytes_total) == (JobStatus.CANCELLED, "stopped", 10)

    def test_the_rate_is_recorded_with_the_progress(
        self, database: SqlDatabase, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("glimpse.jobs.run.PROGRESS_INTERVAL", 0.0)
        rates: list[object] = []

        def work(run: Run) -> Outcome:
            for done in (0, 5_000_000, 4_000_000):
                time.sleep(0.01)
                run.progress(done, None)
                rates.append(database.get_job(run.job.id).steps["rate"])
                run.record("read", done)
            assert run.job.steps == database.get_job(run.job.id).steps == {"read": 4_000_000, "rate": None}
            return DONE

        job_id = added(database)
        assert runner(database, Kind(work)).run_due() == 1
        assert database.get_job(job_id).status is JobStatus.SUCCEEDED
        first, second, third = rates
        assert first is third is None
        assert isinstance(second, int)
        assert 0 < second < 5_000_000 / 0.01

    def test_the_end_records_the_last_progress(self, database: SqlDatabase) -> None:
        def work(run: Run) -> Outcome:
            for done in (3, 7, 10):
                run.progress(done, 10)
            return DONE

        job_id = added(database)
        assert runner(database, Kind(work)).run_due() == 1
        job = database.get_job(job_id)
        assert (job.bytes_done, job.bytes_total) == (10, 10)

    def test_a_job_whose_image_is_deleted_stops(self, database: SqlDatabase) -> None:
        moment = now()
        database.create_image(Image(id="i", created_at=moment, updated_at=moment))

        def work(run: Run) -> Outcome:
            while True:
                run.check()
                time.sleep(0.01)

        job_id = added(database, image_id="i")
        engine = runner(database, Kind(work))
        engine.start()
        try:
            wait_for(lambda: database.get_job(job_id).status is JobStatus.RUNNING)
            database.delete_without_data("i")
            wait_for(lambda: ended(database, job_id))
        finally:
            engine.stop()
        assert database.get_job(job_id).status is JobStatus.CANCELLED

    def test_a_process_that_ends_gives_its_jobs_back(self, database: SqlDatabase) -> None:
        began = threading.Event()

        def work(run: Run) -> Outcome:
            run.record("begun", True)
            began.set()
            while True:
                run.check()
                time.sleep(0.01)

        job_id = added(database)
        engine = runner(database, Kind(work))
        engine.start()
        assert began.wait(SECONDS)
        engine.stop()
        job = database.get_job(job_id)
        assert (job.status, job.claimed_by, job.attempt, job.steps) == (JobStatus.PENDING, None, 0, {"begun": True})
        assert runner(database, Kind(lambda _: DONE), "worker-2").run_due() == 1

    def test_a_process_that_slept_too_long_changes_nothing(self, database: SqlDatabase) -> None:
        moment = now()
        database.create_image(Image(id="i", status=Status.ACTIVE, created_at=moment, updated_at=moment))
        taken, go_on = threading.Event(), threading.Event()

        def sleeping(_: Run) -> Outcome:
            taken.set()
            go_on.wait(SECONDS)
            return Outcome(status=JobStatus.SUCCEEDED, change=ImageChange(columns={"name": "stale"}))

        job_id = added(database, image_id="i")
        # no heartbeat runs, as if the whole process slept
        thread = threading.Thread(target=runner(database, Kind(sleeping)).run_due)
        thread.start()
        assert taken.wait(SECONDS)
        be_due(database, job_id)
        fresh = Outcome(status=JobStatus.SUCCEEDED, change=ImageChange(columns={"name": "fresh"}))
        assert runner(database, Kind(lambda _: fresh), "worker-2").run_due() == 1
        go_on.set()
        thread.join()
        seen = database.get_any_image("i")
        assert seen is not None
        assert seen.name == "fresh"
        assert database.get_job(job_id).attempt == 2

    def test_a_running_job_is_told_that_it_lost_its_claim(self, database: SqlDatabase) -> None:
        began = threading.Event()

        def work(run: Run) -> Outcome:
            began.set()
            while True:
                run.check()
                time.sleep(0.01)

        job_id = added(database)
        engine = runner(database, Kind(work))
        engine.start()
        try:
            assert began.wait(SECONDS)
            taken: Job | None = None
            while taken is None:
                # the heartbeat may be between the two statements
                be_due(database, job_id)
                taken = database.claim_job(database.get_job(job_id), "worker-2", 100.0)
            wait_for(lambda: not engine.runner._running)
        finally:
            engine.stop()
        assert database.get_job(job_id).claimed_by == "worker-2"

    def test_a_process_that_claims_its_own_job_again_runs_it_once(
        self, database: SqlDatabase, caplog: pytest.LogCaptureFixture
    ) -> None:
        """After an outage longer than the lease two threads ran it, and the end of the first was a ``KeyError``."""
        began: list[int] = []
        ends: dict[int, str] = {}
        go_on = threading.Event()

        def work(run: Run) -> Outcome:
            generation = run.job.generation
            began.append(generation)
            if generation == 2:
                go_on.wait(SECONDS)
                return DONE
            while True:
                try:
                    run.check()
                except LeaseLost:
                    ends[generation] = "lost"
                    raise
                time.sleep(0.01)

        job_id = added(database)
        engine = runner(database, Kind(work), threads=4)
        engine.runner.start()
        try:
            wait_for(lambda: began == [1])
            be_due(database, job_id)
            wait_for(lambda: began == [1, 2])
            wait_for(lambda: ends == {1: "lost"})
            go_on.set()
            wait_for(lambda: ended(database, job_id))
        finally:
            engine.runner.stop()
        job = database.get_job(job_id)
        assert (job.status, job.generation) == (JobStatus.SUCCEEDED, 2)
        assert "KeyError" not in caplog.text

    def test_a_lease_that_was_not_renewed_forbids_what_cannot_be_undone(self, database: SqlDatabase) -> None:
        """Before another process has taken the job: a stalled removal must not run after a new upload."""
        seen: list[str] = []

        def work(run: Run) -> Outcome:
            run.require_lease()
            time.sleep(0.3)
            run.check()
            try:
                run.require_lease()
            except LeaseLost:
                seen.append("lost")
            return DONE

        added(database)
        runner(database, Kind(work), lifetime=0.2).run_due()
        assert seen == ["lost"]

    def test_light_kinds_run_without_job_threads(self, database: SqlDatabase) -> None:
        """A node that runs no jobs recovers what dead processes left all the same."""
        job_id = added(database)
        heavy, light = Kind(lambda _: DONE), Kind(lambda _: DONE)
        light.at_once = 1
        assert runner(database, heavy, threads=0).run_due() == 0
        assert runner(database, light, threads=0).run_due() == 1
        assert ended(database, job_id)

    def test_a_job_that_waits_for_a_store_is_not_given_up(self, database: SqlDatabase) -> None:
        def work(_: Run) -> Outcome:
            raise WaitForStores("The store is down.", ("ceph2",))

        job_id = added(database)
        kind = Kind(work, attempts=1)
        engine = Process(database, {"test": kind}, "w", jobs=Jobs(), leases=Leases(), stores=("ceph2",))
        for waits in (1, 2, 3):
            assert engine.run_due() == 1
            job = database.get_job(job_id)
            assert (job.status, job.attempt, job.steps) == (JobStatus.PENDING, 0, {"waits": waits})
            assert (job.message, job.stores) == ("The store is down.", ("ceph2",))
            be_due(database, job_id)
            assert runner(database, kind).run_due() == 0, "this process has not the store"
        assert kind.given_up == []


class TestEnds:
    def test_an_image_that_does_not_allow_the_end_is_looked_at_again(self, database: SqlDatabase) -> None:
        moment = now()
        database.create_image(Image(id="i", created_at=moment, updated_at=moment))
        statuses = [Status.ACTIVE, Status.QUEUED]

        def work(_: Run) -> Outcome:
            change = ImageChange(columns={"name": "n"}, from_status=(statuses.pop(0),))
            return Outcome(status=JobStatus.SUCCEEDED, change=change)

        job_id = added(database, image_id="i")
        runner(database, Kind(work)).run_due()
        assert database.get_job(job_id).status is JobStatus.PENDING
        be_due(database, job_id)
        runner(database, Kind(work)).run_due()
        assert database.get_job(job_id).status is JobStatus.SUCCEEDED

    def test_an_image_that_is_gone_ends_the_job(self, database: SqlDatabase) -> None:
        change = ImageChange(columns={"name": "n"})
        job_id = added(database, image_id="nothing")
        runner(database, Kind(lambda _: Outcome(status=JobStatus.SUCCEEDED, change=change))).run_due()
        assert database.get_job(job_id).status is JobStatus.CANCELLED

    def test_bringing_in_order_an_image_that_went_another_way(self, database: SqlDatabase) -> None:
        class Ordering(Kind):
            def give_up(self, run: Run, reason: str) -> Outcome:
                change = ImageChange(columns={"status": Status.QUEUED}, from_status=(Status.IMPORTING,))
                return Outcome(status=JobStatus.FAILED, message=reason, change=change)

        def work(_: Run) -> Outcome:
            raise Conflict("no")

        moment = now()
        database.create_image(Image(id="i", status=Status.ACTIVE, created_at=moment, updated_at=moment))
        job_id = added(database, image_id="i")
        runner(database, Ordering(work, attempts=1)).run_due()
        assert database.get_job(job_id).status is JobStatus.FAILED
        seen = database.get_any_image("i")
        assert seen is not None
        assert seen.status is Status.ACTIVE

    def test_who_is_told(self, database: SqlDatabase) -> None:
        told: list[tuple[str, str]] = []
        engine = Process(
            database, {"test": Kind(lambda _: DONE)}, "w", jobs=Jobs(), leases=Leases(),
            on_outcome=lambda kind, outcome: told.append((kind, outcome)),
        )  # fmt: skip
        added(database)
        engine.run_due()
        assert told == [("test", "succeeded")]

    def test_nobody_is_told_of_a_job_that_waits(self, database: SqlDatabase) -> None:
        told: list[tuple[str, str]] = []
        waits = Outcome(status=JobStatus.PENDING, message="The store is down.", recorded=True)
        engine = Process(
            database, {"test": Kind(lambda _: waits)}, "w", jobs=Jobs(), leases=Leases(),
            on_outcome=lambda kind, outcome: told.append((kind, outcome)),
        )  # fmt: skip
        added(database)
        engine.run_due()
        assert told == []

    def test_old_records_go(self, database: SqlDatabase) -> None:
        job_id = added(database)
        engine = runner(database, Kind(lambda _: DONE))
        engine.run_due()
        engine.runner.forget()
        assert database.get_job(job_id)
        assert database.forget_jobs(now() + timedelta(hours=1)) == 1

    def test_expired_tasks_of_glance_are_marked(self, database: SqlDatabase) -> None:
        moment = now()
        values = {
            "id": "1", "type": "import", "status": "success", "owner": "p", "expires_at": moment - timedelta(hours=1),
            "created_at": moment, "deleted": False,
        }  # fmt: skip
        with database._engine.connect() as connection:
            connection.execute(sa.insert(tasks).values(values))
        assert database.get_task("1", 48)
        runner(database, Kind(lambda _: DONE)).runner.forget()
        with pytest.raises(NotFound):
            database.get_task("1", 48)


def test_an_idle_engine_makes_one_read_for_each_interval(database: SqlDatabase) -> None:
    from sqlalchemy import event

    statements: list[str] = []

    def record(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)

    engine = Process(
        database, {"test": Kind(lambda _: DONE)}, "w", jobs=Jobs(interval=0.1), leases=Leases(heartbeat=0.01)
    )
    event.listen(database._engine, "before_cursor_execute", record)
    began = time.monotonic()
    engine.start()
    while sum(one.startswith("SELECT") for one in list(statements)) < 5:
        time.sleep(0.05)
    engine.stop()
    intervals = (time.monotonic() - began) / 0.1
    reads = [one for one in statements if one.startswith("SELECT")]
    assert 5 <= len(reads) <= intervals + 2
    assert len(statements) - len(reads) <= 3, "the removal of old records, three statements, runs once an hour"


def test_without_the_database_it_waits(database: SqlDatabase, caplog: pytest.LogCaptureFixture) -> None:
    from glimpse.errors import DatabaseUnavailable

    answers = [True]

    class Away(SqlDatabase):
        def due_jobs(self, *args: object, **kwargs: object) -> list[Job]:  # type: ignore[override]
            if answers:
                answers.pop()
                raise DatabaseUnavailable("The database is not responding.")
            return super().due_jobs(*args, **kwargs)  # type: ignore[arg-type]

    job_id = added(database)
    engine = runner(Away(database._engine), Kind(lambda _: DONE))
    engine.start()
    try:
        wait_for(lambda: ended(database, job_id))
    finally:
        engine.stop()
    assert "is not responding" in caplog.text
