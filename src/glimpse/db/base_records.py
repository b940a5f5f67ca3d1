"""Records that calls of the database take besides those of the domain."""

from __future__ import annotations

import msgspec


class Viewer(msgspec.Struct, frozen=True):
    """For whom rows are read: an admin sees every image, other callers those of their project (database 8)."""

    project_id: str | None
    is_admin: bool = False
