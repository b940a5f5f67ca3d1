"""Indexes for the rest of the sort keys: a project's images by id, and all images by the keys by which administrators
list them (docs/operator/database.md, "Lists and indexes")."""

from __future__ import annotations

from alembic import op

from glimpse.db.migrations.live_rows import LIVE, columns_of_live_rows
from glimpse.db.migrations.online import create_index_online, drop_index_online

revision = "glimpse_005"
down_revision = "glimpse_004"

_ASKED = ("visibility", "os_hidden", "status")

_KEYS = ("created_at", "size", "status", "disk_format", "container_format")
# Revision glimpse_004 has these. On MySQL it put the mark of deleted rows behind the key, so that a list that is
# followed from large to small had to pass the deleted images of each value first.
_REORDERED = ("name", "updated_at")


def _of_key(key: str) -> tuple[str, ...]:
    return (key, "created_at", "id", *_ASKED, "owner")


def upgrade() -> None:
    """Create them, while the table is in use."""
    connection = op.get_bind()
    dialect = connection.dialect.name
    if dialect == "mysql":
        for key in _REORDERED:
            drop_index_online(connection, f"glimpse_images_{key}", "images")
    keys = (*_REORDERED, *_KEYS) if dialect == "mysql" else _KEYS
    wanted = {f"glimpse_images_{key}": columns_of_live_rows(dialect, _of_key(key), equal=0) for key in keys}
    by_id = ("owner", "id", "created_at", *_ASKED)
    for name, columns in {**wanted, "glimpse_images_owner_id": columns_of_live_rows(dialect, by_id)}.items():
        create_index_online(connection, name, "images", columns, where=LIVE.get(dialect))


def downgrade() -> None:
    """Drop them, and put those of the revision before back."""
    connection = op.get_bind()
    dialect = connection.dialect.name
    for name in (*(f"glimpse_images_{key}" for key in _KEYS), "glimpse_images_owner_id"):
        drop_index_online(connection, name, "images")
    if dialect == "mysql":
        for key in _REORDERED:
            name = f"glimpse_images_{key}"
            drop_index_online(connection, name, "images")
            create_index_online(connection, name, "images", columns_of_live_rows(dialect, _of_key(key)), where=None)
