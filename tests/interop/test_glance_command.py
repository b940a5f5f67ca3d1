"""The ``glance`` command of python-glanceclient."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.support.clients import Client
from tests.support.images import HOSTILE, VALID
from tests.support.service import Service

ID = re.compile(r"\| id +\| ([0-9a-f-]{36})")


@pytest.fixture
def glance(programs: Path, service: Service, tmp_path: Path) -> Client:
    """The command with nothing but the address of the service."""
    return Client(programs / "glance", tmp_path, {"OS_IMAGE_URL": service.url, "OS_AUTH_TOKEN": "none"})


def test_the_life_of_an_image(glance: Client, tmp_path: Path) -> None:
    data = VALID["boot-disk"].build()
    disk = tmp_path / "disk.raw"
    disk.write_bytes(data)
    created = glance.ok(
        "image-create", "--name", "by glance", "--disk-format", "raw", "--container-format", "bare",
        "--property", "os_distro=debian", "--tags", "one", "two",
    )  # fmt: skip
    image_id = ID.search(created)[1]
    assert "queued" in created
    glance.ok("image-upload", "--file", disk, image_id)
    shown = glance.ok("image-show", image_id)
    for text in ("active", str(len(data)), "os_hash_value", "debian"):
        assert text in shown
    assert "by glance" in glance.ok("image-list", "--property-filter", "os_distro=debian")
    changed = glance.ok("image-update", "--name", "changed", "--property", "os_version=13", "--min-disk", "1", image_id)
    assert "changed" in changed
    glance.ok("image-update", "--remove-property", "os_version", image_id)
    glance.ok("image-tag-update", image_id, "three")
    glance.ok("image-tag-delete", image_id, "one")
    shown = glance.ok("image-show", image_id)
    assert "os_version" not in shown
    assert sorted(json.loads(re.search(r"\| tags +\|(.*)\|", shown)[1])) == ["three", "two"]
    target = tmp_path / "downloaded"
    glance.ok("image-download", "--file", target, image_id)
    assert target.read_bytes() == data
    glance.ok("image-deactivate", image_id)
    assert "deactivated" in glance.ok("image-show", image_id)
    glance.ok("image-reactivate", image_id)
    glance.ok("image-delete", image_id)
    assert image_id not in glance.ok("image-list")


def test_create_with_data(glance: Client, tmp_path: Path) -> None:
    disk = tmp_path / "disk.qcow2"
    disk.write_bytes(VALID["qcow2-v3"].build())
    created = glance.ok(
        "image-create", "--name", "at once", "--disk-format", "qcow2", "--container-format", "bare", "--file", disk
    )
    assert "active" in created
    assert re.search(r"\| virtual_size +\| 1048576 ", created)
    glance.ok("image-delete", ID.search(created)[1])


def test_pages(glance: Client) -> None:
    ids = [ID.search(glance.ok("image-create", "--name", f"paged {number}"))[1] for number in range(5)]
    listed = glance.ok("image-list", "--page-size", "2")
    assert all(image_id in listed for image_id in ids)
    glance.ok("image-delete", *ids)


def test_explain(glance: Client) -> None:
    explained = glance.ok("explain", "image")
    for name in ("container_format", "visibility", "os_hash_algo", "protected"):
        assert name in explained


def test_refusals_are_sentences(glance: Client, tmp_path: Path) -> None:
    assert "404" in glance.refused("image-show", "ac9e5a10-6a5a-4b2f-b8a3-0a5a3a3a3a3a")
    hostile = tmp_path / "hostile.qcow2"
    hostile.write_bytes(HOSTILE["qcow2-backing-file"].build())
    created = glance.ok("image-create", "--name", "hostile", "--disk-format", "qcow2", "--container-format", "bare")
    image_id = ID.search(created)[1]
    told = glance.refused("image-upload", "--file", hostile, image_id)
    assert "415" in told, told
    assert "backing" in told, told
    assert "queued" in glance.ok("image-show", image_id)
    glance.ok("image-delete", image_id)
