"""The rows of jobs in Glance's ``tasks`` and ``task_info`` (ADR 0025; imports-and-stores 2.9, 3; database 3.6)."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from glimpse.db.sql.own_tables import jobs
from glimpse.db.sql.tables import task_info, tasks
from glimpse.domain.clock import now
from glimpse.domain.image import ImageChange
from glimpse.domain.job import JobChange, JobStatus, needed_node
from glimpse.domain.task import KEEP_HOURS, WAITS_FOR_NODE, TaskQuery
from glimpse.errors import LeaseLost, NotFound
from tests.contract.db.backends import Backend
from tests.contract.db.examples import MOMENT
from tests.contract.db.test_jobs import LIFETIME, added, claimed, claims_of, due, stored_image

IMAGE = "1" * 36
GIVEN = {"image_id": IMAGE, "loc_url": "https://u:secret@host/a?sig=secret"}


def row(backend: Backend, job_id: str) -> dict[str, Any]:
    """The row of a job, both halves."""
    [one] = backend.rows(tasks, id=job_id)
    [info] = backend.rows(task_info, task_id=job_id)
    return {**one, **info}


def import_input(request: dict[str, Any], stores: tuple[str, ...] = ("fast", "b")) -> dict[str, Any]:
    return {"image_id": IMAGE, "request": json.dumps(request), "stores": stores}


def test_a_new_job_has_a_pending_row(backend: Backend) -> None:
    job = added(backend.database, image_id=IMAGE, user_id="u", input=GIVEN)
    recorded = backend.database.get_job(job.id)
    found = row(backend, job.id)
    assert json.loads(found.pop("input")) == {"image_id": IMAGE, "loc_url": "https://***@host/a?sig=***"}
    assert found == {
        "id": job.id, "task_id": job.id, "type": "location_import", "status": "pending", "owner": job.owner,
        "created_at": recorded.created_at, "updated_at": recorded.created_at, "expires_at": None, "deleted": False,
        "deleted_at": None, "image_id": IMAGE, "request_id": job.request_id, "user_id": "u", "result": None,
        "message": "",
    }  # fmt: skip


def test_the_row_follows_the_job(backend: Backend) -> None:
    database = backend.database
    job = claimed(database)
    assert (row(backend, job.id)["status"], row(backend, job.id)["updated_at"]) == ("processing", job.updated_at)
    database.save_job(job, JobChange(status=JobStatus.PENDING, message="The store is away."))
    found = row(backend, job.id)
    assert (found["status"], found["message"], found["expires_at"]) == ("pending", "The store is away.", None)
    [again] = [one for one in due(database) if one.id == job.id]
    run = database.claim_job(again, "worker-2", LIFETIME)
    assert run is not None
    moment = database.save_job(run, JobChange(status=JobStatus.SUCCEEDED, message="", result={"image_id": IMAGE}))
    found = row(backend, job.id)
    assert (found["status"], found["message"], found["result"]) == ("success", "", f'{{"image_id": "{IMAGE}"}}')
    assert (found["updated_at"], found["expires_at"]) == (moment, moment + timedelta(hours=KEEP_HOURS))
    assert [task.id for task in database.list_tasks(TaskQuery(), KEEP_HOURS)] == [job.id]


@pytest.mark.parametrize("status", [JobStatus.FAILED, JobStatus.CANCELLED])
def test_what_failed_or_was_cancelled_is_a_failure(backend: Backend, status: JobStatus) -> None:
    job = claimed(backend.database)
    backend.database.save_job(job, JobChange(status=status, message="The reason."))
    found = row(backend, job.id)
    assert (found["status"], found["message"]) == ("failure", "The reason.")
    assert found["expires_at"] is not None


def test_jobs_that_are_no_tasks_have_no_row(backend: Backend) -> None:
    job = added(backend.database, type="image_deletion", input={})
    assert backend.rows(tasks, id=job.id) == []


def test_a_renewed_lease_renews_the_row(backend: Backend) -> None:
    database = backend.database
    held, lost, other = claimed(database), claimed(database), claimed(database)
    backend.execute(sa.update(tasks).values(updated_at=MOMENT))
    backend.execute(sa.update(jobs).where(jobs.c.id == lost.id).values(generation=2))
    database.renew_jobs("worker-1", claims_of(held, lost), LIFETIME)
    assert row(backend, held.id)["updated_at"] > now() - timedelta(minutes=5)
    assert [row(backend, one.id)["updated_at"] for one in (lost, other)] == [MOMENT, MOMENT]


def test_the_message_of_a_running_job_is_its_progress(backend: Backend) -> None:
    database = backend.database
    moving, quiet = claimed(database), claimed(database)
    database.save_job(moving, JobChange(bytes_done=(15 << 20) + 1, bytes_total=120 << 20))
    database.renew_jobs("worker-1", claims_of(moving, quiet), LIFETIME)
    assert [row(backend, one.id)["message"] for one in (moving, quiet)] == ["Read 15 MiB of 120 MiB.", ""]
    database.save_job(moving, JobChange(status=JobStatus.SUCCEEDED, message=""))
    assert row(backend, moving.id)["message"] == ""


def test_a_task_that_a_glance_has_ended_is_not_renewed(backend: Backend) -> None:
    job = claimed(backend.database)
    backend.database.save_job(job, JobChange(bytes_done=5 << 20))
    backend.execute(sa.update(tasks).where(tasks.c.id == job.id).values(status="failure", updated_at=MOMENT))
    backend.execute(sa.update(task_info).where(task_info.c.task_id == job.id).values(message="Taken over."))
    backend.database.renew_jobs("worker-1", claims_of(job), LIFETIME)
    found = row(backend, job.id)
    assert (found["updated_at"], found["message"]) == (MOMENT, "Taken over.")


def test_the_row_of_a_waiting_job_does_not_say_that_it_waits(backend: Backend) -> None:
    given = import_input({"method": {"name": "glance-direct"}})
    stores = (needed_node("http://node1"),)
    job = added(backend.database, type="api_image_import", image_id=IMAGE, input=given, stores=stores)
    assert backend.database.get_task(job.id, KEEP_HOURS).message == WAITS_FOR_NODE
    # nothing would remove it when the node begins
    assert row(backend, job.id)["message"] == ""


def test_a_job_of_an_older_version_gets_a_row_when_it_is_claimed(backend: Backend) -> None:
    job = added(backend.database, image_id=IMAGE)
    for table, column in ((task_info, task_info.c.task_id), (tasks, tasks.c.id)):
        backend.execute(sa.delete(table).where(column == job.id))
    [found] = due(backend.database)
    run = backend.database.claim_job(found, "worker-1", LIFETIME)
    assert run is not None
    assert (row(backend, job.id)["status"], row(backend, job.id)["created_at"]) == ("processing", run.created_at)


def test_the_end_of_a_job_whose_row_is_gone(backend: Backend) -> None:
    job = claimed(backend.database)
    for table, column in ((task_info, task_info.c.task_id), (tasks, tasks.c.id)):
        backend.execute(sa.delete(table).where(column == job.id))
    backend.database.save_job(job, JobChange(status=JobStatus.SUCCEEDED))
    assert backend.database.get_task(job.id, KEEP_HOURS).status == "success"


def test_a_run_that_has_lost_its_job_changes_no_row(backend: Backend) -> None:
    job = claimed(backend.database)
    backend.execute(sa.update(jobs).where(jobs.c.id == job.id).values(generation=2))
    with pytest.raises(LeaseLost):
        backend.database.save_job(job, JobChange(status=JobStatus.FAILED, message="no"))
    assert (row(backend, job.id)["status"], row(backend, job.id)["message"]) == ("processing", "")


def test_a_change_that_the_image_refuses_leaves_the_row(backend: Backend) -> None:
    job = claimed(backend.database, image_id=stored_image(backend.database).id)
    backend.database.delete_without_data(job.image_id or "")
    with pytest.raises(NotFound):
        backend.database.save_job(job, JobChange(status=JobStatus.SUCCEEDED), ImageChange(set_properties={"a": "1"}))
    assert row(backend, job.id)["status"] == "processing"


def test_the_input_of_an_import_has_no_credentials(backend: Backend) -> None:
    request = {
        "method": {"name": "web-download", "uri": "https://u:secret@host/a?X-Sig=secret", "password": "secret"},
        "all_stores": True, "token": "secret",
    }  # fmt: skip
    job = added(backend.database, type="api_image_import", image_id=IMAGE, input=import_input(request))
    text = row(backend, job.id)["input"]
    assert "secret" not in text
    assert json.loads(text) == {
        "image_id": IMAGE,
        "backend": ["fast", "b"],
        "import_req": {
            "method": {"name": "web-download", "uri": "https://***@host/a?X-Sig=***"},
            "all_stores": True,
        },
    }


def test_what_is_too_long_is_left_out(backend: Backend) -> None:
    long: dict[str, Any] = {"method": {"name": "web-download", "uri": "https://host/" + "ä" * 20_000}}
    job = added(backend.database, type="api_image_import", image_id=IMAGE, input=import_input(long))
    assert json.loads(row(backend, job.id)["input"]) == {"image_id": IMAGE, "backend": ["fast", "b"]}
    stores = tuple(f"store-{number}" for number in range(9000))
    job = added(backend.database, type="api_image_import", image_id=IMAGE, input=import_input({}, stores))
    assert json.loads(row(backend, job.id)["input"]) == {"image_id": IMAGE}
    run = claimed(backend.database)
    change = JobChange(status=JobStatus.FAILED, message="\N{EURO SIGN}" * 30_000, result={"a": "b" * 70_000})
    backend.database.save_job(run, change)
    found = row(backend, run.id)
    assert (found["message"], found["result"]) == ("\N{EURO SIGN}" * 21_845, None)


def test_the_row_of_a_forgotten_job_is_marked_as_deleted(backend: Backend) -> None:
    database = backend.database
    old, kept = claimed(database), claimed(database)
    for job in (old, kept):
        database.save_job(job, JobChange(status=JobStatus.SUCCEEDED))
    backend.execute(sa.update(jobs).where(jobs.c.id == old.id).values(ended_at=MOMENT))
    assert database.forget_jobs(MOMENT + timedelta(hours=1)) == 1
    assert (row(backend, old.id)["deleted"], row(backend, kept.id)["deleted"]) == (True, False)
    with pytest.raises(NotFound):
        database.get_task(old.id, KEEP_HOURS)
    assert [task.id for task in database.list_tasks(TaskQuery(), KEEP_HOURS)] == [kept.id]
    purged = database.purge_batch("tasks", now() + timedelta(days=1), 10)
    assert purged.removed == 1
    assert backend.rows(tasks, id=old.id) == backend.rows(task_info, task_id=old.id) == []


def test_statements(backend: Backend) -> None:
    database = backend.database

    def count(work: Any) -> int:
        with backend.counting() as statements:
            work()
        return len(statements)

    assert count(lambda: added(database)) == 3
    [job] = due(database)
    assert count(lambda: database.claim_job(job, "worker-1", LIFETIME)) == 3
    run = database.get_job(job.id)
    assert count(lambda: database.save_job(run, JobChange(step=("a", 1), bytes_total=9))) == 1
    assert count(lambda: database.renew_jobs("worker-1", claims_of(run), LIFETIME)) == 3
    database.save_job(run, JobChange(bytes_done=5 << 20))
    assert count(lambda: database.renew_jobs("worker-1", claims_of(run), LIFETIME)) == 4
    assert count(lambda: database.save_job(run, JobChange(status=JobStatus.SUCCEEDED))) == 3
    assert count(lambda: database.forget_jobs(MOMENT)) == 2
