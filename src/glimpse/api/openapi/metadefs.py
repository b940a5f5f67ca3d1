"""Metadata definitions (metadefs 5)."""

from __future__ import annotations

from collections.abc import Mapping

from glimpse.api.openapi.operation import NO_CONTENT, Answer, Fragment, Operation, header, json_of, query
from glimpse.api.v2.metadefs.schemas import DOCUMENTS
from glimpse.domain.metadef import NAMESPACE_SORT_KEYS, TAG_SORT_KEYS

TAG = "metadata definitions"

_ONE = "/metadefs/namespaces/{namespace}"
_TEXT: Fragment = {"type": "string"}
_DIRECTION: Fragment = {"type": "string", "enum": ["asc", "desc"], "default": "desc"}

_LIMIT = query("limit", "Maximum number of entries.", {"type": "integer", "minimum": 0})
_MARKER = query("marker", "Name of the last entry of the previous page.", _TEXT)
_SORT_DIR = query("sort_dir", "Sort direction.", _DIRECTION)
_VISIBILITY = query(
    "visibility", "Only namespaces with this visibility.", {"type": "string", "enum": ["public", "private"]}
)
_ON_TYPE = query("resource_type", "Show property names with the prefix for this resource type.", _TEXT)


def _sort_key(keys: frozenset[str]) -> Fragment:
    return query("sort_key", "Sort key.", {"type": "string", "enum": sorted(keys), "default": "created_at"})


_NAMESPACE = Answer(text="The namespace.", content=json_of("MetadefNamespace"))
_OBJECT = Answer(text="The object.", content=json_of("MetadefObject"))
_PROPERTY = Answer(text="The property.", content=json_of("MetadefProperty"))
_TAG = Answer(text="The tag.", content=json_of("MetadefTag"))
_TAGS = Answer(text="The tags.", content=json_of("MetadefTags"))

_OF_NAMESPACES: Mapping[tuple[str, str], Operation] = {
    ("GET", "/metadefs/namespaces"): Operation(
        id="list_metadef_namespaces", summary="List namespaces", tag=TAG, refusals=(403, 404),
        parameters=(
            _LIMIT, _MARKER, _sort_key(NAMESPACE_SORT_KEYS), _SORT_DIR, _VISIBILITY,
            query("resource_types", "Namespaces with any of these resource types, separated by commas.", _TEXT),
        ),
        answers={200: Answer(text="One page.", content=json_of("MetadefNamespaces"))},
    ),
    ("POST", "/metadefs/namespaces"): Operation(
        id="create_metadef_namespace", summary="Create a namespace with its content", tag=TAG,
        body=json_of("MetadefNamespaceCreate"), refusals=(403, 404, 409),
        answers={
            201: Answer(text="The namespace.", content=json_of("MetadefNamespace"), headers=("Location",)),
        },
    ),
    ("GET", _ONE): Operation(
        id="show_metadef_namespace", summary="Show a namespace with its content", tag=TAG, refusals=(403,),
        parameters=(_ON_TYPE, _VISIBILITY), answers={200: _NAMESPACE},
    ),
    ("PUT", _ONE): Operation(
        id="update_metadef_namespace", summary="Replace all fields of a namespace, but not its content", tag=TAG,
        body=json_of("MetadefNamespaceUpdate"), refusals=(403, 409), answers={200: _NAMESPACE},
    ),
    ("DELETE", _ONE): Operation(
        id="delete_metadef_namespace", summary="Delete a namespace with its content", tag=TAG,
        refusals=(403,), answers={204: NO_CONTENT},
    ),
}  # fmt: skip

_OF_OBJECTS: Mapping[tuple[str, str], Operation] = {
    ("GET", f"{_ONE}/objects"): Operation(
        id="list_metadef_objects", summary="List all objects of a namespace", tag=TAG, refusals=(403,),
        answers={200: Answer(text="The objects.", content=json_of("MetadefObjects"))},
    ),
    ("POST", f"{_ONE}/objects"): Operation(
        id="create_metadef_object", summary="Create an object", tag=TAG, body=json_of("MetadefObjectCreate"),
        refusals=(403, 409), answers={201: _OBJECT},
    ),
    ("DELETE", f"{_ONE}/objects"): Operation(
        id="delete_metadef_objects", summary="Delete all objects of a namespace", tag=TAG, refusals=(403,),
        answers={204: NO_CONTENT},
    ),
    ("GET", f"{_ONE}/objects/{{object_name}}"): Operation(
        id="show_metadef_object", summary="Show an object", tag=TAG, refusals=(403,), answers={200: _OBJECT},
    ),
    ("PUT", f"{_ONE}/objects/{{object_name}}"): Operation(
        id="update_metadef_object", summary="Replace all fields of an object", tag=TAG,
        body=json_of("MetadefObjectUpdate"), refusals=(403, 409), answers={200: _OBJECT},
    ),
    ("DELETE", f"{_ONE}/objects/{{object_name}}"): Operation(
        id="delete_metadef_object", summary="Delete an object", tag=TAG, refusals=(403,), answers={204: NO_CONTENT},
    ),
}  # fmt: skip

_OF_PROPERTIES: Mapping[tuple[str, str], Operation] = {
    ("GET", f"{_ONE}/properties"): Operation(
        id="list_metadef_properties", summary="List all properties of a namespace", tag=TAG, refusals=(403,),
        answers={200: Answer(text="Definitions by name.", content=json_of("MetadefProperties"))},
    ),
    ("POST", f"{_ONE}/properties"): Operation(
        id="create_metadef_property", summary="Create a property", tag=TAG, body=json_of("MetadefPropertySet"),
        refusals=(403, 409), answers={201: _PROPERTY},
    ),
    ("DELETE", f"{_ONE}/properties"): Operation(
        id="delete_metadef_properties", summary="Delete all properties of a namespace", tag=TAG, refusals=(403,),
        answers={204: NO_CONTENT},
    ),
    ("GET", f"{_ONE}/properties/{{property_name}}"): Operation(
        id="show_metadef_property", summary="Show a property", tag=TAG, refusals=(403,), parameters=(_ON_TYPE,),
        answers={200: _PROPERTY},
    ),
    ("PUT", f"{_ONE}/properties/{{property_name}}"): Operation(
        id="update_metadef_property", summary="Replace a property", tag=TAG, body=json_of("MetadefPropertySet"),
        refusals=(403, 409), answers={200: _PROPERTY},
    ),
    ("DELETE", f"{_ONE}/properties/{{property_name}}"): Operation(
        id="delete_metadef_property", summary="Delete a property", tag=TAG, refusals=(403,),
        answers={204: NO_CONTENT},
    ),
}  # fmt: skip

_OF_TAGS: Mapping[tuple[str, str], Operation] = {
    ("GET", f"{_ONE}/tags"): Operation(
        id="list_metadef_tags", summary="List tags of a namespace", tag=TAG, refusals=(403,),
        parameters=(_LIMIT, _MARKER, _sort_key(TAG_SORT_KEYS), _SORT_DIR), answers={200: _TAGS},
    ),
    ("POST", f"{_ONE}/tags"): Operation(
        id="create_metadef_tags", summary="Replace all tags of a namespace, or append some", tag=TAG,
        parameters=(header("X-Openstack-Append", "`true`: keep the existing tags.", _TEXT),),
        body=json_of("MetadefTagsCreate"), refusals=(403, 409),
        answers={201: _TAGS},
    ),
    ("DELETE", f"{_ONE}/tags"): Operation(
        id="delete_metadef_tags", summary="Delete all tags of a namespace", tag=TAG, refusals=(403,),
        answers={204: NO_CONTENT},
    ),
    ("GET", f"{_ONE}/tags/{{tag_name}}"): Operation(
        id="show_metadef_tag", summary="Show a tag", tag=TAG, refusals=(403,), answers={200: _TAG},
    ),
    ("POST", f"{_ONE}/tags/{{tag_name}}"): Operation(
        id="create_metadef_tag", summary="Create a tag", tag=TAG, refusals=(403, 409), answers={201: _TAG},
    ),
    ("PUT", f"{_ONE}/tags/{{tag_name}}"): Operation(
        id="update_metadef_tag", summary="Rename a tag", tag=TAG, body=json_of("MetadefTagSet"),
        refusals=(403, 409), answers={200: _TAG},
    ),
    ("DELETE", f"{_ONE}/tags/{{tag_name}}"): Operation(
        id="delete_metadef_tag", summary="Delete a tag", tag=TAG, refusals=(403,), answers={204: NO_CONTENT},
    ),
}  # fmt: skip

_OF_RESOURCE_TYPES: Mapping[tuple[str, str], Operation] = {
    ("GET", "/metadefs/resource_types"): Operation(
        id="list_metadef_resource_types", summary="List resource types", tag=TAG, refusals=(403, 404),
        answers={200: Answer(text="The resource types.", content=json_of("MetadefResourceTypes"))},
    ),
    ("GET", f"{_ONE}/resource_types"): Operation(
        id="list_metadef_associations", summary="List the resource types of a namespace", tag=TAG, refusals=(403,),
        answers={200: Answer(text="The associations.", content=json_of("MetadefAssociations"))},
    ),
    ("POST", f"{_ONE}/resource_types"): Operation(
        id="associate_metadef_resource_type", summary="Associate a resource type with a namespace", tag=TAG,
        body=json_of("MetadefAssociationCreate"), refusals=(403, 409),
        answers={201: Answer(text="The association.", content=json_of("MetadefAssociation"))},
    ),
    ("DELETE", f"{_ONE}/resource_types/{{resource_type}}"): Operation(
        id="dissociate_metadef_resource_type", summary="Remove the association of a resource type", tag=TAG,
        refusals=(403,), answers={204: NO_CONTENT},
    ),
}  # fmt: skip

METADEFS: Mapping[tuple[str, str], Operation] = {
    **_OF_NAMESPACES,
    **_OF_OBJECTS,
    **_OF_PROPERTIES,
    **_OF_TAGS,
    **_OF_RESOURCE_TYPES,
    ("GET", "/schemas/metadefs/{metadef_schema}"): Operation(
        id="show_metadef_schema",
        summary="Show a JSON schema of metadata definitions",
        tag=TAG,
        answers={200: Answer(text=f"The schema: {', '.join(DOCUMENTS)}.", content=json_of("Schema"))},
    ),
}
