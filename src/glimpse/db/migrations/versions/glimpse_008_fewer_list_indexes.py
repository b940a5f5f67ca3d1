"""Fewer and smaller indexes on ``images``: those that cost writes more than they gain lists are dropped, and the others
keep only the columns that they need (docs/adr/0010)."""

from __future__ import annotations

from collections.abc import Mapping

import sqlalchemy as sa
from alembic import op

from glimpse.db.migrations.live_rows import LIVE, columns_of_live_rows
from glimpse.db.migrations.online import create_index_online, drop_index_online, replace_index_online

revision = "glimpse_008"
down_revision = "glimpse_007"

# name → its columns, and how many of these are compared with one value
_Definitions = Mapping[str, tuple[tuple[str, ...], int]]

_ASKED = ("visibility", "os_hidden", "status")
# every change of status would change the index
_ASKED_WITHOUT_STATUS = ("visibility", "os_hidden")
# lists in the order of these, or with one value of them, are found in the indexes by time
_RARE_KEYS = ("disk_format", "container_format")

_DROPPED: _Definitions = {
    "glimpse_images_owner_id": (("owner", "id", "created_at", *_ASKED), 1),
    **{
        f"glimpse_images_owner_{key}": (("owner", key, "created_at", "id", *_ASKED), 1)
        for key in ("status", "disk_format", "container_format")
    },
    **{
        f"glimpse_images_{key}": ((key, "created_at", "id", *_ASKED, "owner"), 0)
        for key in ("status", "disk_format", "container_format")
    },
}
_OLD: _Definitions = {
    "glimpse_images_owner_created_at": (("owner", "created_at", "id", *_ASKED), 1),
    "glimpse_images_created_at": (("created_at", "id", *_ASKED, "owner"), 0),
    **{f"glimpse_images_owner_{key}": (("owner", key, "created_at", "id", *_ASKED), 1) for key in ("name", "size")},
    **{f"glimpse_images_{key}": ((key, "created_at", "id", *_ASKED, "owner"), 0) for key in ("name", "size")},
}
_NEW: _Definitions = {
    "glimpse_images_owner_created_at": (("owner", "created_at", "id", *_ASKED, *_RARE_KEYS), 1),
    "glimpse_images_created_at": (("created_at", "id", *_ASKED, "owner", *_RARE_KEYS), 0),
    **{
        f"glimpse_images_owner_{key}": (("owner", key, "created_at", "id", *_ASKED_WITHOUT_STATUS), 1)
        for key in ("name", "size")
    },
    **{
        f"glimpse_images_{key}": ((key, "created_at", "id", *_ASKED_WITHOUT_STATUS, "owner"), 0)
        for key in ("name", "size")
    },
}

# MySQL and MariaDB pass all images before the marker of an administrator's list unless the index has all that is asked
_AS_BEFORE_ON_MYSQL = ("glimpse_images_name", "glimpse_images_size")

_VISIBILITY = "glimpse_images_visibility"
_OF_VISIBILITY = (
    *("visibility", "created_at", "id", "os_hidden", "status", "name", "size", "updated_at"),
    *("disk_format", "container_format"),
)
# private and shared images, nearly all, are listed by their owner; MySQL and MariaDB have no partial indexes
_OF_ALL_PROJECTS = "(visibility = 'public' OR visibility = 'community')"


def upgrade() -> None:
    """Drop some, and give others their columns, while the table is in use."""
    for name in _DROPPED:
        drop_index_online(op.get_bind(), name, "images")
    _replace(_NEW)
    _replace_by_visibility(_OF_ALL_PROJECTS)


def downgrade() -> None:
    """Put them back."""
    _replace_by_visibility(None)
    _replace(_OLD)
    connection = op.get_bind()
    dialect = connection.dialect.name
    for name, (columns, equal) in _DROPPED.items():
        found = columns_of_live_rows(dialect, columns, equal)
        create_index_online(connection, name, "images", found, where=LIVE.get(dialect))


def _replace(wanted: _Definitions) -> None:
    connection = op.get_bind()
    dialect = connection.dialect.name
    for name, (columns, equal) in wanted.items():
        if dialect == "mysql" and name in _AS_BEFORE_ON_MYSQL:
            continue
        found = columns_of_live_rows(dialect, columns, equal)
        replace_index_online(connection, name, "images", found, where=LIVE.get(dialect))


def _replace_by_visibility(condition: str | None) -> None:
    connection: sa.Connection = op.get_bind()
    live = LIVE.get(connection.dialect.name)
    if live is None:
        return
    columns = columns_of_live_rows(connection.dialect.name, _OF_VISIBILITY)
    where = f"{live} AND {condition}" if condition else live
    replace_index_online(connection, _VISIBILITY, "images", columns, where=where)
