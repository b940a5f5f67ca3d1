"""Rows of ``image_properties``: one for each name that an image ever had (database 7.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.dialects import mysql, postgresql, sqlite

from glimpse.db.sql.exact_comparison import equals, is_one_of
from glimpse.db.sql.row_state import is_live, is_marked
from glimpse.db.sql.tables import image_properties
from glimpse.db.sql.texts import storable
from glimpse.domain.properties import IMPORT_LOCK
from glimpse.errors import Conflict

_COLUMNS = image_properties.c
_OF_IMAGE = sa.and_(_COLUMNS.image_id == sa.bindparam("of_image"), is_live(image_properties))
_NAMES: sa.BindParameter[Any] = sa.bindparam("names", expanding=True)
_NAMED = sa.and_(_OF_IMAGE, is_one_of(_COLUMNS.name, _NAMES))

_INSERT = sa.insert(image_properties)
_MARK_DELETED: dict[str, Any] = {
    "deleted": True,
    "deleted_at": sa.bindparam("moment"),
    "updated_at": sa.bindparam("moment"),
}
_DROP = sa.update(image_properties).where(_NAMED).values(_MARK_DELETED)
_DROP_ALL = sa.update(image_properties).where(_OF_IMAGE).values(_MARK_DELETED)
# the only property whose row is removed (database 6)
_REMOVE_IMPORT_LOCK = sa.delete(image_properties).where(_OF_IMAGE, equals(_COLUMNS.name, IMPORT_LOCK))
# by the collation, as the unique key of the table
_SPELLINGS = sa.select(_COLUMNS.name).where(_OF_IMAGE, _COLUMNS.name.in_(_NAMES))


def _upsert_on_conflict(insert: Any) -> Any:
    new = insert.excluded
    return insert.on_conflict_do_update(
        index_elements=["image_id", "name"],
        set_={"value": new.value, "updated_at": new.updated_at, "deleted": False, "deleted_at": None},
        # a row whose value stays is not touched, and keeps its updated_at
        where=sa.or_(_COLUMNS.value.is_distinct_from(new.value), is_marked(image_properties)),
    )


def _upsert_on_duplicate_key() -> Any:
    insert = mysql.insert(image_properties)
    new = insert.inserted
    same = sa.and_(
        sa.type_coerce(sa.func.binary(_COLUMNS.value), sa.Text).op("<=>")(sa.func.binary(new.value)),
        is_live(image_properties),
    )
    # In this order: each assignment sees the ones before it. A dead row takes the new spelling of its name.
    return insert.on_duplicate_key_update(
        [
            ("updated_at", sa.case((same, _COLUMNS.updated_at), else_=new.updated_at)),
            ("name", sa.case((is_marked(image_properties), new.name), else_=_COLUMNS.name)),
            ("value", new.value),
            ("deleted", sa.false()),
            ("deleted_at", sa.null()),
        ]
    )


_UPSERTS: dict[str, Any] = {
    "sqlite": _upsert_on_conflict(sqlite.insert(image_properties)),
    "postgresql": _upsert_on_conflict(postgresql.insert(image_properties)),
    "mysql": _upsert_on_duplicate_key(),
}


def _rows(image_id: str, properties: Mapping[str, str | None], moment: datetime) -> list[dict[str, Any]]:
    return [
        {
            "image_id": image_id,
            "name": name,
            "value": value,
            "created_at": moment,
            "updated_at": moment,
            "deleted_at": None,
            "deleted": False,
        }
        for name, value in properties.items()
    ]


def insert_properties(
    connection: Connection, image_id: str, properties: Mapping[str, str | None], moment: datetime
) -> None:
    """Insert the properties of a new image in one statement."""
    connection.execute(_INSERT, _rows(image_id, properties, moment))


def set_properties(
    connection: Connection, image_id: str, properties: Mapping[str, str | None], moment: datetime
) -> None:
    """Insert, change and revive properties in one statement; revived rows lose their ``deleted_at``.

    :raises Conflict: on MySQL, a name differs from another one of the image only in case, accents or trailing
        blanks, which are the same to its unique key (database 15.1).
    """
    connection.execute(_UPSERTS[connection.dialect.name], _rows(image_id, properties, moment))
    if connection.dialect.name == "mysql":
        names = list(properties)
        spelled = connection.execute(_SPELLINGS, {"of_image": image_id, "names": names}).scalars().all()
        if set(spelled) != set(names):
            raise Conflict("The names of two properties differ only in case, accents or trailing blanks.")


def drop_properties(connection: Connection, image_id: str, names: Sequence[str], moment: datetime) -> None:
    """Soft-delete live properties; the lock of an import is removed.

    :raises Conflict: one of them is not there any more.
    """
    dropped = set(names)
    marked = set(filter(storable, dropped)) - {IMPORT_LOCK}
    found = 0
    if marked:
        parameters = {"of_image": image_id, "names": list(marked), "moment": moment}
        found = connection.execute(_DROP, parameters).rowcount
    if IMPORT_LOCK in dropped:
        found += connection.execute(_REMOVE_IMPORT_LOCK, {"of_image": image_id}).rowcount
    if found != len(dropped):
        raise Conflict("A property was removed meanwhile.")


def drop_all_properties(connection: Connection, image_id: str, moment: datetime) -> None:
    """Soft-delete the properties of an image that is deleted."""
    connection.execute(_DROP_ALL, {"of_image": image_id, "moment": moment})
