"""Boot, snapshots, backups and shelving of one server and of the server made from its snapshot, in this order."""

from __future__ import annotations

import hashlib
import json
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.interop.consumers.cloud import Cloud, Guests
from tests.interop.consumers.conftest import Note, Story

PROPERTIES = {"note": "ünïcode ☃", "os_distro": "debian", "hw_rng_model": "virtio"}


def made(value: str) -> str:
    """What an earlier test made; without it this one cannot run."""
    assert value, "an earlier test of this module failed"
    return value


@pytest.fixture(scope="module")
def alpha(cloud: Cloud, guests: Guests) -> str:
    """A qcow2 image with properties, also outside ASCII."""
    return cloud.images.upload("alpha", guests.converted("alpha"), **PROPERTIES)


def qemu_info(path: Path) -> dict[str, Any]:
    """What qemu-img says of a file."""
    command = ["qemu-img", "info", "--output", "json", str(path)]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def test_upload(cloud: Cloud, alpha: str, guests: Guests, note: Note) -> None:
    """Size, digest, virtual size."""
    shown = cloud.images.wait(alpha)
    assert shown["os_hash_value"] == hashlib.sha512(guests.converted("alpha").read_bytes()).hexdigest()
    assert shown["virtual_size"] == guests.raw("alpha").stat().st_size
    note(f"size {shown['size']}, virtual_size {shown['virtual_size']}")


def test_boot(cloud: Cloud, story: Story, alpha: str, note: Note) -> None:
    began = time.monotonic()
    story.server = cloud.servers.boot("vm", alpha)
    active = time.monotonic() - began
    token = cloud.servers.token(story.server)
    assert (token.boots, token.history) == (1, [story.server])
    note(f"ACTIVE after {active:.0f} s, token after {time.monotonic() - began:.0f} s, disk {token.disk}")


def test_live_snapshot(cloud: Cloud, story: Story, note: Note) -> None:
    """The guest keeps running."""
    server = made(story.server)
    snapshot = cloud.images.add(cloud.servers.snapshot(server, f"Schnappschuß ☃ {cloud.run}"))
    shown = cloud.images.wait(snapshot)
    assert cloud.servers.wait(server)["OS-EXT-STS:power_state"] == 1
    assert cloud.servers.token(server).boots == 1
    story.snapshot = snapshot
    note(f"size {shown['size']}")


def test_snapshot_properties(cloud: Cloud, story: Story, alpha: str, note: Note) -> None:
    """What Nova wrote on the snapshot, and what it inherited."""
    shown = cloud.images.wait(made(story.snapshot))
    project = cloud.demo.project_id
    expected = PROPERTIES | {
        "name": f"Schnappschuß ☃ {cloud.run}", "image_type": "snapshot", "base_image_ref": alpha,
        "instance_uuid": story.server, "user_id": cloud.demo.user_id, "owner": project, "owner_id": project,
        "owner_user_name": "demo", "owner_project_name": "demo", "visibility": "private", "container_format": "bare",
        "min_disk": 1, "min_ram": 0, "status": "active", "protected": False, "image_state": "available",
        "image_location": "snapshot",
    }  # fmt: skip
    assert {name: shown.get(name) for name in expected} == expected
    note(f"disk_format {shown['disk_format']}, {len(expected)} properties")


def test_snapshot_data(cloud: Cloud, story: Story, tmp_path: Path, note: Note) -> None:
    """A sound file without a backing file, with what the guest wrote."""
    shown = cloud.images.wait(made(story.snapshot))
    saved, raw = cloud.images.save(story.snapshot, tmp_path / "saved"), tmp_path / "raw"
    info = qemu_info(saved)
    assert info["format"] == shown["disk_format"]
    assert "backing-filename" not in info
    assert shown["virtual_size"] == info["virtual-size"]
    if info["format"] == "qcow2":
        subprocess.run(["qemu-img", "check", str(saved)], check=True, capture_output=True)
    subprocess.run(["qemu-img", "convert", "-O", "raw", str(saved), str(raw)], check=True)
    history = subprocess.run(["mtype", "-i", f"{raw}@@1M", "::history"], capture_output=True, text=True, check=True)
    assert history.stdout.split() == ["1", story.server]
    note(f"{info['format']} of {shown['size']} bytes, {info['virtual-size'] >> 20} MiB virtual")


def test_boot_snapshot(cloud: Cloud, story: Story, note: Note) -> None:
    """The disk of the second server counts two boots: by the first server and by itself."""
    story.second = cloud.servers.boot("second", made(story.snapshot))
    token = cloud.servers.token(story.second)
    assert (token.boots, token.history) == (2, [story.server, story.second])
    note("two boots")


def test_cold_snapshot(cloud: Cloud, story: Story, note: Note) -> None:
    """Stop by the power button, snapshot, start."""
    second, servers = made(story.second), cloud.servers
    servers.action(second, **{"os-stop": None})
    servers.wait(second, "SHUTOFF")
    snapshot = cloud.images.add(servers.snapshot(second, f"{cloud.run}-cold"))
    shown = cloud.images.wait(snapshot)
    servers.wait(second, "SHUTOFF")
    assert shown["instance_uuid"] == second
    servers.action(second, **{"os-start": None})
    servers.wait(second)
    servers.token(second, boots=3)
    note(f"base_image_ref is {'the snapshot' if shown['base_image_ref'] == story.snapshot else 'the first image'}")


def test_backup(cloud: Cloud, story: Story, note: Note) -> None:
    """Three backups with rotation 2: Nova lists images by properties and deletes the oldest."""
    second = made(story.second)
    backups: list[str] = []
    for number in range(3):
        body = {"name": f"{cloud.run}-backup-{number}", "backup_type": "daily", "rotation": 2}
        answer = cloud.servers.action(second, createBackup=body)
        backups.append(cloud.images.add(answer.json()["image_id"]))
        shown = cloud.images.wait(backups[-1])
        cloud.servers.wait(second)
        assert (shown["image_type"], shown["backup_type"]) == ("backup", "daily")
    cloud.images.wait_gone(backups[0])
    assert [cloud.images.status(backup) for backup in backups] == [404, 200, 200]
    note("the oldest was deleted by Nova")


def test_shelve(cloud: Cloud, story: Story, note: Note) -> None:
    """Shelve uploads the disk; unshelve boots from it, and Nova deletes the image."""
    second, servers = made(story.second), cloud.servers
    boots = servers.token(second).boots
    servers.action(second, shelve=None)
    servers.wait(second, "SHELVED_OFFLOADED")
    (image,) = cloud.images.named(f"{cloud.run}-second-shelved")
    shown = cloud.images.wait(cloud.images.add(image))
    servers.action(second, unshelve=None)
    servers.wait(second)
    servers.token(second, boots=boots + 1)
    cloud.images.wait_gone(image)
    note(f"{shown['image_type']} image of {shown['size']} bytes, deleted by Nova")


def test_unshelve_without_its_image(cloud: Cloud, story: Story, note: Note) -> None:
    """The user deletes the image of a shelved server."""
    second, servers = made(story.second), cloud.servers
    servers.action(second, shelve=None)
    servers.wait(second, "SHELVED_OFFLOADED")
    (image,) = cloud.images.named(f"{cloud.run}-second-shelved")
    cloud.images.delete(image)
    servers.action(second, unshelve=None)
    end = time.monotonic() + 90
    state = servers.show(second)
    while state["status"] != "ERROR" and state["OS-EXT-STS:task_state"] and time.monotonic() < end:
        time.sleep(1)
        state = servers.show(second)
    assert state["status"] in {"ERROR", "SHELVED_OFFLOADED"}
    servers.delete(second)
    story.second = ""
    note(f"the server is {state['status']}")


def test_rescue(cloud: Cloud, story: Story, beta: str, note: Note) -> None:
    """It boots from another image with its own disk as the second one, and goes back to its own disk."""
    server, servers = made(story.server), cloud.servers
    boots = servers.token(server).boots
    servers.action(server, 200, rescue={"rescue_image_ref": beta})
    servers.wait(server, "RESCUE")
    disk = servers.token(server, "beta").disk
    other = servers.wait_console(server, r"GUEST-OTHER name=(\S+) uuid=\S+ disk=(\S+)")
    assert other[0] == "alpha"
    servers.action(server, unrescue=None)
    servers.wait(server)
    servers.token(server, boots=boots + 1)
    note(f"rescue disk {disk}, own disk {other[1]}")


def test_rescue_keeps_the_disks(cloud: Cloud, story: Story, guests: Guests, note: Note) -> None:
    """With hw_rescue_device and hw_rescue_bus the disks keep their order."""
    server, servers = made(story.server), cloud.servers
    image = cloud.images.upload("rescue", guests.raw("beta"), "raw", hw_rescue_device="disk", hw_rescue_bus="virtio")
    servers.action(server, 200, rescue={"rescue_image_ref": image})
    servers.wait(server, "RESCUE")
    servers.wait_console(server, r"GUEST-OTHER name=beta uuid=\S+ disk=/dev/vdb1")
    servers.wait_console(server, r"GUEST-TOKEN name=alpha uuid=\S+ disk=/dev/vda1")
    servers.action(server, unrescue=None)
    servers.wait(server)
    servers.token(server)
    note("own disk vda, rescue disk vdb")


def test_rebuild(cloud: Cloud, story: Story, beta: str, note: Note) -> None:
    """The same server on another image."""
    server, servers = made(story.server), cloud.servers
    servers.action(server, rebuild={"imageRef": beta})
    servers.wait(server)
    token = servers.token(server, "beta")
    assert (token.boots, token.history) == (1, [server])
    assert servers.show(server)["image"]["id"] == beta
    servers.delete(server)
    note("boots the other image")
