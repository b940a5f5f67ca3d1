"""The document, generated from the route table and the declarations of this package."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from glimpse import __version__
from glimpse.api.openapi.components import component_schemas
from glimpse.api.openapi.discovery import DISCOVERY, EDGE, STORES_AND_INFO
from glimpse.api.openapi.images import IMAGE_DATA, IMAGE_PARTS, IMAGES
from glimpse.api.openapi.metadefs import METADEFS
from glimpse.api.openapi.operation import (
    ALWAYS,
    HEADERS,
    OF_BODIES,
    OF_VARIABLE_PATHS,
    REFUSAL_HEADERS,
    REFUSALS,
    Answer,
    Fragment,
    Operation,
    ref,
)
from glimpse.api.openapi.tasks import OPERATIONS as TASKS
from glimpse.api.v2.schemas.catalog import SchemaCatalog

#: Path below the version, its handlers by method, and the rest of the table's entry.
RouteTable = Iterable[tuple[str, Mapping[str, object], object]]

#: Declarations of the table's paths, by method and path.
DECLARED = (IMAGES, IMAGE_DATA, IMAGE_PARTS, STORES_AND_INFO, DISCOVERY, TASKS, METADEFS)
OPERATIONS: Mapping[tuple[str, str], Operation] = {place: found for part in DECLARED for place, found in part.items()}

_PATH_PARAMETER = re.compile(r"\{(\w+)\}")
_VARIABLE_TEXTS = {
    "image_id": "Id of the image.",
    "tag": "The tag.",
    "member_id": "Id of the project.",
    "name": "Name of the schema.",
    "store_id": "Id of the store.",
    "task_id": "Id of the task.",
    "namespace": "Name of the namespace.",
    "property_name": "Name of the property.",
    "object_name": "Name of the object.",
    "tag_name": "Name of the tag.",
    "resource_type": "Name of the resource type.",
    "metadef_schema": "Name of the schema.",
}

_SECURITY: Mapping[str, Mapping[str, Fragment]] = {
    "keystone": {"token": {"type": "apiKey", "in": "header", "name": "X-Auth-Token"}},
    "basic": {"basic": {"type": "http", "scheme": "basic"}},
}


def openapi_document(table: RouteTable, schemas: SchemaCatalog, *, auth: str, url: str | None = None) -> Fragment:
    """Build the document of one installation.

    ``auth`` is its authentication method, ``url`` its ``public_endpoint`` if set.
    """
    paths: dict[str, Fragment] = {}
    names = sorted(schemas.bodies)
    for (method, path), operation in EDGE.items():
        paths.setdefault(path, {})[method.lower()] = _operation(operation, path, names)
    for path, handlers, _ in table:
        item = paths.setdefault(f"/v2{path}", {})
        for method in handlers:
            operation = OPERATIONS.get((method, path))
            if operation is not None:
                item[method.lower()] = _operation(operation, path, names)
    schemes = _SECURITY.get(auth, {})
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Glimpse",
            "version": __version__,
            "summary": "An image service with the OpenStack Images API v2.",
        },
        "servers": [{"url": url or "/"}],
        "security": [{name: []} for name in schemes],
        "paths": paths,
        "components": {
            "schemas": component_schemas(schemas),
            "headers": dict(HEADERS),
            "responses": {_refusal_name(status): _refusal(status) for status in REFUSALS},
            "parameters": {"RequestId": _request_id()},
            "securitySchemes": dict(schemes),
        },
    }


def undeclared(table: RouteTable) -> list[str]:
    """Return methods of the table that have no declaration."""
    return [
        f"{method} {path}" for path, handlers, _ in table for method in handlers if (method, path) not in OPERATIONS
    ]


def unrouted(table: RouteTable) -> list[str]:
    """Return declared operations that are not in the table."""
    routed = {(method, path) for path, handlers, _ in table for method in handlers}
    return [f"{method} {path}" for method, path in OPERATIONS if (method, path) not in routed]


def _operation(operation: Operation, path: str, schema_names: list[str]) -> Fragment:
    variables = _PATH_PARAMETER.findall(path)
    parameters = [_variable(name, schema_names) for name in variables]
    refusals = operation.refusals
    if not operation.public:
        parameters.append({"$ref": "#/components/parameters/RequestId"})
        refusals += ALWAYS + (OF_VARIABLE_PATHS if variables else ()) + (OF_BODIES if operation.body else ())
    answers = {str(status): _answer(answer) for status, answer in sorted(operation.answers.items())}
    refused = {str(status): {"$ref": f"#/components/responses/{_refusal_name(status)}"} for status in sorted(refusals)}
    made: Fragment = {
        "operationId": operation.id,
        "summary": operation.summary,
        "tags": [operation.tag],
        "parameters": [*parameters, *operation.parameters],
        "responses": {**refused, **answers},
    }
    if operation.body is not None:
        content = {media_type: {"schema": schema} for media_type, schema in operation.body.items()}
        made["requestBody"] = {"required": True, "content": content}
    if operation.public:
        made["security"] = []
    return made


def _variable(name: str, schema_names: list[str]) -> Fragment:
    schema: Fragment = {"type": "string", "enum": schema_names} if name == "name" else {"type": "string"}
    return {"name": name, "in": "path", "required": True, "description": _VARIABLE_TEXTS[name], "schema": schema}


def _answer(answer: Answer) -> Fragment:
    made: Fragment = {"description": answer.text, "headers": _headers(answer.headers)}
    if answer.content:
        made["content"] = {media_type: {"schema": schema} for media_type, schema in answer.content.items()}
    return made


def _refusal_name(status: int) -> str:
    return f"Refused{status}"


def _refusal(status: int) -> Fragment:
    text = {"schema": {"type": "string"}}
    content = {"application/json": {"schema": ref("Error")}, "text/html": text, "text/plain": text}
    return {
        "description": REFUSALS[status],
        "headers": _headers(REFUSAL_HEADERS.get(status, ())),
        "content": content,
    }


def _headers(names: Iterable[str]) -> Fragment:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in (*names, "X-Openstack-Request-Id")}


def _request_id() -> Fragment:
    return {
        "name": "X-OpenStack-Request-ID",
        "in": "header",
        "description": "Id of the request; by default the service creates one.",
        "schema": {"type": "string"},
    }
