"""Rows of ``image_tags``: at most one live row for an image and a value, which no constraint protects.

The row of the image is locked by the caller (it was updated in the same transaction), so that two requests do not
both add a tag.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from glimpse.db.sql.exact_comparison import equals, is_none_of
from glimpse.db.sql.row_state import is_live
from glimpse.db.sql.tables import image_tags
from glimpse.db.sql.texts import storable
from glimpse.errors import NotFound

_COLUMNS = image_tags.c
_IMAGE_ID = sa.bindparam("of_image", type_=sa.String())
_VALUE = sa.bindparam("tag", type_=sa.String())
_MOMENT = sa.bindparam("moment", type_=sa.DateTime())
_OF_IMAGE = sa.and_(_COLUMNS.image_id == _IMAGE_ID, is_live(image_tags))
_TAG = sa.and_(_OF_IMAGE, equals(_COLUMNS.value, _VALUE))

_live = image_tags.alias("live")
_INSERT_MISSING = sa.insert(image_tags).from_select(
    ["image_id", "value", "created_at", "updated_at", "deleted"],
    sa.select(_IMAGE_ID, _VALUE, _MOMENT, _MOMENT, sa.false()).where(
        ~sa.exists().where(_live.c.image_id == _IMAGE_ID, equals(_live.c.value, _VALUE), is_live(_live))
    ),
)
_MARK_DELETED: dict[str, Any] = {"deleted": True, "deleted_at": _MOMENT, "updated_at": _MOMENT}
_DROP = sa.update(image_tags).where(_TAG).values(_MARK_DELETED)
_DROP_ALL = sa.update(image_tags).where(_OF_IMAGE).values(_MARK_DELETED)
_DROP_OTHERS = _DROP_ALL.where(is_none_of(_COLUMNS.value, sa.bindparam("kept", expanding=True)))


def add_tags(connection: Connection, image_id: str, tags: Collection[str], moment: datetime) -> None:
    """Insert the tags that are not there yet, in the order given, in one statement."""
    connection.execute(_INSERT_MISSING, [{"of_image": image_id, "tag": tag, "moment": moment} for tag in tags])


def drop_tag(connection: Connection, image_id: str, tag: str, moment: datetime) -> None:
    """Soft-delete one tag.

    :raises NotFound: it is not there.
    """
    parameters = {"of_image": image_id, "tag": tag, "moment": moment}
    if not storable(tag) or not connection.execute(_DROP, parameters).rowcount:
        raise NotFound("The image does not have this tag.")


def replace_tags(connection: Connection, image_id: str, tags: Collection[str], moment: datetime) -> None:
    """Make ``tags`` the whole set: rows that stay are not touched."""
    parameters = {"of_image": image_id, "moment": moment}
    if not tags:
        drop_all_tags(connection, image_id, moment)
        return
    connection.execute(_DROP_OTHERS, {**parameters, "kept": list(tags)})
    add_tags(connection, image_id, tags, moment)


def drop_all_tags(connection: Connection, image_id: str, moment: datetime) -> None:
    """Soft-delete all tags of an image."""
    connection.execute(_DROP_ALL, {"of_image": image_id, "moment": moment})
