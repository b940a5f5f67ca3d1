"""Membership: a project with which an image is shared, and the project's answer (images-api 3.9)."""

from __future__ import annotations

from datetime import datetime

import msgspec

from glimpse.domain.status import MemberStatus

#: Maximum length of a member id, in characters: the width of its column.
MEMBER_LENGTH = 255


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """One project with which an image is shared. Times are naive UTC."""

    image_id: str
    member_id: str
    status: MemberStatus = MemberStatus.PENDING
    created_at: datetime
    updated_at: datetime
