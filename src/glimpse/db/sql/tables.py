"""Glance's tables for images, tasks and the cache, name for name (database 3 and 4).

Column order is the physical order. No column has a client-side default: the writer names every value.
"""

from __future__ import annotations

import sqlalchemy as sa

from glimpse.db.sql.column_types import MYSQL_OPTIONS, BigInt, flag, soft_delete

#: All sixteen tables of Glance; ``metadef_tables`` adds its six.
glance_metadata = sa.MetaData()

alembic_version = sa.Table(
    "alembic_version",
    glance_metadata,
    sa.Column("version_num", sa.String(32), nullable=False),
    sa.PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)

images = sa.Table(
    "images",
    glance_metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("name", sa.String(255)),
    sa.Column("size", BigInt),
    sa.Column("status", sa.String(30), nullable=False),
    sa.Column("created_at", sa.DateTime(), nullable=False),
    sa.Column("updated_at", sa.DateTime()),
    sa.Column("deleted_at", sa.DateTime()),
    sa.Column("deleted", sa.Boolean(), nullable=False),
    sa.Column("disk_format", sa.String(20)),
    sa.Column("container_format", sa.String(20)),
    sa.Column("checksum", sa.String(32)),
    sa.Column("owner", sa.String(255)),
    sa.Column("min_disk", sa.Integer(), nullable=False),
    sa.Column("min_ram", sa.Integer(), nullable=False),
    sa.Column("protected", sa.Boolean(), nullable=False, server_default=sa.false()),
    sa.Column("virtual_size", BigInt),
    sa.Column(
        "visibility",
        sa.Enum("private", "public", "shared", "community", name="image_visibility"),
        nullable=False,
        server_default="shared",
    ),
    sa.Column("os_hidden", sa.Boolean(), nullable=False, server_default=sa.false()),
    sa.Column("os_hash_algo", sa.String(64)),
    sa.Column("os_hash_value", sa.String(128)),
    # On SQLite this table has no CHECK at all, and ``os_hidden`` has none anywhere (database 4.4).
    sa.CheckConstraint("deleted IN (0, 1)").ddl_if(dialect="mysql"),
    sa.CheckConstraint("protected IN (0, 1)").ddl_if(dialect="mysql"),
    sa.Index("checksum_image_idx", "checksum"),
    sa.Index("ix_images_deleted", "deleted"),
    sa.Index("owner_image_idx", "owner"),
    sa.Index("created_at_image_idx", "created_at"),
    sa.Index("updated_at_image_idx", "updated_at"),
    sa.Index("visibility_image_idx", "visibility"),
    sa.Index("os_hidden_image_idx", "os_hidden"),
    sa.Index("os_hash_value_image_idx", "os_hash_value"),
    **MYSQL_OPTIONS,
)

image_properties = sa.Table(
    "image_properties",
    glance_metadata,
    sa.Column("id", sa.Integer(), primary_key=True),
    sa.Column("image_id", sa.String(36), sa.ForeignKey("images.id"), nullable=False),
    sa.Column("name", sa.String(255), nullable=False),
    sa.Column("value", sa.Text()),
    *soft_delete(),
    sa.UniqueConstraint("image_id", "name", name="ix_image_properties_image_id_name"),
    sa.Index("ix_image_properties_deleted", "deleted"),
    sa.Index("ix_image_properties_image_id", "image_id"),
    **MYSQL_OPTIONS,
)

image_locations = sa.Table(
    "image_locations",
    glance_metadata,
    sa.Column("id", sa.Integer(), primary_key=True),
    sa.Column("image_id", sa.String(36), sa.ForeignKey("images.id"), nullable=False),
    sa.Column("value", sa.Text(), nullable=False),
    *soft_delete(),
    sa.Column("meta_data", sa.Text()),
    sa.Column("status", sa.String(30), nullable=False, server_default="active"),
    sa.Index("ix_image_locations_deleted", "deleted"),
    sa.Index("ix_image_locations_image_id", "image_id"),
    **MYSQL_OPTIONS,
)

image_members = sa.Table(
    "image_members",
    glance_metadata,
    sa.Column("id", sa.Integer(), primary_key=True),
    sa.Column("image_id", sa.String(36), sa.ForeignKey("images.id"), nullable=False),
    sa.Column("member", sa.String(255), nullable=False),
    flag("can_share"),
    *soft_delete(),
    sa.Column("status", sa.String(20), nullable=False, server_default="pending"),
    sa.UniqueConstraint("image_id", "member", "deleted_at", name="image_members_image_id_member_deleted_at_key"),
    sa.Index("ix_image_members_deleted", "deleted"),
    sa.Index("ix_image_members_image_id", "image_id"),
    sa.Index("ix_image_members_image_id_member", "image_id", "member"),
    **MYSQL_OPTIONS,
)

image_tags = sa.Table(
    "image_tags",
    glance_metadata,
    sa.Column("id", sa.Integer(), primary_key=True),
    sa.Column("image_id", sa.String(36), sa.ForeignKey("images.id"), nullable=False),
    sa.Column("value", sa.String(255), nullable=False),
    *soft_delete(),
    sa.Index("ix_image_tags_image_id", "image_id"),
    sa.Index("ix_image_tags_image_id_tag_value", "image_id", "value"),
    **MYSQL_OPTIONS,
)

tasks = sa.Table(
    "tasks",
    glance_metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("type", sa.String(30), nullable=False),
    sa.Column("status", sa.String(30), nullable=False),
    sa.Column("owner", sa.String(255), nullable=False),
    sa.Column("expires_at", sa.DateTime()),
    *soft_delete(),
    sa.Column("image_id", sa.String(36)),
    sa.Column("request_id", sa.String(64)),
    sa.Column("user_id", sa.String(64)),
    sa.Index("ix_tasks_type", "type"),
    sa.Index("ix_tasks_status", "status"),
    sa.Index("ix_tasks_owner", "owner"),
    sa.Index("ix_tasks_deleted", "deleted"),
    sa.Index("ix_tasks_updated_at", "updated_at"),
    sa.Index("ix_tasks_image_id", "image_id"),
    **MYSQL_OPTIONS,
)

task_info = sa.Table(
    "task_info",
    glance_metadata,
    sa.Column("task_id", sa.String(36), sa.ForeignKey("tasks.id"), primary_key=True),
    sa.Column("input", sa.Text()),
    sa.Column("result", sa.Text()),
    sa.Column("message", sa.Text()),
    **MYSQL_OPTIONS,
)

node_reference = sa.Table(
    "node_reference",
    glance_metadata,
    sa.Column("node_reference_id", BigInt, primary_key=True),
    sa.Column("node_reference_url", sa.String(255), nullable=False),
    sa.UniqueConstraint("node_reference_url", name="uq_node_reference_node_reference_url"),
    **MYSQL_OPTIONS,
)

cached_images = sa.Table(
    "cached_images",
    glance_metadata,
    sa.Column("id", BigInt, primary_key=True),
    sa.Column("image_id", sa.String(36), nullable=False),
    sa.Column("last_accessed", sa.DateTime(), nullable=False),
    sa.Column("last_modified", sa.DateTime(), nullable=False),
    sa.Column("size", sa.BigInteger(), nullable=False),
    sa.Column("hits", sa.Integer(), nullable=False),
    sa.Column("checksum", sa.String(32)),
    sa.Column("node_reference_id", BigInt, sa.ForeignKey("node_reference.node_reference_id"), nullable=False),
    sa.UniqueConstraint("image_id", "node_reference_id", name="ix_cached_images_image_id_node_reference_id"),
    **MYSQL_OPTIONS,
)
