"""Glance's tables and the service's own, as data (database 2 to 4).

Types are keys of database 2; a name that ends in ``?`` is nullable; ``=`` starts a server default.
"""

from __future__ import annotations

#: Type key → (MySQL, PostgreSQL, SQLite); S*n* and CHAR are built from their lengths.
TYPES = {
    "TXT": ("TEXT", "TEXT", "TEXT"),
    "DT": ("DATETIME", "TIMESTAMP", "DATETIME"),
    "B": ("TINYINT", "BOOLEAN", "BOOLEAN"),
    "I": ("INTEGER", "INTEGER", "INTEGER"),
    "BI": ("BIGINT", "BIGINT", "INTEGER"),
    "AI": ("INTEGER", "INTEGER", "INTEGER"),
    "ABI": ("BIGINT", "BIGINT", "INTEGER"),
    "BIGINT": ("BIGINT", "BIGINT", "BIGINT"),
    "VIS": ("ENUM", "VARCHAR", "VARCHAR(9)"),
    "DOUBLE": ("DOUBLE", "DOUBLE PRECISION", "DOUBLE"),
    "CHAR32": ("CHAR(32)", "CHAR(32)", "CHAR(32)"),
    "LTXT": ("MEDIUMTEXT", "TEXT", "TEXT"),
}

_TIMES = "created_at DT, updated_at? DT"
_SOFT = f"{_TIMES}, deleted_at? DT, deleted B"

#: Table → its columns in physical order.
COLUMNS = {
    "images": "id S36, name? S255, size? BI, status S30, created_at DT, updated_at? DT, deleted_at? DT, deleted B,"
    " disk_format? S20, container_format? S20, checksum? S32, owner? S255, min_disk I, min_ram I,"
    " protected B =false, virtual_size? BI, visibility VIS =shared, os_hidden B =false, os_hash_algo? S64,"
    " os_hash_value? S128",
    "image_properties": f"id AI, image_id S36, name S255, value? TXT, {_SOFT}",
    "image_locations": f"id AI, image_id S36, value TXT, {_SOFT}, meta_data? TXT, status S30 =active",
    "image_members": f"id AI, image_id S36, member S255, can_share B, {_SOFT}, status S20 =pending",
    "image_tags": f"id AI, image_id S36, value S255, {_SOFT}",
    "tasks": f"id S36, type S30, status S30, owner S255, expires_at? DT, {_SOFT}, image_id? S36, request_id? S64,"
    " user_id? S64",
    "task_info": "task_id S36, input? TXT, result? TXT, message? TXT",
    "node_reference": "node_reference_id ABI, node_reference_url S255",
    "cached_images": "id ABI, image_id S36, last_accessed DT, last_modified DT, size BIGINT, hits I, checksum? S32,"
    " node_reference_id BI",
    "metadef_namespaces": "id AI, namespace S80, display_name? S80, description? TXT, visibility? S32, protected? B,"
    f" owner S255, {_TIMES}",
    "metadef_resource_types": f"id AI, name S80, protected B, {_TIMES}",
    "metadef_namespace_resource_types": "resource_type_id I, namespace_id I, properties_target? S80, prefix? S80,"
    f" {_TIMES}",
    "metadef_objects": f"id AI, namespace_id I, name S80, description? TXT, required? TXT, json_schema TXT, {_TIMES}",
    "metadef_properties": f"id AI, namespace_id I, name S80, json_schema TXT, {_TIMES}",
    "metadef_tags": f"id AI, namespace_id I, name S80, {_TIMES}",
    "alembic_version": "version_num S32",
    "glimpse_version": "version_num S32",
    "glimpse_projects": "id S255",
    "glimpse_jobs": "id S36, type S30, status S20, owner? S255, user_id? S64, request_id? S64, image_id? S36,"
    " unique_key? S100, input LTXT, result? LTXT, message LTXT, steps LTXT, attempt I, generation I,"
    " claimed_by? S255, due_at? DOUBLE, cancel_requested B, bytes_done BI, bytes_total? BI, created_at DT,"
    " updated_at DT, ended_at? DT, stores? LTXT, project_id? S255, reserved_bytes? BI",
    "glimpse_unverified_locations": "location_id I, image_id S36, refusal? LTXT, created_at DT",
}

#: Primary keys that are not the first column alone.
PRIMARY_KEYS = {"metadef_namespace_resource_types": ["resource_type_id", "namespace_id"]}

#: Section 4.1: table → column → (parent, its column, position in MySQL's name).
FOREIGN_KEYS = {
    "image_properties": {"image_id": ("images", "id", 1)},
    "image_locations": {"image_id": ("images", "id", 1)},
    "image_members": {"image_id": ("images", "id", 1)},
    "image_tags": {"image_id": ("images", "id", 1)},
    "task_info": {"task_id": ("tasks", "id", 1)},
    "cached_images": {"node_reference_id": ("node_reference", "node_reference_id", 1)},
    "metadef_objects": {"namespace_id": ("metadef_namespaces", "id", 1)},
    "metadef_properties": {"namespace_id": ("metadef_namespaces", "id", 1)},
    "metadef_tags": {"namespace_id": ("metadef_namespaces", "id", 1)},
    "metadef_namespace_resource_types": {
        "namespace_id": ("metadef_namespaces", "id", 1),
        "resource_type_id": ("metadef_resource_types", "id", 2),
    },
}

#: Section 4.2.
UNIQUE = {
    "image_properties": {"ix_image_properties_image_id_name": ["image_id", "name"]},
    "image_members": {"image_members_image_id_member_deleted_at_key": ["image_id", "member", "deleted_at"]},
    "metadef_namespaces": {"uq_metadef_namespaces_namespace": ["namespace"]},
    "metadef_resource_types": {"uq_metadef_resource_types_name": ["name"]},
    "metadef_objects": {"uq_metadef_objects_namespace_id_name": ["namespace_id", "name"]},
    "metadef_properties": {"uq_metadef_properties_namespace_id_name": ["namespace_id", "name"]},
    "metadef_tags": {"uq_metadef_tags_namespace_id_name": ["namespace_id", "name"]},
    "node_reference": {"uq_node_reference_node_reference_url": ["node_reference_url"]},
    "cached_images": {"ix_cached_images_image_id_node_reference_id": ["image_id", "node_reference_id"]},
    "glimpse_jobs": {"uq_glimpse_jobs_unique_key": ["unique_key"]},
}

#: Section 4.3.
INDEXES = {
    "images": {
        "checksum_image_idx": ["checksum"],
        "ix_images_deleted": ["deleted"],
        "owner_image_idx": ["owner"],
        "created_at_image_idx": ["created_at"],
        "updated_at_image_idx": ["updated_at"],
        "visibility_image_idx": ["visibility"],
        "os_hidden_image_idx": ["os_hidden"],
        "os_hash_value_image_idx": ["os_hash_value"],
    },
    "image_properties": {
        "ix_image_properties_deleted": ["deleted"],
        "ix_image_properties_image_id": ["image_id"],
    },
    "image_locations": {"ix_image_locations_deleted": ["deleted"], "ix_image_locations_image_id": ["image_id"]},
    "image_members": {
        "ix_image_members_deleted": ["deleted"],
        "ix_image_members_image_id": ["image_id"],
        "ix_image_members_image_id_member": ["image_id", "member"],
    },
    "image_tags": {
        "ix_image_tags_image_id": ["image_id"],
        "ix_image_tags_image_id_tag_value": ["image_id", "value"],
    },
    "tasks": {
        f"ix_tasks_{column}": [column] for column in ("type", "status", "owner", "deleted", "updated_at", "image_id")
    },
    "metadef_namespaces": {"ix_metadef_namespaces_owner": ["owner"]},
    "metadef_objects": {"ix_metadef_objects_name": ["name"]},
    "metadef_properties": {"ix_metadef_properties_name": ["name"]},
    "metadef_tags": {"ix_metadef_tags_name": ["name"]},
    "metadef_namespace_resource_types": {"ix_metadef_ns_res_types_namespace_id": ["namespace_id"]},
    "glimpse_jobs": {
        f"ix_glimpse_jobs_{column}": [column]
        for column in ("due_at", "image_id", "created_at", "ended_at", "project_id")
    },
    "glimpse_unverified_locations": {"ix_glimpse_unverified_locations_image_id": ["image_id"]},
}

#: What the revisions add for lists of images (database 10.3); :func:`list_indexes` has them by kind of database.
_ASKED = ("visibility", "os_hidden", "status")
_LIST_INDEXES = {
    "images": {
        "glimpse_images_owner_created_at": [
            *("owner", "created_at", "id", "visibility", "os_hidden", "status", "disk_format", "container_format"),
        ],
        "glimpse_images_owner_updated_at": [
            *("owner", "updated_at", "created_at", "id", "visibility", "os_hidden", "status"),
        ],
        **{
            f"glimpse_images_owner_{key}": ["owner", key, "created_at", "id", "visibility", "os_hidden"]
            for key in ("name", "size")
        },
        "glimpse_images_created_at": [
            *("created_at", "id", "visibility", "os_hidden", "status", "owner", "disk_format", "container_format"),
        ],
        "glimpse_images_updated_at": ["updated_at", "created_at", "id", "visibility", "os_hidden", "status", "owner"],
        **{
            f"glimpse_images_{key}": [key, "created_at", "id", "visibility", "os_hidden", "owner"]
            for key in ("name", "size")
        },
        "glimpse_images_visibility": [
            *("visibility", "created_at", "id", "os_hidden", "status", "name", "size", "updated_at"),
            *("disk_format", "container_format"),
        ],
    },
    "image_members": {"glimpse_image_members_member": ["member", "status", "image_id"]},
    "image_tags": {"glimpse_image_tags_value": ["value", "image_id"]},
    "image_properties": {"glimpse_image_properties_value": ["name", "value", "image_id"]},
}


def list_indexes(kind: str, table: str) -> dict[str, list[str]]:
    """PostgreSQL and SQLite leave deleted rows out, MySQL keeps them apart behind what is compared with one value."""
    found = _LIST_INDEXES.get(table, {})
    if kind == "mysql":
        # of administrators' lists these have to have all that is asked (revision glimpse_008)
        whole = {f"glimpse_images_{key}": [key, "created_at", "id", *_ASKED, "owner"] for key in ("name", "size")}
        return {name: _with_deleted(whole.get(name, columns)) for name, columns in found.items()}
    if kind == "sqlite":
        return {name: [*columns, "deleted"] for name, columns in found.items()}
    return found


def _with_deleted(columns: list[str]) -> list[str]:
    compared = columns[0] in {"owner", "visibility", "member"} or columns[-1] == "image_id"
    return [columns[0], "deleted", *columns[1:]] if compared else ["deleted", *columns]


#: Indexes that MySQL makes for a foreign key.
MYSQL_INDEXES = {"cached_images": {"node_reference_id": ["node_reference_id"]}}

#: Section 4.4: booleans without a CHECK, on SQLite and on MySQL.
UNCHECKED = {
    "sqlite": {
        ("images", "deleted"),
        ("images", "protected"),
        ("images", "os_hidden"),
        ("glimpse_jobs", "cancel_requested"),
    },
    "mysql": {("images", "os_hidden"), ("glimpse_jobs", "cancel_requested")},
}
