"""Images, jobs and viewers for tests."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from glimpse.db.records import Viewer
from glimpse.domain.image import Image, Location, StoredData
from glimpse.domain.job import Job, JobStatus

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


#: Seconds for which jobs are claimed here; with :data:`OVER` the lease has run out at once.
LIFETIME = 30.0
OVER = -1.0


def upload_job(image_id: str, kind: str = "upload", **fields: Any) -> Job:
    """The job of an upload that worker-1 begins, or of another attended kind."""
    values: dict[str, Any] = {
        "id": uuid.uuid4().hex,
        "type": kind,
        "status": JobStatus.RUNNING,
        "image_id": image_id,
        "stores": ("fast",),
        "attempt": 1,
        "generation": 1,
        "claimed_by": "worker-1",
        "created_at": MOMENT,
        "updated_at": MOMENT,
    }
    return Job(**(values | fields))


def deletion_job(image_id: str, **fields: Any) -> Job:
    """The job of a deletion that worker-1 begins."""
    return upload_job(image_id, "image_deletion", **({"stores": ()} | fields))


def removal_job(image_id: str, url: str, location_id: int | None = None, **fields: Any) -> Job:
    """The job of a removal of one copy that worker-1 begins."""
    return upload_job(image_id, "copy_removal", **({"input": {"url": url, "location_id": location_id}} | fields))


STORED = StoredData(
    size=1048576,
    virtual_size=2097152,
    checksum="b6d81b360a5672d80c27430f39153e2c",
    os_hash_algo="sha512",
    os_hash_value="30e1" * 32,
    location=Location(url="file:///images/1", metadata={"store": "fast"}),
)
