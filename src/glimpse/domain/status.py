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


#: Statuses of images that are never listed (images-api 3.4.3).
UNLISTED = frozenset({Status.KILLED, Status.DELETED, Status.PENDING_DELETE})
