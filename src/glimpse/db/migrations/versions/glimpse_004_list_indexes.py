"""Indexes on Glance's tables for lists of images (docs/operator/database.md, "Lists and indexes")."""

from __future__ import annotations

from alembic import op

from glimpse.db.migrations.live_rows import LIVE, columns_of_live_rows
from glimpse.db.migrations.online import create_index_online, drop_index_online

revision = "glimpse_004"
down_revision = "glimpse_003"

# by these a list of the images of one project is ordered, or filtered and ordered by its time
_OF_OWNER = ("created_at", "updated_at", "name", "size", "status", "disk_format", "container_format")
# what every list asks for: with them in the index the rows that are not listed need not be read
_ASKED = ("visibility", "os_hidden", "status")
# longer values of a property are left out; PostgreSQL has no room for them, and MySQL knows only their beginning
_VALUE_CHARACTERS = 255
_MYSQL_VALUE_CHARACTERS = 64

# name → table, columns
_INDEXES: dict[str, tuple[str, tuple[str, ...]]] = {
    **{f"glimpse_images_owner_{key}": ("images", ("owner", key, "created_at", "id", *_ASKED)) for key in _OF_OWNER},
    "glimpse_images_visibility": (
        "images",
        (
            *("visibility", "created_at", "id", "os_hidden", "status", "name", "size", "updated_at"),
            *("disk_format", "container_format"),
        ),
    ),
    "glimpse_images_name": ("images", ("name", "created_at", "id", *_ASKED, "owner")),
    "glimpse_images_updated_at": ("images", ("updated_at", "created_at", "id", *_ASKED, "owner")),
    "glimpse_image_members_member": ("image_members", ("member", "status", "image_id")),
    "glimpse_image_tags_value": ("image_tags", ("value", "image_id")),
    "glimpse_image_properties_value": ("image_properties", ("name", "value", "image_id")),
}


def upgrade() -> None:
    """Create them, while the tables are in use."""
    connection = op.get_bind()
    dialect = connection.dialect.name
    for name, (table, columns) in _INDEXES.items():
        where = LIVE.get(dialect)
        if where and table == "image_properties":
            where = f"{where} AND length(value) <= {_VALUE_CHARACTERS}"
        create_index_online(
            connection,
            name,
            table,
            columns_of_live_rows(dialect, columns),
            where=where,
            mysql_length={"value": _MYSQL_VALUE_CHARACTERS} if table == "image_properties" else None,
        )


def downgrade() -> None:
    """Drop them."""
    for name, (table, _) in _INDEXES.items():
        drop_index_online(op.get_bind(), name, table)
