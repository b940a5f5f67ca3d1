"""Tasks: jobs and Glance's own rows, read as one list (imports-and-stores 3; database 3.6)."""

from __future__ import annotations

import json
import uuid
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from glimpse.db.base import Database
from glimpse.db.sql.own_tables import jobs
from glimpse.db.sql.tables import task_info, tasks
from glimpse.domain.clock import now
from glimpse.domain.job import JobChange, JobStatus
from glimpse.domain.task import TASK_COLUMNS, Task, TaskQuery
from glimpse.errors import MarkerUnknown, NotFound
from tests.contract.db.backends import Backend
from tests.contract.db.examples import MOMENT
from tests.contract.db.test_jobs import added, claimed

KEPT = 48
IMAGE = "1" * 36


def of_glance(backend: Backend, *, info: bool = True, **fields: Any) -> str:
    """A row as Glance writes it."""
    values: dict[str, Any] = {
        "id": str(uuid.uuid4()), "type": "api_image_import", "status": "success", "owner": "project-a",
        "expires_at": None, "created_at": MOMENT, "updated_at": MOMENT, "deleted_at": None, "deleted": False,
        "image_id": IMAGE, "request_id": "req-g", "user_id": "g",
    }  # fmt: skip
    values |= fields
    backend.execute(sa.insert(tasks).values(values))
    if info:
        given = {"image_id": IMAGE, "import_req": {"method": {"name": "glance-direct"}}, "backend": ["fast"]}
        backend.execute(
            sa.insert(task_info).values(
                task_id=values["id"],
                input=json.dumps(given),
                result=json.dumps({"image_id": IMAGE}),
                message="Copied 1",
            )
        )
    task_id: str = values["id"]
    return task_id


def of_glimpse(backend: Backend, created_at: datetime = MOMENT, **fields: Any) -> str:
    """A pending job that was recorded at ``created_at``."""
    job = added(backend.database, **fields)
    backend.execute(sa.update(jobs).where(jobs.c.id == job.id).values(created_at=created_at, updated_at=created_at))
    return job.id


def ended(backend: Backend, *, hours_ago: float = 0, status: JobStatus = JobStatus.SUCCEEDED, **fields: Any) -> str:
    job = claimed(backend.database, **fields)
    backend.database.save_job(job, JobChange(status=status, message="over", result={"image_id": IMAGE}))
    moment = backend.as_kept(now() - timedelta(hours=hours_ago))
    backend.execute(sa.update(jobs).where(jobs.c.id == job.id).values(ended_at=moment))
    return job.id


def ids(database: Database, **fields: Any) -> list[str]:
    return [task.id for task in database.list_tasks(TaskQuery(**fields), KEPT)]


def pages(database: Database, limit: int, **fields: Any) -> list[str]:
    found: list[str] = []
    while page := ids(database, limit=limit, marker=found[-1] if found else None, **fields):
        assert len(page) <= limit
        found += page
    return found


def test_rows_of_glance_and_jobs_are_one_list(backend: Backend) -> None:
    old = of_glance(backend, created_at=MOMENT - timedelta(hours=2))
    middle = of_glimpse(backend, MOMENT - timedelta(hours=1))
    new = of_glance(backend, status="processing")
    assert ids(backend.database) == [new, middle, old]
    assert ids(backend.database, descending=False) == [old, middle, new]


def test_a_list_has_all_but_input_result_and_message(backend: Backend) -> None:
    task_id = of_glance(backend, expires_at=datetime(2999, 1, 1))  # noqa: DTZ001 - naive UTC
    [task] = backend.database.list_tasks(TaskQuery(), KEPT)
    assert task == Task(
        id=task_id, type="api_image_import", status="success", owner="project-a", image_id=IMAGE, request_id="req-g",
        user_id="g", created_at=MOMENT, updated_at=MOMENT, expires_at=datetime(2999, 1, 1),  # noqa: DTZ001 - naive UTC
    )  # fmt: skip


def test_jobs_have_the_types_and_statuses_of_tasks(backend: Backend) -> None:
    pending = of_glimpse(backend, type="location_check", input={"image_id": IMAGE})
    running = claimed(backend.database).id
    succeeded, failed = ended(backend), ended(backend, status=JobStatus.FAILED)
    of_glimpse(backend, type="image_deletion", input={})
    found = {task.id: (task.type, task.status) for task in backend.database.list_tasks(TaskQuery(), KEPT)}
    assert found == {
        pending: ("location_import", "pending"),
        running: ("location_import", "processing"),
        succeeded: ("location_import", "success"),
        failed: ("location_import", "failure"),
    }
    for task_id, (_, status) in found.items():
        shown = backend.database.get_task(task_id, KEPT)
        assert (shown.type, shown.status) == found[task_id]
        assert task_id in ids(backend.database, columns=(("status", status),))


def test_a_task_that_is_a_row_and_a_job_is_listed_once(backend: Backend) -> None:
    job_id = of_glimpse(backend, image_id=IMAGE)
    backend.execute(sa.update(tasks).where(tasks.c.id == job_id).values(status="failure"))
    assert ids(backend.database) == [job_id]
    assert ids(backend.database, columns=(("status", "failure"),)) == []
    assert backend.database.get_task(job_id, KEPT).status == "pending"
    [task] = backend.database.list_image_tasks(IMAGE, None, KEPT, limit=9)
    assert (task.id, task.status) == (job_id, "pending")


def test_what_expired_or_was_deleted_is_not_listed(backend: Backend) -> None:
    kept = {
        ended(backend, hours_ago=KEPT - 1, image_id=IMAGE),
        of_glance(backend, expires_at=backend.as_kept(now()) + timedelta(hours=1)),
    }
    expired = [
        ended(backend, hours_ago=KEPT + 1, image_id=IMAGE),
        of_glance(backend, expires_at=now() - timedelta(hours=1)),
    ]
    of_glance(backend, deleted=True, deleted_at=MOMENT)
    assert set(ids(backend.database)) == kept
    assert {task.id for task in backend.database.list_image_tasks(IMAGE, None, KEPT, limit=9)} == kept
    # until it is removed
    assert [backend.database.get_task(task_id, KEPT).id for task_id in expired] == expired


def test_the_end_of_a_job_decides_when_it_expires(backend: Backend) -> None:
    task_id = ended(backend, hours_ago=3)
    ended_at = backend.database.get_job(task_id).ended_at
    assert ended_at is not None
    [listed] = backend.database.list_tasks(TaskQuery(), KEPT)
    shown = backend.database.get_task(task_id, KEPT)
    assert listed.expires_at is not None
    assert abs(listed.expires_at - ended_at - timedelta(hours=KEPT)) < timedelta(milliseconds=1)
    assert shown.expires_at == ended_at + timedelta(hours=KEPT)


@pytest.mark.parametrize("descending", [True, False])
@pytest.mark.parametrize("sort_key", TASK_COLUMNS)
def test_pages_lose_and_repeat_nothing(backend: Backend, sort_key: str, descending: bool) -> None:
    for number in range(4):
        moment = MOMENT + timedelta(hours=number // 2)
        of_glance(backend, created_at=moment, expires_at=None if number % 2 else datetime(2999, 1, 1 + number))  # noqa: DTZ001 - naive UTC
        of_glimpse(backend, moment, owner=f"project-{number % 3}", user_id=None if number % 2 else "u", image_id=None)
    ended(backend)
    everything = ids(backend.database, sort_key=sort_key, descending=descending)
    assert len(everything) == 9
    for limit in (1, 2, 4):
        assert pages(backend.database, limit, sort_key=sort_key, descending=descending) == everything


def test_null_sorts_as_the_smallest_value(backend: Backend) -> None:
    without, later = of_glimpse(backend), ended(backend)
    latest = of_glance(backend, expires_at=datetime(2999, 1, 1))  # noqa: DTZ001 - naive UTC
    assert ids(backend.database, sort_key="expires_at", descending=False) == [without, later, latest]
    assert ids(backend.database, sort_key="expires_at") == [latest, later, without]


def test_filters_are_equalities(backend: Backend) -> None:
    row, job = of_glance(backend), of_glimpse(backend, owner="Lab", image_id="2" * 36)
    cases: list[tuple[str, str | datetime, list[str]]] = [
        ("id", row, [row]), ("id", job, [job]), ("owner", "Lab", [job]), ("owner", "lab", []),
        ("image_id", IMAGE, [row]), ("request_id", "req-1", [job]), ("user_id", "g", [row]),
        ("type", "location_import", [job]), ("type", "import", []), ("status", "pending", [job]),
        ("expires_at", MOMENT, []), ("owner", "\U0001f600", []),
    ]  # fmt: skip
    for name, value, expected in cases:
        assert ids(backend.database, columns=((name, value),)) == expected, name
    assert set(ids(backend.database, columns=(("created_at", MOMENT),))) == {row, job}


def test_a_project_sees_its_own(backend: Backend) -> None:
    row, job, nobodys = of_glance(backend), of_glimpse(backend, owner="project-b"), of_glimpse(backend, owner=None)
    assert ids(backend.database, owner="project-a") == [row]
    assert pages(backend.database, 1, owner="project-b") == [job]
    assert backend.database.get_task(nobodys, KEPT).owner == ""
    with pytest.raises(MarkerUnknown):
        ids(backend.database, owner="project-b", marker=row)


@pytest.mark.parametrize("marker", ["", "no such task", "x" * 37, "\x00", "\U0001f600"])
def test_unknown_tasks(database: Database, marker: str) -> None:
    with pytest.raises(MarkerUnknown):
        ids(database, marker=marker)
    with pytest.raises(NotFound):
        database.get_task(marker, KEPT)


def test_jobs_that_are_no_tasks_are_not_found(backend: Backend) -> None:
    job = of_glimpse(backend, type="image_deletion", input={})
    with pytest.raises(NotFound):
        backend.database.get_task(job, KEPT)
    with pytest.raises(MarkerUnknown):
        ids(backend.database, marker=job)


def test_deleted_rows_are_not_found(backend: Backend) -> None:
    row = of_glance(backend, deleted=True, deleted_at=MOMENT)
    with pytest.raises(NotFound):
        backend.database.get_task(row, KEPT)


def test_a_complete_row_of_glance(backend: Backend) -> None:
    task = backend.database.get_task(of_glance(backend), KEPT)
    assert task.input["import_req"] == {"method": {"name": "glance-direct"}}
    assert (task.result, task.message) == ({"image_id": IMAGE}, "Copied 1")
    assert backend.database.list_image_tasks(IMAGE, "project-a", KEPT, limit=9) == [task]
    assert backend.database.list_image_tasks(IMAGE, "project-b", KEPT, limit=9) == []


def test_a_row_without_its_other_half_or_with_an_unreadable_one(backend: Backend) -> None:
    for task_id in (of_glance(backend, info=False), of_glance(backend)):
        backend.execute(
            sa.update(task_info).where(task_info.c.task_id == task_id).values(input="{", result="[1]", message=None)
        )
        task = backend.database.get_task(task_id, KEPT)
        assert (task.input, task.result, task.message) == ({}, None, "")


def test_the_input_of_an_import_has_the_form_of_glance(backend: Backend) -> None:
    request = {"method": {"name": "web-download", "uri": "https://u:p@host/a"}, "all_stores": True}
    given = {"image_id": IMAGE, "request": json.dumps(request), "stores": ["fast", "b"], "roles": ["member"]}
    task_id = of_glimpse(backend, type="api_image_import", image_id=IMAGE, input=given)
    task = backend.database.get_task(task_id, KEPT)
    assert task.input == {"image_id": IMAGE, "import_req": request, "backend": ["fast", "b"]}


def test_rows_that_expired_are_marked_as_deleted(backend: Backend) -> None:
    moment = backend.as_kept(now())
    over = [of_glance(backend, expires_at=moment - timedelta(seconds=1), owner=owner) for owner in ("project-a", "b")]
    running = of_glance(backend, status="processing")
    later = of_glance(backend, expires_at=moment + timedelta(hours=1))
    gone = of_glance(backend, expires_at=MOMENT, deleted=True, deleted_at=MOMENT)
    assert backend.database.expire_tasks(moment) == 2
    assert backend.database.expire_tasks(moment) == 0
    for task_id in over:
        [row] = backend.rows(tasks, id=task_id)
        assert row["deleted"]
        assert row["deleted_at"] == moment
        assert row["updated_at"] == MOMENT
        assert backend.rows(task_info, task_id=task_id)
        with pytest.raises(NotFound):
            backend.database.get_task(task_id, KEPT)
    assert set(ids(backend.database)) == {running, later}
    [row] = backend.rows(tasks, id=gone)
    assert row["deleted_at"] == MOMENT


def test_statements(backend: Backend) -> None:
    row, job = of_glance(backend), of_glimpse(backend, image_id=IMAGE)
    for work, expected in (
        (lambda: ids(backend.database), 1),
        (lambda: ids(backend.database, marker=row), 2),
        (lambda: backend.database.get_task(job, KEPT), 1),
        (lambda: backend.database.get_task(row, KEPT), 2),
        (lambda: backend.database.list_image_tasks(IMAGE, None, KEPT, limit=9), 2),
        (lambda: backend.database.expire_tasks(MOMENT), 1),
    ):
        with backend.counting() as statements:
            work()
        assert len(statements) == expected
