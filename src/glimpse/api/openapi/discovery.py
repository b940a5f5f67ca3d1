"""Discovery: schemas, this document, versions, health (images-api 1 and 2)."""

from __future__ import annotations

from collections.abc import Mapping

from glimpse.api.openapi.operation import JSON, NO_CONTENT, Answer, Fragment, Operation, json_of, ref

TAG = "discovery"

_TEXT: Fragment = {"type": "string"}
_HEALTH: Mapping[str, Fragment] = {
    "text/plain": _TEXT,
    "text/html": _TEXT,
    JSON: {
        "type": "object",
        "properties": {"detailed": {"type": "boolean"}, "reasons": {"type": "array", "items": _TEXT}},
        "required": ["detailed", "reasons"],
    },
}

DISCOVERY: Mapping[tuple[str, str], Operation] = {
    ("GET", "/schemas/{name}"): Operation(
        id="show_schema", summary="Show a JSON schema of this installation", tag=TAG,
        answers={200: Answer(text="The schema.", content=json_of("Schema"))},
    ),
    ("GET", "/openapi.json"): Operation(
        id="show_openapi", summary="Show this document", tag=TAG,
        answers={200: Answer(text="OpenAPI 3.1.", content={JSON: {"type": "object", "required": ["openapi"]}})},
    ),
}  # fmt: skip

#: Paths that are answered before version and identity are checked; these are complete paths.
EDGE: Mapping[tuple[str, str], Operation] = {
    ("GET", "/"): Operation(
        id="choose_version", summary="List the versions of the API", tag=TAG, public=True,
        answers={300: Answer(text="The versions.", content=json_of("Versions"))},
    ),
    ("GET", "/versions"): Operation(
        id="list_versions", summary="List the versions of the API", tag=TAG, public=True,
        answers={200: Answer(text="The versions.", content=json_of("Versions"))},
    ),
    ("GET", "/v2"): Operation(
        id="redirect", summary="Redirect to the path with a trailing slash", tag=TAG,
        answers={302: Answer(text="The redirect.", headers=("Location",))},
    ),
    ("GET", "/healthcheck"): Operation(
        id="check_health", summary="Check whether this node accepts requests", tag=TAG, public=True,
        answers={
            200: Answer(text="It accepts requests.", content=_HEALTH),
            503: Answer(text="It is taken out of service.", content=_HEALTH),
        },
    ),
}  # fmt: skip


# --------------------------- Stores, and discovery of import methods, stores and usage (imports-and-stores 1 and 4.6)

STORES, INFO = "stores", "info"

_STRING: Fragment = {"type": "string"}
_IMPORT_METHODS: Fragment = {
    "type": "object",
    "properties": {
        "import-methods": {
            "type": "object",
            "properties": {"description": _STRING, "type": _STRING, "value": {"type": "array", "items": _STRING}},
            "required": ["description", "type", "value"],
        }
    },
    "required": ["import-methods"],
}


def _list_of_stores(name: str) -> Mapping[str, Fragment]:
    stores = {"type": "array", "items": ref(name)}
    return {JSON: {"type": "object", "properties": {"stores": stores}, "required": ["stores"]}}


STORES_AND_INFO: Mapping[tuple[str, str], Operation] = {
    ("DELETE", "/stores/{store_id}/{image_id}"): Operation(
        id="delete_from_store", summary="Delete the data of an image from one store", tag=STORES,
        answers={204: NO_CONTENT}, refusals=(403, 409),
    ),
    ("GET", "/info/import"): Operation(
        id="show_import_methods", summary="Show the import methods", tag=INFO,
        answers={200: Answer(text="The methods.", content={JSON: _IMPORT_METHODS})},
    ),
    ("GET", "/info/stores"): Operation(
        id="list_stores", summary="List the named stores", tag=INFO,
        answers={200: Answer(text="The stores.", content=_list_of_stores("Store"))}, refusals=(404,),
    ),
    ("GET", "/info/stores/detail"): Operation(
        id="list_stores_in_detail", summary="List the named stores with their properties", tag=INFO,
        answers={200: Answer(text="The stores.", content=_list_of_stores("StoreDetail"))}, refusals=(403, 404),
    ),
    ("GET", "/info/usage"): Operation(
        id="show_usage", summary="Show the project's usage and limits", tag=INFO,
        answers={200: Answer(text="By resource; empty without unified limits.", content=json_of("Usage"))},
    ),
}  # fmt: skip
