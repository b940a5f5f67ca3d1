"""Properties and states of images that Nova obeys: hardware, smallest sizes, data that is missing, deactivation."""

from __future__ import annotations

import os
import re
from pathlib import Path

from tests.interop.consumers.cloud import Cloud, Guests
from tests.interop.consumers.conftest import Note


def test_ide(cloud: Cloud, guests: Guests, note: Note) -> None:
    """hw_disk_bus=ide, hw_machine_type=pc, hw_qemu_guest_agent, os_type; with a configuration drive."""
    image = cloud.images.upload(
        "ide", guests.converted("alpha"), hw_disk_bus="ide", hw_cdrom_bus="ide", hw_machine_type="pc",
        hw_qemu_guest_agent="yes", os_type="linux", hw_video_model="vga", hw_boot_menu="false", hw_vif_model="e1000",
        os_shutdown_timeout="20",
    )  # fmt: skip
    server = cloud.servers.boot("ide", image, config_drive=True)
    token = cloud.servers.token(server)
    domain = cloud.servers.domain(server)
    assert re.search(r"target dev='hda' bus='ide'", domain)
    assert "org.qemu.guest_agent.0" in domain
    (drive,) = cloud.servers.wait_console(server, r"GUEST-CONFIG-DRIVE (\S+)")
    cloud.servers.delete(server)
    note(f"hda on ide and the agent's channel; guest: {token.disk}, configuration drive {drive}")


def test_scsi(cloud: Cloud, guests: Guests, note: Note) -> None:
    """hw_disk_bus=scsi, hw_scsi_model=virtio-scsi, hw_machine_type=q35."""
    properties = {"hw_disk_bus": "scsi", "hw_scsi_model": "virtio-scsi", "hw_machine_type": "q35"}
    server = cloud.servers.boot("scsi", cloud.images.upload("scsi", guests.converted("alpha"), **properties))
    token = cloud.servers.token(server)
    domain = cloud.servers.domain(server)
    assert all(word in domain for word in ("bus='scsi'", "model='virtio-scsi'", "q35"))
    cloud.servers.delete(server)
    note(f"guest: {token.disk}")


def test_invalid_hardware(cloud: Cloud, guests: Guests, note: Note) -> None:
    image = cloud.images.upload("bogus", guests.converted("alpha"), hw_disk_bus="bogus")
    note(cloud.servers.refused("bogus", image))


def test_smallest_sizes(cloud: Cloud, guests: Guests, note: Note) -> None:
    """min_disk and min_ram are larger than the flavor."""
    disk = cloud.images.upload("min-disk", guests.converted("alpha"), min_disk=5)
    memory = cloud.images.upload("min-ram", guests.converted("alpha"), min_ram=4096)
    note(f"{cloud.servers.refused('no', disk)}; {cloud.servers.refused('no', memory)}")


def test_queued(cloud: Cloud, note: Note) -> None:
    """An image that has no data yet."""
    note(cloud.servers.refused("no", cloud.images.new("queued")))


def test_empty(cloud: Cloud, note: Note) -> None:
    """Data of length 0, declared as qcow2."""
    image = cloud.images.new("empty")
    octets = {"Content-Type": "application/octet-stream"}
    with Path(os.devnull).open("rb") as nothing:
        answer = cloud.demo.image("PUT", f"/images/{image}/file", data=nothing, headers=octets)
    if answer.status_code == 204:
        note(f"uploaded; Nova: {cloud.servers.fails(cloud.servers.start('empty', image))}")
    else:
        assert answer.status_code == 415
        note(f"upload refused: {answer.status_code}")


def test_deactivated(cloud: Cloud, guests: Guests, note: Note) -> None:
    """Refused while it is deactivated; if it is deactivated in use, snapshots work and a rebuild does not."""
    images, servers = cloud.images, cloud.servers
    image = images.upload("deactivated", guests.converted("alpha"))
    deactivate, reactivate = (f"/images/{image}/actions/{action}" for action in ("deactivate", "reactivate"))
    cloud.admin.image("POST", deactivate, expect=204)
    refused = servers.refused("no", image)
    cloud.admin.image("POST", reactivate, expect=204)
    server = servers.boot("reactivated", image)
    servers.token(server)
    cloud.admin.image("POST", deactivate, expect=204)
    images.wait(images.add(servers.snapshot(server, f"{cloud.run}-of-deactivated")))
    servers.wait(server)
    answer = cloud.demo.compute("POST", f"/servers/{server}/action", json={"rebuild": {"imageRef": image}})
    assert answer.status_code in {400, 403}, answer.text
    servers.delete(server)
    note(f"{refused}; in use: snapshot works, rebuild answers {answer.status_code}")
