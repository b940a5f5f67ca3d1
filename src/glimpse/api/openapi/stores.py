"""Stores, and discovery of import methods, stores and usage (imports-and-stores 1 and 4.6)."""

from __future__ import annotations

from collections.abc import Mapping

from glimpse.api.openapi.operation import JSON, NO_CONTENT, Answer, Fragment, Operation, json_of, ref

STORES, INFO = "stores", "info"

_TEXT: Fragment = {"type": "string"}
_IMPORT_METHODS: Fragment = {
    "type": "object",
    "properties": {
        "import-methods": {
            "type": "object",
            "properties": {"description": _TEXT, "type": _TEXT, "value": {"type": "array", "items": _TEXT}},
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
