"""Records that calls of the database take besides those of the domain: for whom it reads, and leases."""

from __future__ import annotations

import msgspec


class Viewer(msgspec.Struct, frozen=True):
    """For whom rows are read: an admin sees every image, other callers those of their project (database 8)."""

    project_id: str | None
    is_admin: bool = False


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """The right of one process to carry an unfinished operation on an image to its end.

    ``id`` names the attempt (32 hex digits; stores name unfinished data after it), ``purpose`` is ``upload``,
    ``delete`` or ``location``, ``owner`` the process, ``generation`` grows by one with each take-over (fencing),
    ``expires_at`` is seconds since 1970 on the owner's clock, ``store`` the id of the store concerned.
    """

    id: str
    image_id: str
    purpose: str
    owner: str
    generation: int
    expires_at: float
    store: str | None = None
