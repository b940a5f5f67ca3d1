"""Volumes of Cinder as the tests make, look at and upload them."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import Any

from tests.interop.consumers.user import User


class Volumes:
    """The volumes of a run. All of them are deleted by :meth:`clean`."""

    def __init__(self, run: str, demo: User, admin: User) -> None:
        self.run = run
        self.demo = demo
        self._admin = admin
        self._made: list[str] = []

    def new(self, name: str, kind: str, image_id: str = "", size: int = 1) -> str:
        """A volume of ``size`` GiB of a volume type, with the data of an image, that is available."""
        fields: dict[str, Any] = {"name": f"{self.run}-{name}", "size": size, "volume_type": kind}
        if image_id:
            fields["imageRef"] = image_id
        answer = self.demo.volume("POST", "/volumes", json={"volume": fields}, expect=202)
        volume = answer.json()["volume"]["id"]
        self._made.append(volume)
        self.wait(volume)
        return volume

    def show(self, volume_id: str) -> dict[str, Any]:
        """Its document, as the administrator sees it."""
        return self._admin.volume("GET", f"/volumes/{volume_id}", expect=200).json()["volume"]

    def wait(self, volume_id: str, status: str = "available", limit: float = 240) -> dict[str, Any]:
        """Wait until the volume has the status; returns its document."""
        end = time.monotonic() + limit
        while (volume := self.show(volume_id))["status"] != status:
            assert not volume["status"].startswith("error"), f"the volume is in {volume['status']}"
            assert time.monotonic() < end, f"the volume is {volume['status']}"
            time.sleep(0.5)
        return volume

    def upload(self, volume_id: str, name: str, disk_format: str) -> str:
        """Ask Cinder to make an image of the volume, and do not wait; returns the id of the image."""
        fields = {"image_name": f"{self.run}-{name}", "disk_format": disk_format, "container_format": "bare"}
        body = {"os-volume_upload_image": fields}
        answer = self.demo.volume("POST", f"/volumes/{volume_id}/action", json=body, expect=202)
        return answer.json()["os-volume_upload_image"]["image_id"]

    def extend(self, volume_id: str, size: int) -> None:
        """Make it larger: ``size`` in GiB."""
        body = {"os-extend": {"new_size": size}}
        self.demo.volume("POST", f"/volumes/{volume_id}/action", json=body, expect=202)
        assert self.wait(volume_id)["size"] == size

    def all_ids(self) -> set[str]:
        """The volumes of all projects."""
        found = self._admin.volume("GET", "/volumes?all_tenants=1", expect=200).json()["volumes"]
        return {volume["id"] for volume in found}

    def delete(self, volume_id: str, limit: float = 120) -> None:
        """Delete a volume and wait until it is gone."""
        self._admin.volume("DELETE", f"/volumes/{volume_id}")
        end = time.monotonic() + limit
        while (answer := self._admin.volume("GET", f"/volumes/{volume_id}")).status_code != 404:
            assert time.monotonic() < end, f"the volume is still there: {answer.text[:300]}"
            time.sleep(0.5)
        if volume_id in self._made:
            self._made.remove(volume_id)

    def clean(self) -> None:
        """Delete the volumes that are left."""
        for volume in reversed(list(self._made)):
            self.delete(volume)


def same_data(path: Path, other: Path) -> bool:
    """Whether two raw files have the same data; one may go on with zeros."""
    command = ["qemu-img", "compare", "-f", "raw", "-F", "raw", str(path), str(other)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
