"""Imports by unmodified clients: a service with two stores, and a web server that it may download from."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.clients import Client
from tests.support.raw_http import OCTETS, Api
from tests.support.service import Service
from tests.support.web_server import WebServer, serving

DATA = random.Random(12).randbytes(2_000_003)


@pytest.fixture(scope="module")
def web() -> Iterator[WebServer]:
    with serving() as server:
        server.files["disk.raw"] = DATA
        yield server


def two_stores(place: Path) -> dict[str, dict[str, Any]]:
    """Options of a service with the stores ``fast`` (the default) and ``slow`` that may download from ``localhost``."""
    return {
        "DEFAULT": {
            "enabled_backends": "fast:file,slow:file",
            "enabled_import_methods": "[glance-direct,web-download,copy-image]",
        },
        "glance_store": {"default_backend": "fast"},
        "fast": {"filesystem_store_datadir": place / "fast"},
        "slow": {"filesystem_store_datadir": place / "slow"},
        "import_filtering_opts": {"allowed_hosts": "[localhost]", "allowed_ports": "[]"},
    }


@pytest.fixture(scope="module")
def importing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service without identity."""
    place = tmp_path_factory.mktemp("importing")
    with Service(place, options=two_stores(place)) as running:
        yield running


@pytest.fixture
def api(importing: Service) -> Api:
    return Api(importing.port)


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    path = tmp_path / "disk.raw"
    path.write_bytes(DATA)
    return path


@pytest.fixture
def openstack(programs: Path, importing: Service, tmp_path: Path) -> Client:
    return Client(programs / "openstack", tmp_path, {"OS_AUTH_TYPE": "none", "OS_ENDPOINT": importing.url})


@pytest.fixture
def glance(programs: Path, importing: Service, tmp_path: Path) -> Client:
    return Client(programs / "glance", tmp_path, {"OS_IMAGE_URL": importing.url, "OS_AUTH_TOKEN": "none"})


def imported(api: Api, image_id: str, *stores: str, data: bytes = DATA) -> dict[str, Any]:
    """Wait until no import of the image is under way; it must then be active in these stores with this data."""
    image = settled(api, image_id)
    assert image["status"] == "active", (image, tasks(api, image_id))
    assert sorted(image["stores"].split(",")) == sorted(stores or ("fast",))
    assert api.call("GET", f"/v2/images/{image_id}/file").body == data
    return image


def active(api: Api) -> str:
    """Create an image with the data in the default store."""
    image_id = api.new()
    answer = api.upload(image_id, DATA)
    assert answer.status == 204, answer.text
    return image_id


def stage(api: Api, image_id: str) -> None:
    """Stage the data for the image."""
    answer = api.call("PUT", f"/v2/images/{image_id}/stage", DATA, OCTETS)
    assert answer.status == 204, answer.text


def settled(api: Api, image_id: str) -> dict[str, Any]:
    """The image once no import of it is under way."""
    deadline = time.monotonic() + 60
    while True:
        image = api.show(image_id)
        if image["status"] != "importing" and "os_glance_import_task" not in image:
            return image
        assert time.monotonic() < deadline, image
        time.sleep(0.1)


def tasks(api: Api, image_id: str) -> list[dict[str, Any]]:
    """The tasks of an image, the newest first."""
    return api.call("GET", f"/v2/images/{image_id}/tasks").json["tasks"]
