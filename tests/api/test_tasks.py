"""Tasks of all images (imports-and-stores 3)."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import sqlalchemy as sa

from glimpse.api.v2.schemas.documents import task_schema
from glimpse.context import Context
from glimpse.db.sql.tables import task_info, tasks
from glimpse.domain.clock import now
from glimpse.domain.job import JobStatus
from glimpse.domain.job_kinds import LOCATION_IMPORT, UPLOAD_SWEEP, LocationImportInput, UploadSweepInput
from glimpse.domain.properties import IMPORT_LOCK
from glimpse.settings.model import PolicySettings
from tests.support.imports import begin_import, run_imports, staged, three_stores
from tests.support.located import SERVICE, located
from tests.support.wire import ADMIN, OTHER, Wire, settings_in, wired


def of_glance(wire: Wire, **fields: Any) -> str:
    """A task that a Glance recorded."""
    moment = now().replace(microsecond=0)
    values: dict[str, Any] = {
        "id": str(uuid.uuid4()), "type": "api_image_import", "status": "success", "owner": "p1",
        "expires_at": moment + timedelta(hours=48), "created_at": moment, "updated_at": moment, "deleted_at": None,
        "deleted": False, "image_id": str(uuid.uuid4()), "request_id": "req-g", "user_id": "u9",
    }  # fmt: skip
    values |= fields
    method = {"name": "web-download", "uri": "https://user:secret@mirror.example.org/a"}
    given = {"image_id": values["image_id"], "import_req": {"method": method}, "backend": [None]}
    with wire.rows() as rows:
        rows.execute(sa.insert(tasks).values(values))
        rows.execute(
            sa.insert(task_info).values(task_id=values["id"], input=json.dumps(given), result=None, message="")
        )
    task_id: str = values["id"]
    return task_id


def listed(wire: Wire, **query: str) -> list[str]:
    answer = wire("GET", f"/v2/tasks?{urlencode(query)}")
    assert answer.status == 200, answer
    return [task["id"] for task in answer.json["tasks"]]


@contextmanager
def open_to_everybody(directory: Path) -> Iterator[Wire]:
    (directory / "policy.yaml").write_text('tasks_api_access: ""\n')
    with wired(settings_in(directory, policy=PolicySettings(config_dirs=(directory,)))) as wire:
        yield wire


def test_a_row_of_glance_as_an_admin_sees_it(wire: Wire) -> None:
    task_id = of_glance(wire)
    admin = wire.as_(ADMIN)
    answer = admin("GET", "/v2/tasks")
    [stub] = answer.json["tasks"]
    assert answer.json == {"tasks": [stub], "first": "/v2/tasks", "schema": "/v2/schemas/tasks"}
    assert stub.keys() == {
        "id", "type", "status", "owner", "created_at", "updated_at", "expires_at", "self", "schema",
    }  # fmt: skip
    task = admin("GET", f"/v2/tasks/{task_id}").json
    assert task.items() >= stub.items()
    assert task["self"] == f"/v2/tasks/{task_id}"
    assert task["schema"] == "/v2/schemas/task"
    assert (task["id"], task["type"], task["status"], task["owner"]) == (task_id, "api_image_import", "success", "p1")
    assert (task["request_id"], task["user_id"], task["result"], task["message"]) == ("req-g", "u9", None, "")
    for name in ("created_at", "updated_at", "expires_at"):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", task[name])
    assert task["input"]["import_req"]["method"]["uri"] == "https://user:secret@mirror.example.org/a"
    assert task.keys() <= task_schema()["properties"].keys()


def test_a_job_as_an_admin_sees_it(tmp_path: Path) -> None:
    with located(tmp_path) as service:
        wire, admin = service.wire, service.wire.as_(ADMIN)
        image_id = wire.create()["id"]
        url = service.another()
        answer = service.post(image_id, url)
        assert answer.status == 202
        [task_id] = listed(admin)
        task = admin("GET", f"/v2/tasks/{task_id}").json
        assert task["type"] == "location_import"
        assert task["input"]["loc_url"] == url
        assert task["image_id"] == image_id
        assert task["request_id"] == answer.headers["x-openstack-request-id"]
        [row] = wire("GET", f"/v2/images/{image_id}/tasks").json["tasks"]
        assert row["id"] == task_id
        service.run_jobs()
        assert admin("GET", f"/v2/tasks/{task_id}").json["status"] == "success"
        assert listed(admin, status="success", image_id=image_id) == [task_id]
        assert listed(admin, status="pending") == []


@pytest.mark.parametrize("named", [True, False])
def test_an_import_as_a_task(tmp_path: Path, named: bool) -> None:
    parts = {"stores": three_stores(tmp_path)} if named else {}
    with wired(settings_in(tmp_path, **parts)) as wire:
        image_id = staged(wire, b"data")
        job = begin_import(wire, image_id, stores=("b", "a") if named else ("default",), all_stores=named)
        admin = wire.as_(ADMIN)
        [row] = wire("GET", f"/v2/images/{image_id}/tasks").json["tasks"]
        assert (row["id"], row["type"], row["status"]) == (job.id, "api_image_import", "pending")
        assert row["input"] == {
            "image_id": image_id,
            "import_req": {"method": {"name": "glance-direct"}, "all_stores": named},
            "backend": ["b", "a"] if named else [None],
        }
        assert admin("GET", f"/v2/tasks/{job.id}").json["input"] == row["input"]
        run_imports(wire, job)
        task = admin("GET", f"/v2/tasks/{job.id}").json
        assert (task["status"], task["result"]) == ("success", {"image_id": image_id})
        assert "expires_at" in task


def test_an_import_that_is_cancelled_while_it_waits(wire: Wire) -> None:
    image_id = staged(wire, b"data")
    job = begin_import(wire, image_id)
    assert wire("GET", f"/v2/images/{image_id}").json[IMPORT_LOCK] == job.id
    assert wire.as_(ADMIN)("DELETE", f"/v2/tasks/{job.id}").status == 204
    assert run_imports(wire, job).status is JobStatus.CANCELLED
    image = wire("GET", f"/v2/images/{image_id}").json
    # with its staged data, so it can be imported again
    assert image["status"] == "uploading"
    assert IMPORT_LOCK not in image


def test_tasks_of_an_image_include_those_of_glance(wire: Wire) -> None:
    image_id = wire.create()["id"]
    task_id, others = of_glance(wire, image_id=image_id), of_glance(wire, image_id=image_id, owner="p2")
    of_glance(wire, image_id=image_id, expires_at=now() - timedelta(hours=1))
    [row] = wire("GET", f"/v2/images/{image_id}/tasks").json["tasks"]
    assert row["id"] == task_id
    assert (row["deleted"], row["deleted_at"]) == (False, None)
    assert row["input"]["backend"] == [None]
    # the members of the project are not those who know the password
    assert row["input"]["import_req"]["method"]["uri"] == "https://***@mirror.example.org/a"
    rows = wire.as_(ADMIN)("GET", f"/v2/images/{image_id}/tasks").json["tasks"]
    assert {row["id"] for row in rows} == {task_id, others}


def test_only_administrators_unless_the_policy_says_otherwise(wire: Wire) -> None:
    task_id = of_glance(wire)
    for caller in (wire, wire.as_(OTHER), wire.as_(SERVICE)):
        # refused before anything else is looked at
        assert caller("GET", "/v2/tasks?limit=x").status == 403
        assert caller("GET", f"/v2/tasks/{task_id}").status == 403
        assert caller("GET", "/v2/tasks/nothing").status == 403
        assert caller("POST", "/v2/tasks", b"{").status == 403
        assert caller("DELETE", f"/v2/tasks/{task_id}").status == 403


def test_others_see_the_tasks_of_their_project(tmp_path: Path) -> None:
    with open_to_everybody(tmp_path) as wire:
        own, others = of_glance(wire), of_glance(wire, owner="p2")
        assert listed(wire) == [own]
        assert listed(wire.as_(OTHER)) == [others]
        assert listed(wire, owner="p2") == []
        assert set(listed(wire.as_(ADMIN))) == {own, others}
        assert wire("GET", f"/v2/tasks/{own}").json["input"]["import_req"]["method"]["uri"].startswith("https://***@")
        assert wire("GET", f"/v2/tasks/{others}").status == 404
        assert wire("GET", f"/v2/tasks?marker={others}").status == 400


def test_pages(wire: Wire) -> None:
    admin = wire.as_(ADMIN)
    made = [of_glance(wire, created_at=datetime(2026, 1, number)) for number in (1, 2, 3)]  # noqa: DTZ001 - naive UTC
    first = admin("GET", "/v2/tasks?limit=2&type=api_image_import").json
    assert [task["id"] for task in first["tasks"]] == [made[2], made[1]]
    assert first["first"] == "/v2/tasks?limit=2&type=api_image_import"
    assert first["next"] == f"/v2/tasks?limit=2&type=api_image_import&marker={made[1]}"
    second = admin("GET", first["next"]).json
    assert [task["id"] for task in second["tasks"]] == [made[0]]
    assert "next" not in second
    assert second["first"] == first["first"]
    assert admin("GET", "/v2/tasks?limit=0").json == {
        "tasks": [], "first": "/v2/tasks?limit=0", "schema": "/v2/schemas/tasks",
    }  # fmt: skip
    assert listed(admin, sort_dir="asc", sort_key="created_at") == made


def test_filters(wire: Wire) -> None:
    admin = wire.as_(ADMIN)
    old = of_glance(wire, type="import", status="failure", image_id=None, created_at=datetime(2026, 1, 1))  # noqa: DTZ001 - naive UTC
    new = of_glance(wire, owner="p2", status="processing", expires_at=None)
    assert listed(admin, type="import") == [old]
    assert listed(admin, type="location_import") == []
    assert listed(admin, status="processing") == [new]
    assert listed(admin, owner="p2") == [new]
    assert listed(admin, id=old) == [old]
    assert listed(admin, created_at="2026-01-01T00:00:00Z") == [old]
    assert listed(admin, unknown="x", deleted="true", name="y", sort_key="deleted_at") == [new, old]


@pytest.mark.parametrize(
    "query",
    [
        "limit=x", "limit=-1", "limit=", "marker=x", "marker=", "sort_key=input", "sort_key=", "sort_dir=up",
        "status=running", "status=", "type=export", "type=", "created_at=yesterday", "owner=%FF", "owner=%00",
        "marker=%F0%9F%98%80",
    ],
)  # fmt: skip
def test_queries_that_are_refused(wire: Wire, query: str) -> None:
    assert wire.as_(ADMIN)("GET", f"/v2/tasks?{query}").status == 400


SOURCE = {"import_from": "https://mirror.example.org/a", "import_from_format": "raw", "image_properties": {}}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "needs a JSON body"),
        (b"{", "not well-formed"),
        (b"[]", "must be a JSON object"),
        ({"input": SOURCE}, "'type'"),
        ({"type": "export", "input": SOURCE}, "'type'"),
        ({"type": ["import"], "input": SOURCE}, "'type'"),
        ({"type": "import"}, "'input'"),
        ({"type": "import", "input": "x"}, "'input'"),
        ({"type": "import", "input": SOURCE, "owner": "p2"}, "only 'type' and 'input'"),
        ({"type": "import", "input": {}}, "import_from"),
        ({"type": "import", "input": {"import_from": 1}}, "import_from"),
        ({"type": "import", "input": {"import_from": "file:///etc/passwd"}}, "import_from"),
        ({"type": "import", "input": {"import_from": "/etc/passwd"}}, "import_from"),
        ({"type": "import", "input": {"import_from": "swift://a/b"}}, "import_from"),
        ({"type": "import", "input": SOURCE}, "POST /v2/images/{image_id}/import"),
        ({"type": "api_image_import", "input": {}}, "POST /v2/images/{image_id}/import"),
    ],
)
def test_no_task_is_created(wire: Wire, body: object, message: str) -> None:
    admin = wire.as_(ADMIN)
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = admin("POST", "/v2/tasks", sent, {"Content-Type": "application/json"})
    assert answer.status == 400
    assert message in answer.body.decode()
    assert listed(admin) == []


def test_an_unfinished_task_is_cancelled(tmp_path: Path) -> None:
    with located(tmp_path) as service:
        wire, admin = service.wire, service.wire.as_(ADMIN)
        image_id = wire.create()["id"]
        assert service.post(image_id, service.another()).status == 202
        [task_id] = listed(admin)
        for caller in (wire, wire.as_(OTHER)):
            assert caller("DELETE", f"/v2/tasks/{task_id}").status == 403
        assert admin("GET", f"/v2/tasks/{task_id}").json["status"] == "pending"
        answer = admin("DELETE", f"/v2/tasks/{task_id}")
        assert (answer.status, answer.body) == (204, b"")
        # asking twice is no error
        assert admin("DELETE", f"/v2/tasks/{task_id}").status == 204
        service.run_jobs()
        task = admin("GET", f"/v2/tasks/{task_id}").json
        assert task["status"] == "failure"
        assert "cancelled" in task["message"]
        image = wire("GET", f"/v2/images/{image_id}").json
        assert image["status"] == "queued"
        assert "os_glance_import_task" not in image
        assert admin("DELETE", f"/v2/tasks/{task_id}").status == 405


def test_projects_cancel_their_own_tasks_if_the_policy_lets_them(tmp_path: Path) -> None:
    with open_to_everybody(tmp_path) as wire:
        image_id = wire.create()["id"]
        given = LocationImportInput(image_id=image_id, loc_url="https://host/a")
        jobs = wire.service.deps.jobs
        context = Context(request_id="req-1", project_id="p1")
        job = jobs.draft(context, LOCATION_IMPORT, given, image_id=image_id)
        other_kind = jobs.draft(context, UPLOAD_SWEEP, UploadSweepInput(attempt="a"), image_id=image_id)
        for one in (job, other_kind):
            jobs.add(one)
        assert wire.as_(OTHER)("DELETE", f"/v2/tasks/{job.id}").status == 405
        assert wire("DELETE", f"/v2/tasks/{other_kind.id}").status == 405
        database = wire.service.deps.database
        assert not database.get_job(job.id).cancel_requested
        assert not database.get_job(other_kind.id).cancel_requested
        assert wire("DELETE", f"/v2/tasks/{job.id}").status == 204
        assert database.get_job(job.id).cancel_requested


def test_tasks_are_not_deleted(wire: Wire) -> None:
    task_id, running = of_glance(wire), of_glance(wire, status="processing", expires_at=None)
    admin = wire.as_(ADMIN)
    for one in (task_id, running, "nothing", "x" * 37):
        answer = admin("DELETE", f"/v2/tasks/{one}")
        assert (answer.status, answer.headers["allow"]) == (405, "GET")
        assert "removed automatically" in answer.body.decode()
    assert set(listed(admin)) == {task_id, running}


def test_other_methods_and_bodies(wire: Wire) -> None:
    admin = wire.as_(ADMIN)
    for method, path, allowed in (
        ("PUT", "/v2/tasks/x", "DELETE, GET"),
        ("PATCH", "/v2/tasks/x", "DELETE, GET"),
        ("DELETE", "/v2/tasks", "GET, POST"),
        ("POST", "/v2/schemas/task", "GET"),
        ("DELETE", "/v2/schemas/tasks", "GET"),
    ):
        answer = admin(method, path)
        assert (answer.status, answer.headers["allow"]) == (405, allowed)
    for path in ("/v2/tasks", "/v2/tasks/x", "/v2/schemas/task", "/v2/schemas/tasks"):
        assert admin("GET", path, b"{}").status == 400
    assert admin("GET", "/v2/tasks/nothing").status == 404
    assert admin("GET", f"/v2/tasks/{'x' * 37}").status == 404
