"""Every path of the API: the one place where a new endpoint is entered."""

from __future__ import annotations

from typing import NoReturn

from starlette.routing import Route, Router

from glimpse.api.app import Handler, Resource
from glimpse.api.errors import Refusal
from glimpse.api.exchange import Receive, Scope, Send
from glimpse.api.openapi import view as openapi
from glimpse.api.v2 import (
    actions,
    image_data,
    image_download,
    image_tasks,
    images,
    info,
    locations,
    members,
    schemas_view,
    stores,
    tags,
)
from glimpse.api.v2.metadefs import report as metadefs_report
from glimpse.api.v2.metadefs.routes import METADEFS

KNOWN_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH"})

NO_BODY_GET = frozenset({"GET"})
NO_BODY = frozenset({"GET", "POST", "PUT", "DELETE"})

#: path below the version, its handlers, and the methods among them that take no request body
TABLE: tuple[tuple[str, dict[str, Handler], frozenset[str]], ...] = (
    ("/images", {"GET": images.list_, "POST": images.create}, NO_BODY_GET),
    (
        "/images/{image_id}",
        {"GET": images.show, "PATCH": images.update, "DELETE": images.delete},
        frozenset({"GET", "DELETE"}),
    ),
    (
        "/images/{image_id}/file",
        {"GET": image_download.download, "HEAD": image_download.head, "PUT": image_data.upload},
        frozenset({"GET", "HEAD"}),
    ),
    ("/images/{image_id}/tags/{tag}", {"PUT": tags.add, "DELETE": tags.remove}, NO_BODY),
    ("/images/{image_id}/actions/deactivate", {"POST": actions.deactivate}, NO_BODY),
    ("/images/{image_id}/actions/reactivate", {"POST": actions.reactivate}, NO_BODY),
    ("/images/{image_id}/members", {"GET": members.list_, "POST": members.add}, frozenset()),
    (
        "/images/{image_id}/members/{member_id}",
        {"GET": members.show, "PUT": members.set_status, "DELETE": members.remove},
        frozenset(),
    ),
    ("/images/{image_id}/locations", {"GET": locations.list_, "POST": locations.add}, NO_BODY_GET),
    ("/images/{image_id}/tasks", {"GET": image_tasks.list_}, NO_BODY_GET),
    ("/images/{image_id}/metadefs-report", {"GET": metadefs_report.show}, NO_BODY_GET),
    ("/schemas/{name}", {"GET": schemas_view.show}, NO_BODY_GET),
    ("/info/import", {"GET": info.import_methods}, NO_BODY_GET),
    ("/info/stores", {"GET": info.stores}, NO_BODY_GET),
    ("/info/stores/detail", {"GET": info.detail}, NO_BODY_GET),
    ("/info/usage", {"GET": info.usage}, NO_BODY_GET),
    ("/stores/{store_id}/{image_id}", {"DELETE": stores.delete}, NO_BODY),
    ("/openapi.json", {"GET": openapi.show}, NO_BODY_GET),
    *METADEFS,
)


async def _unknown(scope: Scope, _receive: Receive, _send: Send) -> NoReturn:
    if scope["method"] not in KNOWN_METHODS:
        raise Refusal(501, f"The method {scope['method']} is not implemented.")
    raise Refusal(404, "The resource could not be found.")


def build_router() -> Router:
    """The router over :data:`TABLE`."""
    routes = [Route(path, Resource("/v2" + path, handlers, bodyless)) for path, handlers, bodyless in TABLE]
    return Router(routes, redirect_slashes=False, default=_unknown)
