"""Discovery: schemas, this document, versions, health (images-api 1 and 2)."""

from __future__ import annotations

from collections.abc import Mapping

from glimpse.api.openapi.operation import JSON, Answer, Fragment, Operation, json_of

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
