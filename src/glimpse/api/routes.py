"""All paths of the API. Add new endpoints here."""

from __future__ import annotations

from typing import NoReturn

from starlette.routing import Route, Router

from glimpse.api.app import Handler, Resource, not_found
from glimpse.api.openapi import view as openapi
from glimpse.api.v2 import (
    actions,
    image_data,
    image_download,
    image_import,
    image_stage,
    image_tasks,
    images,
    info,
    locations,
    members,
    schemas_view,
    stores,
    tags,
    tasks,
)
from glimpse.api.v2.metadefs import report as metadefs_report
from glimpse.api.v2.metadefs.routes import METADEFS
from glimpse.asgi import Receive, Scope, Send

_NONE = frozenset[str]()
_NO_BODY = frozenset({"POST", "PUT"})

#: path below the version, its handlers, and the methods besides GET, HEAD and DELETE that accept no request body
TABLE: tuple[tuple[str, dict[str, Handler], frozenset[str]], ...] = (
    ("/images", {"GET": images.list_, "POST": images.create}, _NONE),
    (
        "/images/{image_id}",
        {"GET": images.show, "PATCH": images.update, "DELETE": images.delete},
        _NONE,
    ),
    (
        "/images/{image_id}/file",
        {"GET": image_download.download, "HEAD": image_download.head, "PUT": image_data.upload},
        _NONE,
    ),
    ("/images/{image_id}/stage", {"PUT": image_stage.stage}, _NONE),
    ("/images/{image_id}/tags/{tag}", {"PUT": tags.add, "DELETE": tags.remove}, _NO_BODY),
    ("/images/{image_id}/actions/deactivate", {"POST": actions.deactivate}, _NO_BODY),
    ("/images/{image_id}/actions/reactivate", {"POST": actions.reactivate}, _NO_BODY),
    ("/images/{image_id}/members", {"GET": members.list_, "POST": members.add}, _NONE),
    (
        "/images/{image_id}/members/{member_id}",
        {"GET": members.show, "PUT": members.set_status, "DELETE": members.remove},
        _NONE,
    ),
    ("/images/{image_id}/locations", {"GET": locations.list_, "POST": locations.add}, _NONE),
    ("/images/{image_id}/import", {"POST": image_import.start}, _NONE),
    ("/images/{image_id}/tasks", {"GET": image_tasks.list_}, _NONE),
    ("/images/{image_id}/tasks/{task_id}/actions/retry", {"POST": image_tasks.retry}, _NO_BODY),
    ("/images/{image_id}/metadefs-report", {"GET": metadefs_report.show}, _NONE),
    ("/tasks", {"GET": tasks.list_, "POST": tasks.create}, _NONE),
    ("/tasks/{task_id}", {"GET": tasks.show, "DELETE": tasks.delete}, _NONE),
    ("/schemas/{name}", {"GET": schemas_view.show}, _NONE),
    ("/info/import", {"GET": info.import_methods}, _NONE),
    ("/info/stores", {"GET": info.stores}, _NONE),
    ("/info/stores/detail", {"GET": info.detail}, _NONE),
    ("/info/usage", {"GET": info.usage}, _NONE),
    ("/stores/{store_id}/{image_id}", {"DELETE": stores.delete}, _NONE),
    ("/openapi.json", {"GET": openapi.show}, _NONE),
    *METADEFS,
)


async def _unknown(scope: Scope, _receive: Receive, _send: Send) -> NoReturn:
    raise not_found(scope["method"])


def build_router() -> Router:
    """Build the router from :data:`TABLE`."""
    routes = [Route(path, Resource("/v2" + path, handlers, bodyless)) for path, handlers, bodyless in TABLE]
    return Router(routes, redirect_slashes=False, default=_unknown)
