"""The tasks of an image (imports-and-stores 3.5)."""

from __future__ import annotations

import re
from pathlib import Path

from tests.support.located import located
from tests.support.wire import ADMIN, OTHER, Wire


def test_a_location_import_is_a_task_of_its_image(tmp_path: Path) -> None:
    with located(tmp_path) as service:
        wire = service.wire
        image_id = wire.create()["id"]
        assert wire("GET", f"/v2/images/{image_id}/tasks").json == {"tasks": []}
        answer = service.post(image_id, service.another())
        assert answer.status == 202
        [task] = wire("GET", f"/v2/images/{image_id}/tasks").json["tasks"]
        assert (task["type"], task["image_id"], task["owner"]) == ("location_import", image_id, "p1")
        assert task["status"] in {"pending", "processing", "success"}
        assert task["request_id"] == answer.headers["x-openstack-request-id"]
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}", task["created_at"])
        assert "self" not in task
        assert wire.as_(ADMIN)("GET", f"/v2/images/{image_id}/tasks").json["tasks"] == [task]


def test_who_sees_them(wire: Wire) -> None:
    image_id = wire.create(visibility="private")["id"]
    assert wire.as_(OTHER)("GET", f"/v2/images/{image_id}/tasks").status == 404
    assert wire("GET", "/v2/images/nothing/tasks").status == 404
    assert wire("GET", f"/v2/images/{image_id}/tasks", b"{}").status == 400
    assert wire("POST", f"/v2/images/{image_id}/tasks").status == 405
