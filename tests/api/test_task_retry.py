"""``POST /v2/images/{id}/tasks/{task}/actions/retry``: a failed import is begun again."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa

from glimpse.db.sql.own_tables import jobs
from glimpse.domain.job import Job, JobQuery, JobStatus
from glimpse.settings.model import UriFilter
from tests.support.images.qcow2 import qcow2
from tests.support.imports import imported, run_imports, staged, three_stores
from tests.support.web_server import WebServer, serving
from tests.support.wire import ADMIN, OTHER, READER, Answer, Wire, settings_in, wired

DATA = b"0123456789" * 10_000
MISSING = str(uuid.uuid4())


@pytest.fixture
def web() -> Iterator[WebServer]:
    with serving() as made:
        yield made


@pytest.fixture
def at(tmp_path: Path) -> Iterator[Wire]:
    rules = UriFilter(allowed_hosts=("localhost",), allowed_ports=())
    with wired(settings_in(tmp_path, stores=three_stores(tmp_path), uri_filter=rules)) as wire:
        yield wire


def retry(wire: Wire, image_id: str, task_id: str) -> Answer:
    return wire("POST", f"/v2/images/{image_id}/tasks/{task_id}/actions/retry")


def latest(wire: Wire) -> Job:
    [job] = wire.service.deps.database.list_jobs(JobQuery(types=("api_image_import",), limit=1))
    return job


def failed_import(wire: Wire, web: WebServer, **body: object) -> tuple[str, str]:
    """An import from a URL that is not there; returns its image and its task."""
    image_id = wire.create()["id"]
    request = {"method": {"name": "web-download", "uri": web.url("files", "a")}, **body}
    assert wire("POST", f"/v2/images/{image_id}/import", json_body=request).status == 202
    job = run_imports(wire, latest(wire))
    assert job.status is JobStatus.FAILED
    return image_id, job.id


def test_a_failed_import_is_made_again(at: Wire, web: WebServer) -> None:
    image_id, task_id = failed_import(at, web, stores=["b", "c"])
    web.files["a"] = DATA
    assert retry(at, image_id, task_id).status == 202
    again = latest(at)
    assert again.id != task_id
    # while it waits
    answer = retry(at, image_id, task_id)
    assert answer.status == 409, answer.body
    assert run_imports(at, again).status is JobStatus.SUCCEEDED
    shown = at("GET", f"/v2/images/{image_id}").json
    assert (shown["status"], shown["stores"]) == ("active", "b,c")
    assert at("GET", f"/v2/images/{image_id}/file").body == DATA
    assert [task["status"] for task in at("GET", f"/v2/images/{image_id}/tasks").json["tasks"]] == [
        "success",
        "failure",
    ]
    for done in (task_id, again.id):
        answer = retry(at, image_id, done)
        assert answer.status == 409
    assert b"has the status success" in retry(at, image_id, again.id).body
    assert b"needs an image that is queued" in retry(at, image_id, task_id).body


def test_the_stores_are_those_of_the_first_request(at: Wire, web: WebServer) -> None:
    image_id = at.create()["id"]
    request = {"method": {"name": "web-download", "uri": web.url("files", "a")}}
    header = {"X-Image-Meta-Store": "c"}
    assert at("POST", f"/v2/images/{image_id}/import", json_body=request, headers=header).status == 202
    job = run_imports(at, latest(at))
    web.files["a"] = DATA
    assert retry(at, image_id, job.id).status == 202
    assert run_imports(at, latest(at)).status is JobStatus.SUCCEEDED
    assert at("GET", f"/v2/images/{image_id}").json["stores"] == "c"


def test_staged_data_are_gone_after_a_failure(at: Wire) -> None:
    image_id = staged(at, qcow2(bytes(65536), backing_file=b"/etc/passwd"), disk_format="qcow2")
    job = imported(at, image_id, stores=("a",))
    assert job.status is JobStatus.FAILED
    answer = retry(at, image_id, job.id)
    assert answer.status == 409
    assert b"needs an image that is uploading" in answer.body


def test_who_may_retry(at: Wire, web: WebServer) -> None:
    image_id, task_id = failed_import(at, web)
    other_id = at.create()["id"]
    assert retry(at.as_(OTHER), image_id, task_id).status == 404
    assert retry(at, other_id, task_id).status == 404
    assert retry(at, image_id, MISSING).status == 404
    assert retry(at, image_id, "x").status == 404
    assert retry(at, MISSING, task_id).status == 404
    assert retry(at.as_(READER), image_id, task_id).status == 403
    patch = b'[{"op": "replace", "path": "/visibility", "value": "public"}]'
    media_type = {"Content-Type": "application/openstack-images-v2.1-json-patch"}
    assert at.as_(ADMIN)("PATCH", f"/v2/images/{image_id}", patch, media_type).status == 200
    # who sees the image does not see the tasks of another project
    assert retry(at.as_(OTHER), image_id, task_id).status == 404
    answer = at("POST", f"/v2/images/{image_id}/tasks/{task_id}/actions/retry", b"{}")
    assert answer.status == 400
    assert latest(at).id == task_id
    assert retry(at.as_(ADMIN), image_id, task_id).status == 202


def test_what_is_no_failed_import(at: Wire, web: WebServer) -> None:
    image_id, task_id = failed_import(at, web)
    for values, reason in (
        ({"type": "location_import"}, b"is no import"),
        ({"status": "running"}, b"status processing"),
    ):
        with at.rows() as rows:
            rows.execute(sa.update(jobs).where(jobs.c.id == task_id).values(values))
        answer = retry(at, image_id, task_id)
        assert answer.status == 409
        assert reason in answer.body
        with at.rows() as rows:
            rows.execute(sa.update(jobs).where(jobs.c.id == task_id).values(type="api_image_import", status="failed"))


def test_requests_that_were_not_kept_completely(at: Wire, web: WebServer) -> None:
    image_id, task_id = failed_import(at, web)
    database = at.service.deps.database
    job = database.get_job(task_id)
    for request, reason in (("{}", b"was not kept"), ('{"method": {"uri": "https://***@host/a"}}', b"credentials")):
        given = msgspec.json.encode({**job.input, "request": request}).decode()
        with at.rows() as rows:
            rows.execute(sa.update(jobs).where(jobs.c.id == task_id).values(input=given))
        answer = retry(at, image_id, task_id)
        assert answer.status == 409
        assert reason in answer.body
