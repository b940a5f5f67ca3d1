"""Images, leases and viewers for tests."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from glimpse.db.base_records import Lease, Viewer
from glimpse.domain.image import Image, Location, StoredData

ADMIN = Viewer(None, is_admin=True)
OWNER = Viewer("project-a")
STRANGER = Viewer("project-b")
NOBODY = Viewer(None)

#: Whole seconds, so that every database keeps it as it is.
MOMENT = datetime(2026, 11, 22, 10, 6, 31)  # noqa: DTZ001 - naive UTC, as everywhere in the database


def image(**fields: Any) -> Image:
    """An image of project-a, unless ``fields`` say otherwise."""
    values: dict[str, Any] = {
        "id": str(uuid.uuid4()),
        "owner": "project-a",
        "created_at": MOMENT,
        "updated_at": MOMENT,
    }
    return Image(**(values | fields))


def lease(image_id: str, purpose: str = "upload", **fields: Any) -> Lease:
    """A lease of worker-1 that runs until second 1000."""
    values: dict[str, Any] = {
        "id": uuid.uuid4().hex,
        "image_id": image_id,
        "purpose": purpose,
        "owner": "worker-1",
        "generation": 1,
        "expires_at": 1000.25,
        "store": "fast",
    }
    return Lease(**(values | fields))


STORED = StoredData(
    size=1048576,
    virtual_size=2097152,
    checksum="b6d81b360a5672d80c27430f39153e2c",
    os_hash_algo="sha512",
    os_hash_value="30e1" * 32,
    location=Location(url="file:///images/1", metadata={"store": "fast"}),
)
