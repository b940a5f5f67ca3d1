"""The Ceph of the rigs as its administrator sees it."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from tests.interop.consumers.rigs import rig_environment


class Ceph:
    """Images of RBD, by ``pool/name``."""

    def __init__(self) -> None:
        settings = rig_environment("ceph")
        self.conf = settings["RIG_CEPH_CONF"]
        self.python_path = settings["RIG_CEPH_PYTHONPATH"]
        self._login = ("-c", self.conf, "-n", "client.admin", "-k", settings["RIG_CEPH_ADMIN_KEYRING"])

    def run(self, program: str, *arguments: str) -> str:
        """Run ``rbd`` or ``ceph``; it must succeed. Returns its output."""
        command = [program, *self._login, *arguments]
        ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert ended.returncode == 0, f"{command}: {ended.stderr}"
        return ended.stdout

    def rbd(self, *arguments: str) -> Any:
        """What a command of ``rbd`` answers as JSON."""
        return json.loads(self.run("rbd", *arguments, "--format", "json"))

    def names(self, pool: str) -> list[str]:
        """The images of a pool."""
        return self.rbd("ls", pool)

    def parent(self, image: str) -> str:
        """``pool/image@snapshot`` of which the image is a clone, or nothing."""
        found = self.rbd("info", image).get("parent")
        return f"{found['pool']}/{found['image']}@{found['snapshot']}" if found else ""

    def children(self, snapshot: str) -> list[str]:
        """The clones of ``pool/image@snapshot``."""
        return [f"{child['pool']}/{child['image']}" for child in self.rbd("children", snapshot)]

    def snapshots(self, image: str) -> list[tuple[str, bool]]:
        """Name of each snapshot, and whether it is protected."""
        return [(found["name"], found["protected"] == "true") for found in self.rbd("snap", "ls", image)]

    def trash(self, pool: str) -> list[str]:
        """The names of what is in the trash of a pool."""
        return [found["name"] for found in self.rbd("trash", "ls", pool)]

    def purge_trash(self, pool: str) -> None:
        """Remove what has no clones any more."""
        self.run("rbd", "trash", "purge", pool, "--no-progress")

    def location(self, image_id: str) -> str:
        """The URL of an image of the pool images (store-formats 8.1)."""
        return f"rbd://{self.run('ceph', 'fsid').strip()}/images/{image_id}/snap"


def store_options(ceph: Ceph) -> dict[str, dict[str, object]]:
    """Options of an image service with its images in the pool images, which lets Nova and Cinder clone them."""
    return {
        "DEFAULT": {
            "enabled_backends": "ceph:rbd",
            "show_multiple_locations": True,
            "show_image_direct_url": True,
        },
        "glance_store": {"default_backend": "ceph"},
        "ceph": {
            "rbd_store_pool": "images",
            "rbd_store_user": "glance",
            "rbd_store_ceph_conf": ceph.conf,
        },
    }
