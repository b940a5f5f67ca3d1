"""Records and names that operations of the database take and return besides those of the domain."""

from __future__ import annotations

import msgspec

#: The row of an image keeps its id from being registered again by somebody else, who would inherit the trust in it
#: (OSSN-0075). So this table is purged only when it is asked for by name.
IMAGES = "images"

#: Tables with rows of this kind, in the order in which they can be purged: what refers to a row goes before it.
PURGEABLE = ("image_properties", "image_tags", "image_locations", "image_members", "tasks", IMAGES)

#: Maximum number of rows per transaction.
LARGEST_BATCH = 10_000


class Viewer(msgspec.Struct, frozen=True):
    """For whom rows are read: an admin sees every image, other callers those of their project (database 8)."""

    project_id: str | None
    is_admin: bool = False


class UsageFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What a project has (imports-and-stores 7.1; database 12): sums of sizes in bytes, numbers of images."""

    size_total: int
    stage_total: int
    count_total: int
    count_uploading: int


class PurgedBatch(msgspec.Struct, frozen=True):
    """How many rows a batch removed, and the key to go on ``after``; None when no row is left to look at."""

    removed: int
    last: int | str | None
