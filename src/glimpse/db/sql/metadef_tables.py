"""Glance's tables for metadata definitions (database 3.9). Deleted rows are removed, not marked."""

from __future__ import annotations

import sqlalchemy as sa

from glimpse.db.sql.column_types import MYSQL_OPTIONS, flag, times
from glimpse.db.sql.tables import glance_metadata

metadef_namespaces = sa.Table(
    "metadef_namespaces",
    glance_metadata,
    sa.Column("id", sa.Integer(), primary_key=True),
    sa.Column("namespace", sa.String(80), nullable=False),
    sa.Column("display_name", sa.String(80)),
    sa.Column("description", sa.Text()),
    sa.Column("visibility", sa.String(32)),
    flag("protected", nullable=True),
    sa.Column("owner", sa.String(255), nullable=False),
    *times(),
    sa.UniqueConstraint("namespace", name="uq_metadef_namespaces_namespace"),
    sa.Index("ix_metadef_namespaces_owner", "owner"),
    **MYSQL_OPTIONS,
)

metadef_resource_types = sa.Table(
    "metadef_resource_types",
    glance_metadata,
    sa.Column("id", sa.Integer(), primary_key=True),
    sa.Column("name", sa.String(80), nullable=False),
    flag("protected"),
    *times(),
    sa.UniqueConstraint("name", name="uq_metadef_resource_types_name"),
    **MYSQL_OPTIONS,
)

metadef_namespace_resource_types = sa.Table(
    "metadef_namespace_resource_types",
    glance_metadata,
    sa.Column("resource_type_id", sa.Integer(), nullable=False, autoincrement=False),
    sa.Column("namespace_id", sa.Integer(), nullable=False, autoincrement=False),
    sa.Column("properties_target", sa.String(80)),
    sa.Column("prefix", sa.String(80)),
    *times(),
    sa.PrimaryKeyConstraint("resource_type_id", "namespace_id"),
    # In this order, because MySQL numbers the names of foreign keys (database 4.1).
    sa.ForeignKeyConstraint(["namespace_id"], ["metadef_namespaces.id"]),
    sa.ForeignKeyConstraint(["resource_type_id"], ["metadef_resource_types.id"]),
    sa.Index("ix_metadef_ns_res_types_namespace_id", "namespace_id"),
    **MYSQL_OPTIONS,
)

metadef_objects = sa.Table(
    "metadef_objects",
    glance_metadata,
    sa.Column("id", sa.Integer(), primary_key=True),
    sa.Column("namespace_id", sa.Integer(), sa.ForeignKey("metadef_namespaces.id"), nullable=False),
    sa.Column("name", sa.String(80), nullable=False),
    sa.Column("description", sa.Text()),
    sa.Column("required", sa.Text()),
    sa.Column("json_schema", sa.Text(), nullable=False),
    *times(),
    sa.UniqueConstraint("namespace_id", "name", name="uq_metadef_objects_namespace_id_name"),
    sa.Index("ix_metadef_objects_name", "name"),
    **MYSQL_OPTIONS,
)

metadef_properties = sa.Table(
    "metadef_properties",
    glance_metadata,
    sa.Column("id", sa.Integer(), primary_key=True),
    sa.Column("namespace_id", sa.Integer(), sa.ForeignKey("metadef_namespaces.id"), nullable=False),
    sa.Column("name", sa.String(80), nullable=False),
    sa.Column("json_schema", sa.Text(), nullable=False),
    *times(),
    sa.UniqueConstraint("namespace_id", "name", name="uq_metadef_properties_namespace_id_name"),
    sa.Index("ix_metadef_properties_name", "name"),
    **MYSQL_OPTIONS,
)

metadef_tags = sa.Table(
    "metadef_tags",
    glance_metadata,
    sa.Column("id", sa.Integer(), primary_key=True),
    sa.Column("namespace_id", sa.Integer(), sa.ForeignKey("metadef_namespaces.id"), nullable=False),
    sa.Column("name", sa.String(80), nullable=False),
    *times(),
    sa.UniqueConstraint("namespace_id", "name", name="uq_metadef_tags_namespace_id_name"),
    sa.Index("ix_metadef_tags_name", "name"),
    **MYSQL_OPTIONS,
)
