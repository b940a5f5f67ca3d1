"""``kill -9`` during imports: every image gets its data everywhere, nothing is left, and little is fetched twice."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.footprint import eventually, leases
from tests.support.images.content import noise
from tests.support.raw_http import OCTETS, Api
from tests.support.service import Service
from tests.support.web_server import serving
from tests.system.conftest import StartService

STORES = ("a", "b", "c")
LOCK = "os_glance_import_task"
ROUNDS = 4


def files(directory: Path) -> list[str]:
    """Names of the files of images, unfinished ones too."""
    return sorted(path.name for path in directory.rglob("*") if path.is_file() and path.name != ".glimpse-store")


def begin(api: Api, number: int, data: bytes) -> str:
    image_id = api.new(name=f"image {number}")
    assert api.call("PUT", f"/v2/images/{image_id}/stage", data, OCTETS).status == 204
    request = {"method": {"name": "glance-direct"}, "all_stores": True, "all_stores_must_succeed": number % 2 == 0}
    assert api.call("POST", f"/v2/images/{image_id}/import", json.dumps(request).encode()).status == 202
    return image_id


def settled(service: Service, api: Api, image_ids: list[str]) -> bool:
    return not leases(service) and all(LOCK not in api.show(image_id) for image_id in image_ids)


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.heavy)])
def test_imports_survive_kills_of_the_service(start_service: StartService, tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    directories = {name: tmp_path / f"store-{name}" for name in STORES}
    staging = tmp_path / "staging"
    service = start_service(
        options={
            "DEFAULT": {"enabled_backends": ",".join(f"{name}:file" for name in STORES)},
            "glance_store": {"default_backend": "a"},
            "glimpse": {"lease_time": 2, "lease_heartbeat": 0.3, "job_interval": 0.2, "job_threads": 4},
            "os_glance_staging_store": {"filesystem_store_datadir": str(staging)},
            **{name: {"filesystem_store_datadir": str(path)} for name, path in directories.items()},
        }
    )
    api = Api(service.port)
    data = {}
    for number in range(ROUNDS):
        content = noise(chance.randrange(2_000_000, 8_000_000), f"{seed} {number}")
        data[begin(api, number, content)] = content
        time.sleep(chance.uniform(0, 0.3))
        service.kill_group()
        service.start()
    assert eventually(lambda: settled(service, api, list(data)), 120), service.log[-6000:]
    for image_id, content in data.items():
        shown = api.show(image_id)
        assert (shown["status"], shown["size"]) == ("active", len(content)), shown
        assert sorted(shown["stores"].split(",")) == list(STORES)
        assert (shown["os_glance_importing_to_stores"], shown["os_glance_failed_import"]) == ("", "")
        assert all((path / image_id).read_bytes() == content for path in directories.values())
    assert {name: files(path) for name, path in directories.items()} == dict.fromkeys(STORES, sorted(data))
    assert files(staging) == []


@pytest.mark.heavy
def test_a_download_goes_on_after_kills(
    start_service: StartService, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Each process begins where the last mark of the killed one is; marks are five seconds apart."""
    data = noise(100 << 20)
    with serving() as web:
        web.files["a"], web.slow_part, web.pause = data, 256 << 10, 0.05
        service = start_service(
            options={
                "DEFAULT": {"node_staging_uri": f"file://{tmp_path}/staging"},
                "glance_store": {"filesystem_store_datadir": str(tmp_path / "store")},
                "glimpse": {"lease_time": 2, "lease_heartbeat": 0.3, "job_interval": 0.2},
                "import_filtering_opts": {"allowed_hosts": "[localhost]", "allowed_ports": "[]"},
            }
        )
        api = Api(service.port)
        image_id = api.new()
        request = {"method": {"name": "web-download", "uri": web.url("paced", "a")}}
        assert api.call("POST", f"/v2/images/{image_id}/import", json.dumps(request).encode()).status == 202
        for kills in (1, 2):
            # far enough for a mark behind the last one
            assert eventually(lambda kills=kills: web.sent >= kills * (40 << 20), 120), service.log[-6000:]
            service.kill_group()
            service.start()
        assert eventually(lambda: settled(service, api, [image_id]), 120), service.log[-6000:]
        shown = api.show(image_id)
        assert (shown["status"], shown["size"]) == ("active", len(data)), shown
        assert (tmp_path / "store" / image_id).read_bytes() == data
        assert files(tmp_path / "store") == [image_id]
        first, *resumed = web.ranges
        starts = [int((text or "bytes=0-").removeprefix("bytes=").removesuffix("-")) for text in resumed]
        assert first is None
        assert 0 < starts[0] < starts[1], web.ranges
        record_property("report", f"sent {web.sent / len(data):.2f} times the data; resumed at {starts}")
