"""The OpenStack image manager of the OSISM project: web-download, and glance-direct where that fails."""

from __future__ import annotations

import hashlib
import json
import uuid
from pathlib import Path
from typing import Any

import pytest

from tests.interop.clients.conftest import DATA
from tests.interop.clients.more.conftest import environment
from tests.support.clients import Client
from tests.support.raw_http import Api
from tests.support.web_server import WebServer

META = {
    "architecture": "x86_64", "hw_disk_bus": "virtio", "hypervisor_type": "qemu", "os_distro": "debian",
    "os_purpose": "generic", "os_version": "12", "provided_until": "none", "replace_frequency": "never",
    "uuid_validity": "forever",
}  # fmt: skip


@pytest.fixture
def manager(clouds: Path, tmp_path: Path) -> Client:
    return Client(
        environment("image-manager") / "openstack-image-manager", tmp_path, {"OS_CLIENT_CONFIG_FILE": str(clouds)}
    )


@pytest.fixture
def name() -> str:
    return f"Debian {uuid.uuid4().hex[:8]}"


def define(place: Path, name: str, url: str) -> Path:
    """Write the definition of one image; returns the directory."""
    version = {"version": "1", "url": url, "checksum": f"sha256:{hashlib.sha256(DATA).hexdigest()}"}
    image = {
        "name": name, "enable": True, "format": "raw", "login": "debian", "min_disk": 1, "min_ram": 64, "tags": [],
        "status": "active", "visibility": "public", "multi": False, "meta": META,
        "versions": [{**version, "build_date": "BUILT"}],
    }  # fmt: skip
    directory = place / "images"
    directory.mkdir()
    # JSON is YAML, and the date must not be a text
    (directory / "debian.yml").write_text(json.dumps({"images": [image]}).replace('"BUILT"', "2026-11-01"))
    return directory


def managed(admin: Api, name: str) -> list[dict[str, Any]]:
    answer = admin.call("GET", "/v2/images?tag=managed_by_osism")
    return [image for image in answer.json["images"] if image["name"].startswith(name)]


@pytest.mark.parametrize("prefetch", ["never", "on-stuck", "always"])
def test_imports_once(manager: Client, admin: Api, web: WebServer, tmp_path: Path, name: str, prefetch: str) -> None:
    images = define(tmp_path, name, web.url("files", "disk.raw"))
    manager.ok("--images", images, "--cloud", "rig", "--prefetch", prefetch)
    (image,) = managed(admin, name)
    assert (image["status"], image["visibility"], image["os_distro"]) == ("active", "public", "debian")
    assert image["os_hash_value"] == hashlib.sha512(DATA).hexdigest()
    manager.ok("--images", images, "--cloud", "rig", "--prefetch", prefetch)  # there is nothing to do
    assert [again["id"] for again in managed(admin, name)] == [image["id"]]
    assert admin.delete(image["id"]).status == 204


def test_falls_back_to_glance_direct(manager: Client, admin: Api, web: WebServer, tmp_path: Path, name: str) -> None:
    """The service may not read from 127.0.0.1, so the manager downloads the image and stages it."""
    images = define(tmp_path, name, web.url("files", "disk.raw", "127.0.0.1"))
    manager.ok("--images", images, "--cloud", "rig")
    (image,) = managed(admin, name)
    assert (image["status"], image["size"]) == ("active", len(DATA))
    (task,) = admin.call("GET", f"/v2/images/{image['id']}/tasks").json["tasks"]
    assert task["input"]["import_req"]["method"]["name"] == "glance-direct"
    assert admin.delete(image["id"]).status == 204
