"""A real Glance beside Glimpse on one database: it shows Glimpse's imports as tasks, and leaves their images alone."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from tests.interop.keystone_rig import keystone_rig
from tests.support.glance_rig import Installation, installation, send
from tests.support.raw_http import Api
from tests.support.service import HOST, Service, free_port

DATA = b"0123456789abcdef" * 4096
#: In seconds.
PATIENCE = 120.0


def glimpse_beside(place: Installation, directory: Path, threads: int) -> Service:
    """``glimpse serve`` on the configuration of Glance, at another port, with ``threads`` for jobs."""
    options = {
        "DEFAULT": {"bind_host": HOST, "bind_port": free_port()},
        "glimpse": {"job_threads": threads, "job_interval": 0.2},
    }
    return Service(
        directory,
        options=options,
        arguments=("--config-file", str(place.conf), "--data-dir", str(directory / "data")),
        port=int(options["DEFAULT"]["bind_port"]),
        workers=1,
        from_options_only=True,
    )


def tasks_of(api: Api, image_id: str) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = send(api, "GET", f"/v2/images/{image_id}/tasks", expect=200).json["tasks"]
    return listed


def task_of(api: Api, image_id: str) -> dict[str, Any]:
    """The only task of an image, after a look at whether all three requests say the same of it."""
    [listed] = tasks_of(api, image_id)
    shown: dict[str, Any] = send(api, "GET", f"/v2/tasks/{listed['id']}", expect=200).json
    [stub] = send(api, "GET", "/v2/tasks", expect=200).json["tasks"]
    assert stub["id"] == listed["id"]
    for name in ("type", "status", "owner", "input", "result", "message", "request_id", "user_id"):
        assert listed[name] == shown[name], name
    return shown


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", ["postgresql", "mysql"])
def test_glance_knows_the_imports_of_glimpse(kind: str, tmp_path: Path) -> None:
    token = keystone_rig().token("admin", "admin")
    with installation(kind, ("--store", "multi"), token=token) as place:
        place.make_tables()
        place.ok("db", "sync")
        request = {"method": {"name": "copy-image"}, "stores": ["slow"]}
        with place.glance() as glance:
            image_id = glance.new(name="copied")
            assert glance.upload(image_id, DATA).status == 204

            service = glimpse_beside(place, tmp_path, threads=0)
            with service:
                glimpse = Api(service.port, {"X-Auth-Token": token})
                send(glimpse, "POST", f"/v2/images/{image_id}/import", request, expect=202)
                waiting, ours = task_of(glance, image_id), task_of(glimpse, image_id)
                assert (waiting["status"], waiting["type"]) == ("pending", "api_image_import")
                assert waiting["input"] == {"image_id": image_id, "import_req": request, "backend": ["slow"]}
                assert {name: ours[name] for name in waiting} == waiting
                # without the row Glance would take the lock over
                send(glance, "POST", f"/v2/images/{image_id}/import", request, expect=409)

            service = glimpse_beside(place, tmp_path, threads=1)
            with service:
                deadline = time.monotonic() + PATIENCE
                while (ended := tasks_of(glance, image_id)[0])["status"] in ("pending", "processing"):
                    assert time.monotonic() < deadline, ended
                    time.sleep(0.1)
                ended = task_of(glance, image_id)
                assert (ended["status"], ended["result"]) == ("success", {"image_id": image_id}), ended
                assert ended["expires_at"] > ended["updated_at"]
                ours = task_of(Api(service.port, {"X-Auth-Token": token}), image_id)
                assert {name: ours[name] for name in ended} == ended
            shown = glance.show(image_id)
            assert shown["stores"] == "fast,slow"
            assert glance.download(image_id).body == DATA

        # Glimpse is gone: Glance still shows what it did
        with place.glance() as glance:
            assert task_of(glance, image_id)["status"] == "success"
            assert glance.delete(image_id).status == 204
