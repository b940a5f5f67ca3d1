"""Two nodes on one database, each with a staging directory of its own (imports-and-stores 2.14)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.footprint import eventually
from tests.support.images.content import noise
from tests.support.raw_http import OCTETS, Api
from tests.support.service import Service, free_port
from tests.system.conftest import StartService

DATA = noise(3_000_000, "staged on one node")
IMPORT = json.dumps({"method": {"name": "glance-direct"}}).encode()
REQUEST_ID = "x-openstack-request-id"


@pytest.fixture
def nodes(start_service: StartService, tmp_path: Path) -> tuple[Service, Service]:
    """The first has the database, the second joins it."""

    def node(name: str) -> Service:
        port = free_port()
        return start_service(
            name,
            port=port,
            options={
                "DEFAULT": {
                    "worker_self_reference_url": f"http://127.0.0.1:{port}",
                    "node_staging_uri": f"file://{tmp_path}/staging-{name}",
                },
                "database": {"connection": f"sqlite:///{tmp_path}/glimpse.sqlite"},
                "glance_store": {"filesystem_store_datadir": str(tmp_path / "images")},
                "glimpse": {"auth": "none", "lease_time": 2, "lease_heartbeat": 0.3, "job_interval": 0.2},
            },
        )

    return node("one"), node("two")


def staged(tmp_path: Path, name: str) -> list[str]:
    directory = tmp_path / f"staging-{name}"
    return sorted(path.name for path in directory.iterdir()) if directory.exists() else []


def task_of(api: Api, image_id: str) -> dict[str, Any]:
    [task] = api.call("GET", f"/v2/images/{image_id}/tasks").json["tasks"]
    return task


def test_import_and_deletion_through_the_other_node(nodes: tuple[Service, Service], tmp_path: Path) -> None:
    one, two = (Api(service.port) for service in nodes)
    image_id, other_id = one.new(), one.new()
    for new_id in (image_id, other_id):
        assert one.call("PUT", f"/v2/images/{new_id}/stage", DATA, OCTETS).status == 204
    assert staged(tmp_path, "one") == sorted([image_id, other_id])
    answer = two.call("POST", f"/v2/images/{image_id}/import", IMPORT)
    assert answer.status == 202, answer.text
    assert eventually(lambda: two.show(image_id)["status"] == "active", 60), two.show(image_id)
    assert eventually(lambda: task_of(two, image_id)["status"] == "success", 60), task_of(two, image_id)
    assert task_of(two, image_id)["request_id"] == answer.headers[REQUEST_ID]
    assert two.call("GET", f"/v2/images/{image_id}/file").body == DATA
    assert two.call("DELETE", f"/v2/images/{other_id}").status == 204
    assert one.call("GET", f"/v2/images/{other_id}").status == 404
    assert (staged(tmp_path, "one"), staged(tmp_path, "two")) == ([], [])


def test_an_import_survives_the_end_of_its_node(nodes: tuple[Service, Service], tmp_path: Path) -> None:
    first, second = nodes
    one, two = Api(first.port), Api(second.port)
    image_ids = [one.new() for _ in range(4)]
    for image_id in image_ids:
        assert one.call("PUT", f"/v2/images/{image_id}/stage", DATA, OCTETS).status == 204
    for image_id in image_ids[:3]:
        assert two.call("POST", f"/v2/images/{image_id}/import", IMPORT).status == 202
    first.kill_group()
    assert two.call("POST", f"/v2/images/{image_ids[3]}/import", IMPORT).status == 504
    assert two.show(image_ids[3])["status"] == "uploading"
    assert two.call("DELETE", f"/v2/images/{image_ids[3]}").status == 204
    first.start()
    for image_id in image_ids[:3]:
        assert eventually(lambda one_id=image_id: two.show(one_id)["status"] == "active", 60), two.show(image_id)
        assert two.call("GET", f"/v2/images/{image_id}/file").body == DATA
    # the image that was deleted without this node is found by its clean-up
    assert eventually(lambda: staged(tmp_path, "one") == [], 60), staged(tmp_path, "one")
