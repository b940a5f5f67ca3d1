"""Upload and download of real images with the ``openstack`` command."""

from __future__ import annotations

import filecmp
import hashlib
import json
import subprocess
from pathlib import Path

import pytest

from tests.support.clients import Client


def digest(path: Path, algorithm: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def size_of_disk(path: Path) -> int:
    """What qemu-img says the size of the disk inside is."""
    told = subprocess.run(["qemu-img", "info", "--output=json", str(path)], capture_output=True, check=True).stdout
    return json.loads(told)["virtual-size"]


@pytest.mark.parametrize(("fixture", "disk_format"), [("netboot_iso", "iso"), ("netboot_qcow2", "qcow2")])
@pytest.mark.timeout(240)
def test_the_network_installer_comes_back_byte_for_byte(
    openstack: Client, request: pytest.FixtureRequest, tmp_path: Path, fixture: str, disk_format: str
) -> None:
    source: Path = request.getfixturevalue(fixture)
    assert source.stat().st_size >= 60_000_000
    created = openstack.json("image", "create", "--disk-format", disk_format, "--file", source, "debian-netboot")
    shown = openstack.json("image", "show", created["id"])
    assert shown["status"] == "active"
    assert shown["size"] == source.stat().st_size
    assert shown["virtual_size"] == size_of_disk(source)
    assert shown["checksum"] == digest(source, "md5")
    assert shown["properties"]["os_hash_value"] == digest(source, "sha512")
    target = tmp_path / "saved"
    openstack.ok("image", "save", "--file", target, created["id"])
    assert filecmp.cmp(source, target, shallow=False)
    openstack.ok("image", "delete", created["id"])
