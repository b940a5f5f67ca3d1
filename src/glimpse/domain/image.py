"""The image record."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from glimpse.domain.allowance import Allowance
from glimpse.domain.status import MemberStatus, Status, Visibility


class Location(msgspec.Struct, frozen=True, kw_only=True):
    """The location of one copy of an image's data (database 7.4).

    ``url`` is the store's URI, unencrypted. ``metadata`` has the key ``store`` if the store has a name. ``id`` is the
    row's id, None before it is stored. Only ``active`` locations are shown or read.
    """

    url: str
    metadata: dict[str, Any] = {}
    status: str = "active"
    id: int | None = None


class Image(msgspec.Struct, frozen=True, kw_only=True):
    """One image with its properties, tags and live locations (images-api 3.1).

    Sizes are in bytes, ``min_disk`` in GiB, ``min_ram`` in MiB; times are naive UTC. ``membership`` is the viewer's own
    membership status if the image was read for a member, else None.
    """

    id: str
    name: str | None = None
    status: Status = Status.QUEUED
    visibility: Visibility = Visibility.SHARED
    owner: str | None = None
    disk_format: str | None = None
    container_format: str | None = None
    size: int | None = None
    virtual_size: int | None = None
    checksum: str | None = None
    os_hash_algo: str | None = None
    os_hash_value: str | None = None
    min_disk: int = 0
    min_ram: int = 0
    protected: bool = False
    os_hidden: bool = False
    created_at: datetime
    updated_at: datetime
    properties: dict[str, str | None] = {}
    tags: tuple[str, ...] = ()
    locations: tuple[Location, ...] = ()
    membership: str | None = None


class ImageChange(msgspec.Struct, frozen=True, kw_only=True):
    """The changes that one request makes to an image, and nothing else (ARCHITECTURE.md, Data safety, rule 3).

    ``columns`` maps attribute names of :class:`Image` to new values. ``set_properties`` adds or replaces,
    ``drop_properties`` removes. ``tags`` replaces the whole set unless it is None; ``add_tags`` and ``drop_tags``
    change single tags. ``from_status`` lists the statuses in which the image may be.

    ``add_locations`` are new rows; of each in ``relabel_locations`` the metadata are written to the row with its id;
    ``drop_locations`` are ids of rows that are forgotten, their data left alone. Nothing is changed unless the location
    with the id ``if_location`` is still active and the attributes of ``if_columns`` still have these values.

    With ``mark_unverified`` no data are served from ``add_locations`` until a later change has them among its
    ``verified_locations`` (ids); ``refused_locations`` are ids of unverified ones and why nobody will get their data.

    ``takes`` is the number of bytes that the change adds to what a project uses; they must fit into the allowance
    ``within``, where there is one.
    """

    columns: dict[str, Any] = {}
    set_properties: dict[str, str | None] = {}
    drop_properties: tuple[str, ...] = ()
    tags: tuple[str, ...] | None = None
    add_tags: tuple[str, ...] = ()
    drop_tags: tuple[str, ...] = ()
    add_locations: tuple[Location, ...] = ()
    relabel_locations: tuple[Location, ...] = ()
    drop_locations: tuple[int, ...] = ()
    if_location: int | None = None
    if_columns: dict[str, Any] = {}
    mark_unverified: bool = False
    verified_locations: tuple[int, ...] = ()
    refused_locations: tuple[tuple[int, str], ...] = ()
    takes: int = 0
    within: Allowance | None = None
    from_status: tuple[Status, ...] = ()


class StoredData(msgspec.Struct, frozen=True, kw_only=True):
    """Facts about an image's data that a store has committed. Sizes are in bytes, digests in hex."""

    size: int
    virtual_size: int | None
    checksum: str
    os_hash_algo: str
    os_hash_value: str
    location: Location


# --------------------- Membership: a project with which an image is shared, and the project's answer (images-api 3.9)

#: Maximum length of a member id, in characters: the width of its column.
MEMBER_LENGTH = 255


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """One project with which an image is shared. Times are naive UTC."""

    image_id: str
    member_id: str
    status: MemberStatus = MemberStatus.PENDING
    created_at: datetime
    updated_at: datetime
