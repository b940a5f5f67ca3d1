"""Reading images: rows of ``images`` and its children become :class:`Image` by position, nothing is made twice."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from glimpse.db.records import Viewer
from glimpse.db.sql.exact_comparison import equals
from glimpse.db.sql.index_hints import PRIMARY, Hint, order
from glimpse.db.sql.locations import read_metadata
from glimpse.db.sql.row_state import is_live
from glimpse.db.sql.tables import image_locations, image_members, image_properties, image_tags, images
from glimpse.db.sql.texts import UNSTORABLE
from glimpse.db.sql.visibility import PROJECT
from glimpse.domain.image import Image, Location
from glimpse.domain.status import Status, Visibility
from glimpse.errors import no_such_image

#: The columns that :func:`build` takes, in its order.
IMAGE_COLUMNS = (
    images.c.id,
    images.c.name,
    images.c.status,
    # as text: the type of the enumeration would check each value in Python
    sa.type_coerce(images.c.visibility, sa.String).label("visibility"),
    images.c.owner,
    images.c.disk_format,
    images.c.container_format,
    images.c.size,
    images.c.virtual_size,
    images.c.checksum,
    images.c.os_hash_algo,
    images.c.os_hash_value,
    images.c.min_disk,
    images.c.min_ram,
    images.c.protected,
    images.c.os_hidden,
    images.c.created_at,
    images.c.updated_at,
)

# Looked up by text: much cheaper than calling the enumeration.
_STATUSES = {status.value: status for status in Status}
_VISIBILITIES = {visibility.value: visibility for visibility in Visibility}

_PROPERTY, _TAG, _LOCATION, _MEMBERSHIP = 1, 2, 3, 4


class Children(msgspec.Struct):
    """What belongs to one image, gathered from rows of :func:`children`."""

    properties: dict[str, str | None] = {}
    tags: list[str] = []
    locations: list[Location] = []
    membership: str | None = None


def children(
    of: Callable[[sa.ColumnElement[Any]], sa.ColumnElement[bool]],
    project: sa.BindParameter[Any],
    hint: Hint = order,
) -> sa.CompoundSelect[*tuple[Any, ...]]:
    """Properties, tags, active locations and memberships of ``project``, as rows for :func:`gather`.

    ``of`` is called with the column ``image_id`` of each table and gives the condition: each branch has its own,
    so that each uses its index, which ``hint`` names. Kinds are numbers, because texts would mix collations on MySQL.
    """
    no_name = sa.cast(sa.null(), sa.Text).label("name")
    no_metadata = sa.cast(sa.null(), sa.Text).label("meta_data")

    def branch(table: sa.Table, kind: int, *columns: Any) -> sa.Select[*tuple[Any, ...]]:
        head = (table.c.image_id, sa.literal_column(str(kind), sa.Integer).label("kind"), table.c.id.label("row_id"))
        # said for the sake of many ids: for them databases read all of a table that they know too little about
        rows = hint(sa.select(*head, *columns), table, f"ix_{table.name}_image_id")
        return rows.where(of(table.c.image_id), is_live(table))

    properties = branch(
        image_properties, _PROPERTY, image_properties.c.name, image_properties.c.value.label("value"), no_metadata
    )
    tags = branch(image_tags, _TAG, no_name, image_tags.c.value.label("value"), no_metadata)
    locations = branch(
        image_locations, _LOCATION, no_name, image_locations.c.value.label("value"), image_locations.c.meta_data
    ).where(image_locations.c.status == sa.literal_column("'active'"))
    memberships = branch(image_members, _MEMBERSHIP, no_name, image_members.c.status.label("value"), no_metadata).where(
        equals(image_members.c.member, project)
    )
    return sa.union_all(properties, tags, locations, memberships)


def gather(rows: Iterable[Sequence[Any]], parts: dict[str, Children]) -> None:
    """Sort rows of :func:`children` into ``parts``, which has an entry for each image id.

    Rows come in the order of their ids, the order of tags and locations (database 7.3 and 7.4).
    """
    for image_id, kind, row_id, name, value, metadata in rows:
        into = parts.get(image_id) or _any_case(parts, image_id)
        if kind == _PROPERTY:
            into.properties[name] = value
        elif kind == _TAG:
            into.tags.append(value)
        elif kind == _LOCATION:
            into.locations.append(Location(url=value, metadata=read_metadata(metadata), id=row_id))
        else:
            into.membership = value


def _any_case(parts: dict[str, Children], image_id: str) -> Children:
    # MySQL lets a child row refer to its image in another case (images-api 0.4)
    return next(children for known, children in parts.items() if known.lower() == image_id.lower())


def build(row: Sequence[Any], parts: Children) -> Image:
    """An image from :data:`IMAGE_COLUMNS` (``row`` may have more) and what belongs to it."""
    return Image(
        id=row[0],
        name=row[1],
        status=_STATUSES[row[2]],
        visibility=_VISIBILITIES[row[3]],
        owner=row[4],
        disk_format=row[5],
        container_format=row[6],
        size=row[7],
        virtual_size=row[8],
        checksum=row[9],
        os_hash_algo=row[10],
        os_hash_value=row[11],
        min_disk=row[12],
        min_ram=row[13],
        protected=row[14],
        os_hidden=row[15],
        created_at=row[16],
        updated_at=row[17] or row[16],
        properties=parts.properties,
        tags=tuple(parts.tags),
        locations=tuple(parts.locations),
        membership=parts.membership,
    )


_ID = sa.bindparam("image_id", type_=sa.String())


def _of_image(image_id: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
    return image_id == _ID


_parts = children(_of_image, PROJECT).subquery("parts")
_GET_ANY = (
    order(sa.select(*IMAGE_COLUMNS, *_parts.c), images, PRIMARY)
    .select_from(images.outerjoin(_parts, sa.true()))
    .where(images.c.id == _ID)
    .order_by(_parts.c.row_id)
)
_GET_LIVE = _GET_ANY.where(is_live(images))


def sees(viewer: Viewer, visibility: Visibility, owner: str | None, membership: str | None) -> bool:
    """Whether the viewer sees a single image; ``membership`` is the status of their own, which may be any.

    A private image without an owner is for admins only, any other one without an owner for everybody (images-api
    3.11).
    """
    if viewer.is_admin or visibility is Visibility.PUBLIC or visibility is Visibility.COMMUNITY:
        return True
    if owner is not None and owner == viewer.project_id:
        return True
    return visibility is Visibility.SHARED and (owner is None or membership is not None)


def fits(image_id: str) -> bool:
    """Whether an image can have this id at all; others are not found before any query (database 15.8)."""
    return len(image_id) <= 36 and UNSTORABLE.search(image_id) is None


def require_image_id(image_id: str, *_: object, **__: object) -> None:
    """Refuse ids that no image can have.

    :raises NotFound: see :func:`fits`.
    """
    if not fits(image_id):
        raise no_such_image(image_id)


def _fetch(connection: Connection, statement: Any, image_id: str, project: str | None) -> Image | None:
    rows = connection.execute(statement, {"image_id": image_id, "project": project}).fetchall()
    if not rows:
        return None
    width = len(IMAGE_COLUMNS)
    parts = {rows[0][0]: Children()}
    gather([row[width:] for row in rows if row[width] is not None], parts)
    return build(rows[0], parts[rows[0][0]])


def get_image(connection: Connection, image_id: str, viewer: Viewer) -> Image:
    """See :meth:`glimpse.db.base.Database.get_image`; for ids that passed :func:`require_image_id`."""
    image = _fetch(connection, _GET_LIVE, image_id, viewer.project_id)
    if image is None or not sees(viewer, image.visibility, image.owner, image.membership):
        raise no_such_image(image_id)
    return image


def get_any_image(connection: Connection, image_id: str) -> Image | None:
    """See :meth:`glimpse.db.base.Database.get_any_image`."""
    return _fetch(connection, _GET_ANY, image_id, None) if fits(image_id) else None
