"""Images in API responses (images-api 3.1 and 3.4)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from glimpse.domain.clock import wire_time
from glimpse.domain.image import Image, Location
from glimpse.domain.location_data import shown_url
from glimpse.domain.properties import HIDDEN_PROPERTIES, shown_value
from glimpse.domain.status import Status

_encode = msgspec.json.Encoder().encode


class ImageView(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of images that this installation shows; built once at start.

    ``locations`` is ``show_multiple_locations``, ``direct_url`` is ``show_image_direct_url``, ``stores`` is true if
    several stores are configured, and ``weights`` has the weight of each store by id. ``schema_names`` are the
    properties of schema-image.json, whose null is shown as null, and ``typed_names`` those that are never strings.
    """

    locations: bool = False
    direct_url: bool = False
    stores: bool = False
    weights: Mapping[str, int] = {}
    schema_names: frozenset[str] = frozenset()
    typed_names: frozenset[str] = frozenset()


def image_document(
    image: Image,
    view: ImageView,
    *,
    is_admin: bool = False,
    sees_credentials: bool = False,
    unreadable: Iterable[str] = (),
) -> dict[str, object]:
    """Return one image with its fields in the API's order.

    ``unreadable`` are properties that the caller may not read. ``is_admin``: show the locations of a deactivated
    image; ``sees_credentials``: do not mask credentials in location URLs.
    """
    document: dict[str, object] = dict(image.properties)
    if None in document.values() or view.typed_names:
        _show_values(document, view)
    for name in HIDDEN_PROPERTIES:
        document.pop(name, None)
    for name in unreadable:
        document.pop(name, None)
    path = f"/v2/images/{image.id}"
    shown = _shown_locations(image, view, is_admin=is_admin) if view.locations or view.direct_url or view.stores else ()
    document["name"] = image.name
    document["disk_format"] = image.disk_format
    document["container_format"] = image.container_format
    document["visibility"] = image.visibility
    document["size"] = image.size
    document["virtual_size"] = image.virtual_size
    document["status"] = image.status
    document["checksum"] = image.checksum
    document["protected"] = image.protected
    document["min_ram"] = image.min_ram
    document["min_disk"] = image.min_disk
    document["owner"] = image.owner
    document["os_hidden"] = image.os_hidden
    document["os_hash_algo"] = image.os_hash_algo
    document["os_hash_value"] = image.os_hash_value
    document["id"] = image.id
    document["created_at"] = wire_time(image.created_at)
    document["updated_at"] = wire_time(image.updated_at)
    if view.locations:
        document["locations"] = [
            {
                # most URLs have neither a user nor a query: avoid the call
                "url": location.url
                if sees_credentials or ("@" not in location.url and "?" not in location.url)
                else shown_url(location.url),
                "metadata": location.metadata,
            }
            for location in shown
        ]
    if shown and view.direct_url:
        document["direct_url"] = shown[0].url if sees_credentials else shown_url(shown[0].url)
    document["tags"] = image.tags
    document["self"] = path
    document["file"] = f"{path}/file"
    document["schema"] = "/v2/schemas/image"
    if shown and view.stores:
        _show_stores(document, shown)
    return document


def image_body(image: Image, view: ImageView, *, is_admin: bool = False, sees_credentials: bool = False) -> bytes:
    """Encode one image; arguments as for :func:`image_document`."""
    return _encode(image_document(image, view, is_admin=is_admin, sees_credentials=sees_credentials))


def image_list_body(documents: Sequence[Mapping[str, object]], *, first: str, next_link: str | None = None) -> bytes:
    """Encode one page of images, with ``next_link`` if there may be another page."""
    page: dict[str, object] = {"images": documents, "first": first, "schema": "/v2/schemas/images"}
    if next_link is not None:
        page["next"] = next_link
    return _encode(page)


def _show_values(document: dict[str, object], view: ImageView) -> None:
    for name, text in document.items():
        if text is None:
            document[name] = None if name in view.schema_names else ""
        elif name in view.typed_names and isinstance(text, str):
            document[name] = shown_value(text)


def _shown_locations(image: Image, view: ImageView, *, is_admin: bool) -> Sequence[Location]:
    """Return active locations, best first, without a call per location, because lists do this for every image."""
    if image.status == Status.DEACTIVATED and not is_admin:
        return ()
    ranked: list[tuple[int, int, Location]] = []
    for position, location in enumerate(image.locations):
        if location.status == "active":
            store = location.metadata.get("store")
            weight = view.weights.get(store, 0) if view.stores and isinstance(store, str) else 0
            ranked.append((-weight, position, location))
    ranked.sort()
    return [location for _, _, location in ranked]


def _show_stores(document: dict[str, object], locations: Sequence[Location]) -> None:
    ids: list[str] = []
    for location in locations:
        store = location.metadata.get("store")
        if store and isinstance(store, str):
            ids.append(store)
    if ids:
        document["stores"] = ",".join(ids)
