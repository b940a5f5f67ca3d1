"""Imports: what a request asks for, and the two lists of stores that an image keeps (imports-and-stores 2)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, cast

import msgspec

from glimpse.domain.digests import ExpectedDigest, from_pair, kept_digests
from glimpse.errors import Invalid

_is_uuid = re.compile("[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}").fullmatch

GLANCE_DIRECT: Final = "glance-direct"
WEB_DOWNLOAD: Final = "web-download"
COPY_IMAGE: Final = "copy-image"
GLANCE_DOWNLOAD: Final = "glance-download"

#: The interface of glance-download if the request names none.
DEFAULT_INTERFACE: Final = "public"

#: Property with the ids of the stores to which an image is being imported; stays, empty, when nothing is.
IMPORTING_TO: Final = "os_glance_importing_to_stores"
#: Property with the ids of the stores in which the last import failed.
FAILED_STORES: Final = "os_glance_failed_import"


# ------------------------------------------------------------------------- Which methods are offered (section 1.2)


class OfferedMethods(msgspec.Struct, frozen=True):
    """The methods that clients may use, in the order of the configuration, and why other configured ones may not be.

    The reasons are the ends of sentences that begin with the method.
    """

    names: tuple[str, ...] = ()
    refused: Mapping[str, str] = {}


def offered_methods(configured: Iterable[str], *, named_stores: bool) -> OfferedMethods:
    """Return which of the ``configured`` methods are offered, with named stores or with a single one."""
    names: list[str] = []
    refused: dict[str, str] = {}
    for name in dict.fromkeys(configured):
        if name == COPY_IMAGE and not named_stores:
            refused[name] = "needs several stores, and this service has only one"
        else:
            names.append(name)
    return OfferedMethods(tuple(names), refused)


# ------------------------------------------------------------------------------------------------------ The request


class GlanceImage(msgspec.Struct, frozen=True, kw_only=True):
    """The image that glance-download reads, as the request names it: region and interface are those of the catalog."""

    region: str | None
    image_id: str | None
    interface: str = DEFAULT_INTERFACE

    def check(self) -> None:
        """:raises Invalid: the region or the image is missing, or its id is no UUID (section 2.4, row 14)."""
        if not self.region:
            raise Invalid("An import with glance-download needs 'method.glance_region'.")
        if not self.image_id:
            raise Invalid("An import with glance-download needs 'method.glance_image_id'.")
        if not _is_uuid(self.image_id):
            # tempest looks for these words
            raise Invalid("The 'method.glance_image_id' is not usable: image id does not look like a UUID.")


class ImportRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The body of ``POST /v2/images/{id}/import``. ``stores`` None: not given; ``given``: the whole body.

    ``uri`` is what web-download reads, ``glance`` what glance-download reads. ``digest`` is that of the data as the
    source sends them; ``checksum_uri`` has a file with digests of them.
    ``want_digests`` are algorithms whose digests of the image's data are to be kept.
    """

    method: str
    uri: str | None = None
    digest: ExpectedDigest | None = None
    checksum_uri: str | None = None
    glance: GlanceImage | None = None
    want_digests: tuple[str, ...] = ()
    stores: tuple[str, ...] | None = None
    all_stores: bool = False
    all_stores_must_succeed: bool = True
    given: dict[str, Any] = {}


def import_request(document: object, offered: OfferedMethods) -> ImportRequest:
    """Check the form of a body and that its method is offered (imports-and-stores 2.4, rows 2 to 5).

    :raises Invalid: it is not that of an import.
    """
    if not isinstance(document, dict):
        raise Invalid("The body of an import must be a JSON object.")
    given = cast("dict[str, Any]", document)
    method: object = given.get("method")
    if not isinstance(method, dict):
        raise Invalid("An import needs the object 'method'.")
    fields = cast("dict[str, Any]", method)
    name = _text(fields, "name")
    if name is None:
        raise Invalid("An import needs 'method.name'.")
    if name not in offered.names:
        raise Invalid(f"The import method {name!r} {offered.refused.get(name, 'is not enabled')}.")
    digest, checksum_uri = _text(fields, "digest"), _text(fields, "checksum_uri")
    if checksum_uri is not None and name != WEB_DOWNLOAD:
        raise Invalid(f"'method.checksum_uri' needs the method {WEB_DOWNLOAD}.")
    return ImportRequest(
        method=name,
        # clients send it with other methods too, where it means nothing
        uri=_text(fields, "uri") if name == WEB_DOWNLOAD else None,
        digest=None if digest is None else from_pair(digest),
        checksum_uri=checksum_uri,
        glance=_glance_image(fields) if name == GLANCE_DOWNLOAD else None,
        want_digests=kept_digests(_names(given, "want_digests") or ()),
        stores=_names(given, "stores"),
        all_stores=_flag(given, "all_stores", default=False),
        all_stores_must_succeed=_flag(given, "all_stores_must_succeed", default=True),
        given=given,
    )


def _glance_image(fields: dict[str, Any]) -> GlanceImage:
    """Read the fields of glance-download; the default of the interface becomes part of them, as in Glance."""
    interface = _text(fields, "glance_service_interface") or DEFAULT_INTERFACE
    fields["glance_service_interface"] = interface
    return GlanceImage(
        region=_text(fields, "glance_region"), image_id=_text(fields, "glance_image_id"), interface=interface
    )


def _text(fields: Mapping[str, Any], name: str) -> str | None:
    value = fields.get(name)
    if value is not None and not isinstance(value, str):
        raise Invalid(f"'method.{name}' must be a string.")
    return value


def _flag(given: Mapping[str, Any], name: str, *, default: bool) -> bool:
    value = given.get(name, default)
    if not isinstance(value, bool):
        raise Invalid(f"'{name}' must be true or false.")
    return value


def _names(given: Mapping[str, Any], name: str) -> tuple[str, ...] | None:
    """Return each name once, in the order given; None: not given."""
    value = given.get(name)
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(one, str) for one in cast("list[object]", value)):
        raise Invalid(f"'{name}' must be a list of strings.")
    return tuple(dict.fromkeys(cast("list[str]", value)))


def check_store_choice(request: ImportRequest, header_store: str | None) -> None:
    """Check that the stores are given in one way (section 2.4, rows 17 and 18).

    A header that names the only store of the list is accepted, because openstacksdk sends both (section 10.3).

    :raises Invalid: they are given in two ways, or the list of stores is empty.
    """
    if request.all_stores and (request.stores is not None or header_store is not None):
        raise Invalid("'all_stores' cannot be combined with 'stores' or the header X-Image-Meta-Store.")
    if request.stores is not None and header_store is not None and request.stores != (header_store,):
        raise Invalid("Name the stores in 'stores' or in the header X-Image-Meta-Store, not in both.")
    if request.stores == ():
        raise Invalid("'stores' must name at least one store.")


# ------------------------------------------------------------------------------------- the two lists (section 2.6)

Properties = Mapping[str, str | None]


def listed(properties: Properties, name: str) -> frozenset[str]:
    """Return the store ids in one of the two lists."""
    return frozenset(filter(None, (properties.get(name) or "").split(",")))


def _joined(ids: Iterable[str]) -> str:
    return ",".join(sorted(ids))


def begun(properties: Properties, targets: Iterable[str]) -> dict[str, str | None]:
    """Return both lists when an import to ``targets`` begins; none in single-store mode."""
    wanted = set(targets)
    return {
        IMPORTING_TO: _joined(listed(properties, IMPORTING_TO) | wanted),
        FAILED_STORES: _joined(listed(properties, FAILED_STORES) - wanted),
    }


def released(properties: Properties, stores: Iterable[str]) -> dict[str, str | None]:
    """Return both lists, as far as the image has them, without the ``stores`` of an import whose lock is taken over."""
    left = frozenset(stores)
    return {
        name: _joined(listed(properties, name) - left) for name in (IMPORTING_TO, FAILED_STORES) if name in properties
    }


def ended(properties: Properties, targets: Iterable[str], failed: Iterable[str]) -> dict[str, str | None]:
    """Return both lists when the import to ``targets`` is over for all of them, and failed for ``failed``."""
    return {
        IMPORTING_TO: _joined(listed(properties, IMPORTING_TO) - set(targets)),
        FAILED_STORES: _joined(listed(properties, FAILED_STORES) | set(failed)),
    }
