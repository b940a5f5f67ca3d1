"""Indexes for the rest of the sort keys: a project's images by id, and all images by the keys by which administrators
list them (docs/operator/database.md, "Lists and indexes")."""

from __future__ import annotations

from alembic import op

from glimpse.db.migrations.live_rows import LIVE, columns_of_live_rows
from glimpse.db.migrations.online import create_index_online, drop_index_online

revision = "glimpse_005"
down_revision = "glimpse_004"

_ASKED = ("visibility", "os_hidden", "status")

# name → columns
_INDEXES: dict[str, tuple[str, ...]] = {
    "glimpse_images_created_at": ("created_at", "id", *_ASKED, "owner"),
    "glimpse_images_owner_id": ("owner", "id", "created_at", *_ASKED),
    **{
        f"glimpse_images_{key}": (key, "created_at", "id", *_ASKED, "owner")
        for key in ("size", "status", "disk_format", "container_format")
    },
}


def upgrade() -> None:
    """Create them, while the table is in use."""
    connection = op.get_bind()
    dialect = connection.dialect.name
    for name, columns in _INDEXES.items():
        create_index_online(connection, name, "images", columns_of_live_rows(dialect, columns), where=LIVE.get(dialect))


def downgrade() -> None:
    """Drop them."""
    for name in _INDEXES:
        drop_index_online(op.get_bind(), name, "images")
