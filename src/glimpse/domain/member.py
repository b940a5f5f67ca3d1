"""Membership: the offer of a shared image to a project, and what the project made of it (images-api 3.9)."""

from __future__ import annotations

from datetime import datetime

import msgspec

from glimpse.domain.status import MemberStatus

#: Longest member id, in characters: the width of its column.
MEMBER_LENGTH = 255


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """One project that an image is shared with. Times are naive UTC."""

    image_id: str
    member_id: str
    status: MemberStatus = MemberStatus.PENDING
    created_at: datetime
    updated_at: datetime
