"""The paths of metadata definitions, for the table of all paths (metadefs 5)."""

from __future__ import annotations

from glimpse.api.app import Handler
from glimpse.api.v2.metadefs import namespaces, objects, properties, resource_types, schemas_view, tags

_NONE = frozenset[str]()
_NAMESPACE = "/metadefs/namespaces/{namespace}"

#: As :data:`glimpse.api.routes.TABLE`: path, handlers, and the methods besides GET, HEAD and DELETE that refuse a body.
METADEFS: tuple[tuple[str, dict[str, Handler], frozenset[str]], ...] = (
    ("/metadefs/namespaces", {"GET": namespaces.list_, "POST": namespaces.create}, _NONE),
    (
        _NAMESPACE,
        {"GET": namespaces.show, "PUT": namespaces.update, "DELETE": namespaces.delete},
        _NONE,
    ),
    (
        f"{_NAMESPACE}/properties",
        {"GET": properties.list_, "POST": properties.create, "DELETE": properties.delete_all},
        _NONE,
    ),
    (
        f"{_NAMESPACE}/properties/{{property_name}}",
        {"GET": properties.show, "PUT": properties.update, "DELETE": properties.delete},
        _NONE,
    ),
    (
        f"{_NAMESPACE}/objects",
        {"GET": objects.list_, "POST": objects.create, "DELETE": objects.delete_all},
        _NONE,
    ),
    (
        f"{_NAMESPACE}/objects/{{object_name}}",
        {"GET": objects.show, "PUT": objects.update, "DELETE": objects.delete},
        _NONE,
    ),
    (
        f"{_NAMESPACE}/tags",
        {"GET": tags.list_, "POST": tags.create_many, "DELETE": tags.delete_all},
        _NONE,
    ),
    (
        f"{_NAMESPACE}/tags/{{tag_name}}",
        {"GET": tags.show, "POST": tags.create, "PUT": tags.update, "DELETE": tags.delete},
        frozenset({"POST"}),
    ),
    (f"{_NAMESPACE}/resource_types", {"GET": resource_types.list_, "POST": resource_types.create}, _NONE),
    (f"{_NAMESPACE}/resource_types/{{resource_type}}", {"DELETE": resource_types.delete}, _NONE),
    ("/metadefs/resource_types", {"GET": resource_types.list_types}, _NONE),
    ("/schemas/metadefs/{metadef_schema}", {"GET": schemas_view.show}, _NONE),
)
