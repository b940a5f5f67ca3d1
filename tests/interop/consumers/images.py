"""Images as the tests of consumers make, look at and wait for them."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.interop.consumers.user import PATCH, User

OCTETS = {"Content-Type": "application/octet-stream"}


class Images:
    """The images of a run. All of them are deleted by :meth:`clean`."""

    def __init__(self, run: str, demo: User, admin: User) -> None:
        self.run = run
        self.demo = demo
        self._admin = admin
        self._made: list[str] = []

    def add(self, image_id: str) -> str:
        """Have :meth:`clean` delete an image that somebody else made."""
        self._made.append(image_id)
        return image_id

    def new(self, name: str, disk_format: str = "qcow2", *, user: User | None = None, **fields: Any) -> str:
        """Create an image without data."""
        document = {"name": f"{self.run}-{name}", "disk_format": disk_format, "container_format": "bare", **fields}
        return self.add((user or self.demo).image("POST", "/images", json=document, expect=201).json()["id"])

    def upload(
        self,
        name: str,
        path: Path,
        disk_format: str = "qcow2",
        *,
        user: User | None = None,
        expect: int = 204,
        **fields: Any,
    ) -> str:
        """Create an image with the data of a file; ``expect`` is the answer to the data."""
        made = self.new(name, disk_format, user=user, **fields)
        with path.open("rb") as data:
            (user or self.demo).image("PUT", f"/images/{made}/file", data=data, headers=OCTETS, expect=expect)
        return made

    def change(
        self, image_id: str, *operations: dict[str, Any], user: User | None = None, expect: int = 200
    ) -> dict[str, Any]:
        """Send a JSON patch."""
        answer = (user or self.demo).image(
            "PATCH", f"/images/{image_id}", json=operations, headers={"Content-Type": PATCH}, expect=expect
        )
        return answer.json() if answer.status_code == 200 else {}

    def status(self, image_id: str, *, user: User | None = None) -> int:
        """The status code of the answer to GET."""
        return (user or self.demo).image("GET", f"/images/{image_id}").status_code

    def show(self, image_id: str, *, user: User | None = None) -> dict[str, Any]:
        """The document of an image that is there."""
        return (user or self.demo).image("GET", f"/images/{image_id}", expect=200).json()

    def named(self, name: str) -> list[str]:
        """The ids of demo's images with this name."""
        found = self.demo.image("GET", "/images", params={"name": name}, expect=200).json()["images"]
        return [image["id"] for image in found]

    def wait(
        self, image_id: str, status: str = "active", *, limit: float = 240, user: User | None = None
    ) -> dict[str, Any]:
        """Wait until the image has the status; returns its document."""
        end = time.monotonic() + limit
        while True:
            answer = (user or self.demo).image("GET", f"/images/{image_id}")
            assert answer.status_code == 200, f"image {image_id}: {answer.status_code}"
            found = answer.json()
            if found["status"] == status:
                return found
            assert time.monotonic() < end, f"image {image_id} is {found['status']}"
            time.sleep(1)

    def wait_hashed(self, image_id: str, limit: float = 180) -> float:
        """Wait until a job has computed the digest of an active image; returns the seconds."""
        began = time.monotonic()
        while not self.show(image_id)["os_hash_value"]:
            assert time.monotonic() - began < limit, f"image {image_id} still has no digest"
            time.sleep(1)
        return time.monotonic() - began

    def wait_gone(self, image_id: str, limit: float = 60) -> None:
        """Wait until the image is deleted."""
        end = time.monotonic() + limit
        while (status := self.status(image_id)) != 404:
            assert time.monotonic() < end, f"image {image_id} still answers {status}"
            time.sleep(1)

    def delete(self, image_id: str, *, user: User | None = None, expect: int = 204) -> str:
        """Delete it; returns the text of the answer."""
        return (user or self.demo).image("DELETE", f"/images/{image_id}", expect=expect).text

    def save(self, image_id: str, path: Path) -> Path:
        """Download the data into a file; checks the digest of the image."""
        digest = hashlib.sha512()
        answer = self.demo.image("GET", f"/images/{image_id}/file", stream=True, expect=200)
        with path.open("wb") as file:
            for chunk in answer.iter_content(1 << 20):
                digest.update(chunk)
                file.write(chunk)
        shown = self.show(image_id)
        if shown["os_hash_value"]:
            assert digest.hexdigest() == shown["os_hash_value"]
        assert path.stat().st_size == shown["size"]
        return path

    def clean(self) -> None:
        """Delete the images that are left, as the administrator."""
        unprotect = [{"op": "replace", "path": "/protected", "value": False}]
        for image_id in reversed(self._made):
            path = f"/images/{image_id}"
            if self._admin.image("GET", path).status_code == 200:
                self._admin.image("PATCH", path, json=unprotect, headers={"Content-Type": PATCH})
                self._admin.image("DELETE", path)
        self._made.clear()


def replace(**values: Any) -> Sequence[dict[str, Any]]:
    """The operations of a JSON patch that set these properties."""
    return [{"op": "add", "path": f"/{name}", "value": value} for name, value in values.items()]
