"""An image keeps the formats for which its data were inspected (images-api 9.3)."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from glimpse.domain.image import ImageChange
from glimpse.domain.status import Status
from tests.support.images.qcow2 import qcow2
from tests.support.wire import PATCH, Wire

ROUNDS = 60


@pytest.mark.parametrize("status", ["saving", "uploading", "importing", "active", "deactivated"])
@pytest.mark.parametrize("name", ["disk_format", "container_format"])
def test_formats_change_only_while_the_image_is_queued(wire: Wire, status: str, name: str) -> None:
    image_id = wire.create()["id"]
    wire.service.deps.database.update_image(image_id, ImageChange(columns={"status": Status(status)}))
    value = {"disk_format": "qcow2", "container_format": "ovf"}[name]
    assert wire.patch(image_id, {"op": "replace", "path": f"/{name}", "value": value}).status == 403
    shown = wire("GET", f"/v2/images/{image_id}").json
    assert (shown["disk_format"], shown["container_format"]) == ("raw", "bare")


def test_a_change_of_the_formats_between_check_and_claim_lets_nothing_in_uninspected(wire: Wire) -> None:
    """Data that a bare image may not have, sent for a container, and the image made bare at the same moment."""
    unsafe = qcow2(bytes(65536), backing_file=b"/etc/passwd")
    for _ in range(ROUNDS):
        image_id = wire.create(disk_format="qcow2", container_format="ovf")["id"]
        target = f"/v2/images/{image_id}"
        shown, sent, patched = wire.loop.run_until_complete(_both(wire, target, unsafe))
        assert (shown["status"], shown["container_format"]) != ("active", "bare"), (sent, patched)
        assert sent in {204, 409, 415}, sent
        assert patched in {200, 403, 409}, patched
        assert (sent, patched) != (204, 200)


async def _both(wire: Wire, target: str, data: bytes) -> tuple[dict[str, Any], int, int]:
    """Upload and PATCH at the same moment, each in a thread of the service; the image then, and both statuses."""
    caller = wire.caller.headers()
    octets = {**caller, "Content-Type": "application/octet-stream", "Content-Length": str(len(data))}
    change = json.dumps([{"op": "replace", "path": "/container_format", "value": "bare"}]).encode()
    patch = {**caller, "Content-Type": PATCH, "Content-Length": str(len(change))}
    upload = wire._run("PUT", f"{target}/file", octets, [data], cut=False)
    sent, patched = await asyncio.gather(upload, wire._run("PATCH", target, patch, [change], cut=False))
    answer = await wire._run("GET", target, caller, [], cut=False)
    return answer.json, sent.status, patched.status
