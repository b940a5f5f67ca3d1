"""The statuses of an image (images-api 9)."""

from __future__ import annotations

from enum import StrEnum


class Status(StrEnum):
    """Every status that an image row may have, in the order of the image schema."""

    QUEUED = "queued"
    SAVING = "saving"
    ACTIVE = "active"
    KILLED = "killed"
    DELETED = "deleted"
    UPLOADING = "uploading"
    IMPORTING = "importing"
    PENDING_DELETE = "pending_delete"
    DEACTIVATED = "deactivated"


class Visibility(StrEnum):
    """Who sees an image (images-api 3.11), in the order of the image schema."""

    COMMUNITY = "community"
    PUBLIC = "public"
    PRIVATE = "private"
    SHARED = "shared"


class MemberStatus(StrEnum):
    """The answer of a project to an image shared with it."""

    PENDING = "pending"
    ACCEPTED = "accepted"
    REJECTED = "rejected"


TRANSITIONS: dict[Status, frozenset[Status]] = {
    Status.QUEUED: frozenset({Status.SAVING, Status.UPLOADING, Status.IMPORTING, Status.ACTIVE, Status.DELETED}),
    Status.SAVING: frozenset({Status.QUEUED, Status.ACTIVE, Status.KILLED, Status.DELETED}),
    Status.UPLOADING: frozenset({Status.QUEUED, Status.IMPORTING, Status.DELETED}),
    Status.IMPORTING: frozenset({Status.QUEUED, Status.ACTIVE, Status.DELETED}),
    Status.ACTIVE: frozenset({Status.DEACTIVATED, Status.PENDING_DELETE, Status.DELETED}),
    Status.DEACTIVATED: frozenset({Status.ACTIVE, Status.PENDING_DELETE, Status.DELETED}),
    Status.KILLED: frozenset({Status.DELETED}),
    Status.PENDING_DELETE: frozenset({Status.ACTIVE, Status.DELETED}),
    Status.DELETED: frozenset(),
}

#: Statuses of images that are never listed (images-api 3.4.3).
UNLISTED = frozenset({Status.KILLED, Status.DELETED, Status.PENDING_DELETE})


def may_become(old: Status, new: Status) -> bool:
    """Whether the machine has a transition from ``old`` to ``new``."""
    return new in TRANSITIONS[old]
