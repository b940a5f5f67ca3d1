"""The rigs of a run: Keystone, Nova on libvirt, Cinder, and images of guests that boot on them."""

from __future__ import annotations

import os
import subprocess
import uuid
from dataclasses import dataclass
from pathlib import Path

from tests.interop.consumers.glimpse_service import ImageService
from tests.interop.consumers.images import Images
from tests.interop.consumers.rigs import run_rig
from tests.interop.consumers.servers import Servers
from tests.interop.consumers.traffic import Traffic
from tests.interop.consumers.user import User


@dataclass
class Cloud:
    """Users, images and servers of one module's tests, on one image service."""

    service: ImageService
    run: str
    demo: User
    alt: User
    admin: User
    images: Images
    servers: Servers
    traffic: Traffic
    place: Path

    def clean(self) -> None:
        """Delete what is left of servers and images."""
        self.servers.clean()
        self.images.clean()


def make_cloud(service: ImageService, place: Path, libvirt: str = "") -> Cloud:
    """The users of the rigs' Keystone, with ``service`` as their image service."""
    keystone = os.environ["GLIMPSE_TEST_KEYSTONE_URL"]
    password = os.environ.get("GLIMPSE_TEST_KEYSTONE_PASSWORD") or "secret"
    pairs = (("demo", "demo"), ("alt", "alt_demo"), ("admin", "admin"))
    demo, alt, admin = (User(keystone, password, name, project, service.url) for name, project in pairs)
    run = f"run-{uuid.uuid4().hex[:6]}"
    images, servers = Images(run, demo, admin), Servers(run, demo, admin, libvirt)
    return Cloud(service, run, demo, alt, admin, images, servers, Traffic(service), place)


class Guests:
    """Disks from which servers boot; see dev/rigs/nova/guest-image."""

    def __init__(self, place: Path) -> None:
        self._place = place
        place.mkdir(parents=True, exist_ok=True)

    def raw(self, name: str, *sizes: int) -> Path:
        """The disk of this name; ``sizes`` in MiB: of the disk, and of data that cannot be compressed."""
        path = self._place / f"{name}.raw"
        if not path.exists():
            run_rig("nova/guest-image", name, path, *map(str, sizes))
        return path

    def converted(self, name: str, disk_format: str = "qcow2", *options: str) -> Path:
        """The same disk in another format."""
        raw = self.raw(name)
        if disk_format == "raw":
            return raw
        path = self._place / f"{name}.{disk_format}"
        if not path.exists():
            command = ["qemu-img", "convert", "-O", disk_format, *options, str(raw), str(path)]
            subprocess.run(command, check=True, capture_output=True)
        return path
