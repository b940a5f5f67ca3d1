"""Every policy rule with its default, as data (images-api 8.2; imports-and-stores 11; metadefs 4.2).

Operators write policy files for these names and checks; changing one changes who may do what.
"""

from __future__ import annotations

import msgspec


class Deprecated(msgspec.Struct, frozen=True):
    """The former version of a rule: its check, the release that changed it, and its former name if that changed too.

    With ``enforce_new_defaults`` off, the old check applies in addition to the new one. An operator's rule under the
    old name still applies to the new name.
    """

    check: str
    since: str
    name: str | None = None


class RuleDefault(msgspec.Struct, frozen=True):
    """One rule; ``action`` completes "You are not allowed to …"."""

    name: str
    check: str
    action: str
    deprecated: Deprecated | None = None


ADMIN = "rule:context_is_admin"
_SEEN = (
    "project_id:%(project_id)s or project_id:%(member_id)s "
    "or 'community':%(visibility)s or 'public':%(visibility)s or 'shared':%(visibility)s"
)
_MEMBER = f"{ADMIN} or (role:member and project_id:%(project_id)s)"
_READER = f"{ADMIN} or (role:reader and project_id:%(project_id)s)"
_SHOWN = f"{ADMIN} or (role:reader and ({_SEEN}))"
_FETCHED = f"{ADMIN} or (role:member and ({_SEEN}))"
_SHARED = f"{ADMIN} or role:reader and (project_id:%(project_id)s or project_id:%(member_id)s)"
_NAMESPACE = f"{ADMIN} or (role:reader and (project_id:%(project_id)s or 'public':%(visibility)s))"
_METADEF_ADMIN = "rule:metadef_admin"

_WALLABY = Deprecated("rule:default", "Wallaby")
_XENA_CACHE = Deprecated("rule:manage_image_cache", "Xena")
_XENA_METADEF = Deprecated("rule:metadef_default", "Xena")

_BUILDING_BLOCKS = (
    RuleDefault("default", "", "use an operation that has no rule of its own", Deprecated(ADMIN, "Ussuri")),
    RuleDefault("context_is_admin", "role:admin", "act as an administrator"),
    RuleDefault("service_api", "role:service or role:admin", "call what is meant for other services"),
    RuleDefault("metadef_default", "", "use metadata definitions"),
    RuleDefault("metadef_admin", ADMIN, "administer metadata definitions"),
)

_IMAGES = (
    RuleDefault(
        "add_image",
        f"{ADMIN} or (role:member and project_id:%(project_id)s and project_id:%(owner)s)",
        "create this image",
        _WALLABY,
    ),
    RuleDefault("get_image", _SHOWN, "see this image", _WALLABY),
    RuleDefault("get_images", _READER, "list images", _WALLABY),
    RuleDefault("modify_image", _MEMBER, "change this image", _WALLABY),
    RuleDefault("delete_image", _MEMBER, "delete this image", _WALLABY),
    RuleDefault("publicize_image", ADMIN, "make an image public"),
    RuleDefault("communitize_image", _MEMBER, "make this image a community image", _WALLABY),
    RuleDefault("upload_image", _MEMBER, "upload data of this image", _WALLABY),
    RuleDefault("download_image", _FETCHED, "download this image", _WALLABY),
    RuleDefault("download_from_store", _FETCHED, "choose the store that this image is downloaded from"),
    # not Glance's: a client that presents the URL is not asked for its rights again
    RuleDefault("get_image_presigned_url", _FETCHED, "get a URL of the store for this image"),
    RuleDefault("deactivate", _MEMBER, "deactivate this image", _WALLABY),
    RuleDefault("reactivate", _MEMBER, "reactivate this image", _WALLABY),
    RuleDefault("copy_image", ADMIN, "copy this image to other stores"),
)

_LOCATIONS = (
    RuleDefault("get_image_location", _READER, "read the locations of this image", _WALLABY),
    RuleDefault("set_image_location", _MEMBER, "set the locations of this image", _WALLABY),
    RuleDefault("delete_image_location", ADMIN, "remove a location of this image", _WALLABY),
    RuleDefault(
        "add_image_location",
        "rule:service_api or (role:member and project_id:%(project_id)s and project_id:%(owner)s)",
        "add a location to this image",
    ),
    RuleDefault("fetch_image_location", "rule:service_api", "read the locations of this image as a service"),
)

_MEMBERS = (
    RuleDefault("add_member", _MEMBER, "share this image with a project", _WALLABY),
    RuleDefault("delete_member", _MEMBER, "stop sharing this image with a project", _WALLABY),
    RuleDefault("get_member", _SHARED, "see this membership", _WALLABY),
    RuleDefault("get_members", _SHARED, "list whom this image is shared with", _WALLABY),
    RuleDefault(
        "modify_member",
        f"{ADMIN} or (role:member and project_id:%(member_id)s)",
        "accept or reject this shared image",
        _WALLABY,
    ),
)

_CACHE = (
    RuleDefault("manage_image_cache", ADMIN, "manage the image cache"),
    RuleDefault("cache_image", ADMIN, "put an image into the cache", _XENA_CACHE),
    RuleDefault("cache_list", ADMIN, "list the image cache", _XENA_CACHE),
    RuleDefault("cache_delete", ADMIN, "remove images from the cache", _XENA_CACHE),
    RuleDefault("cache_clean", ADMIN, "clean the image cache"),
    RuleDefault("cache_prune", ADMIN, "prune the image cache"),
    RuleDefault("list_cached_nodes", ADMIN, "list the nodes that cache an image"),
)

_STORES_AND_TASKS = (
    RuleDefault(
        "stores_info_detail", f"{ADMIN} or rule:service_api", "see details of stores", Deprecated(ADMIN, "2025.1")
    ),
    RuleDefault("tasks_api_access", ADMIN, "use the tasks API"),
    RuleDefault("get_task", "rule:default", "see a task"),
    RuleDefault("get_tasks", "rule:default", "list tasks"),
    RuleDefault("add_task", "rule:default", "create a task"),
    RuleDefault("modify_task", "rule:default", "change a task"),
)

_METADEFS = (
    RuleDefault("get_metadef_namespaces", _READER, "list metadata namespaces", _XENA_METADEF),
    RuleDefault("get_metadef_namespace", _NAMESPACE, "see this metadata namespace", _XENA_METADEF),
    RuleDefault("add_metadef_namespace", _METADEF_ADMIN, "create a metadata namespace"),
    RuleDefault("modify_metadef_namespace", _METADEF_ADMIN, "change this metadata namespace"),
    RuleDefault("delete_metadef_namespace", _METADEF_ADMIN, "delete this metadata namespace or its content"),
    RuleDefault("list_metadef_resource_types", _NAMESPACE, "list resource types", _XENA_METADEF),
    RuleDefault("get_metadef_resource_type", _NAMESPACE, "see this resource type", _XENA_METADEF),
    RuleDefault("add_metadef_resource_type_association", _METADEF_ADMIN, "associate a resource type"),
    RuleDefault(
        "remove_metadef_resource_type_association", _METADEF_ADMIN, "remove the association of a resource type"
    ),
    RuleDefault("get_metadef_objects", _NAMESPACE, "list metadata objects", _XENA_METADEF),
    RuleDefault("get_metadef_object", _NAMESPACE, "see this metadata object", _XENA_METADEF),
    RuleDefault("add_metadef_object", _METADEF_ADMIN, "create a metadata object"),
    RuleDefault("modify_metadef_object", _METADEF_ADMIN, "change this metadata object"),
    RuleDefault("delete_metadef_object", _METADEF_ADMIN, "delete this metadata object"),
    RuleDefault("get_metadef_properties", _NAMESPACE, "list metadata properties", _XENA_METADEF),
    RuleDefault("get_metadef_property", _NAMESPACE, "see this metadata property", _XENA_METADEF),
    RuleDefault("add_metadef_property", _METADEF_ADMIN, "create a metadata property"),
    RuleDefault("modify_metadef_property", _METADEF_ADMIN, "change this metadata property"),
    RuleDefault("remove_metadef_property", _METADEF_ADMIN, "delete this metadata property"),
    RuleDefault("get_metadef_tags", _NAMESPACE, "list metadata tags", _XENA_METADEF),
    RuleDefault("get_metadef_tag", _NAMESPACE, "see this metadata tag", _XENA_METADEF),
    RuleDefault("add_metadef_tag", _METADEF_ADMIN, "create a metadata tag"),
    RuleDefault("add_metadef_tags", _METADEF_ADMIN, "create metadata tags"),
    RuleDefault("modify_metadef_tag", _METADEF_ADMIN, "change this metadata tag"),
    RuleDefault("delete_metadef_tag", _METADEF_ADMIN, "delete this metadata tag"),
    RuleDefault("delete_metadef_tags", _METADEF_ADMIN, "delete the tags of this metadata namespace"),
)

#: All rules. Every one accepts project-scoped identities only (images-api 8.1).
RULES: tuple[RuleDefault, ...] = (
    *_BUILDING_BLOCKS,
    *_IMAGES,
    *_LOCATIONS,
    *_MEMBERS,
    *_CACHE,
    *_STORES_AND_TASKS,
    *_METADEFS,
)

#: The action of each rule, for the message of a refusal.
ACTIONS: dict[str, str] = {rule.name: rule.action for rule in RULES}
