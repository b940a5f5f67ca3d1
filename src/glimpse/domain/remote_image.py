"""An image of another image service, as glance-download reads it (imports-and-stores 2.12)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, cast

import msgspec

from glimpse.domain.properties import (
    BASE_ATTRIBUTES,
    check_property_name,
    check_property_text,
    is_reserved,
)
from glimpse.errors import Invalid

#: Properties of the signature of the data, which the owner of the source has given for the source only.
_SIGNATURE_PREFIX: Final = "img_signature"
_BIGGEST: Final = (1 << 63) - 1


class RemoteImage(msgspec.Struct, frozen=True, kw_only=True):
    """What an import takes over from the source, and what it knows of the data: ``size`` in bytes, digests in hex."""

    disk_format: str
    container_format: str
    size: int
    properties: dict[str, str]
    checksum: str | None = None
    hash_algo: str | None = None
    hash_value: str | None = None


def remote_image(
    document: object, prefixes: Iterable[str], *, disk_formats: Iterable[str], container_formats: Iterable[str]
) -> RemoteImage:
    """Read the answer of ``GET /v2/images/{id}``; properties are taken whose names begin with one of ``prefixes``.

    :raises Invalid: it is not an image that can be imported: not active, of formats that this service does not have,
        or with values that cannot be stored.
    """
    if not isinstance(document, dict):
        raise Invalid("The source does not answer with the record of an image.")
    fields = cast("dict[str, Any]", document)
    status = fields.get("status")
    if status != "active":
        said = status if isinstance(status, str) and status.isidentifier() else "unknown"
        raise Invalid(f"The source image must be active; its status is {said}.")
    size = fields.get("size")
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= _BIGGEST:
        raise Invalid("The source does not tell the size of its image.")
    return RemoteImage(
        disk_format=_format(fields, "disk_format", disk_formats),
        container_format=_format(fields, "container_format", container_formats),
        size=size,
        properties=_properties(fields, tuple(prefixes)),
        checksum=_digest(fields, "checksum"),
        hash_algo=_text(fields, "os_hash_algo"),
        hash_value=_digest(fields, "os_hash_value"),
    )


def _format(fields: Mapping[str, Any], name: str, known: Iterable[str]) -> str:
    value = _text(fields, name)
    if value is None or value not in known:
        raise Invalid(f"The {name} of the source image is not one of those that this service has.")
    return value


def _properties(fields: Mapping[str, Any], prefixes: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in fields.items():
        if not name.startswith(prefixes) or not isinstance(value, str):
            continue
        if name in BASE_ATTRIBUTES or is_reserved(name) or name.startswith(_SIGNATURE_PREFIX):
            continue
        check_property_name(name)
        check_property_text(name, value)
        found[name] = value
    return found


def _digest(fields: Mapping[str, Any], name: str) -> str | None:
    value = _text(fields, name)
    return None if value is None else value.lower()


def _text(fields: Mapping[str, Any], name: str) -> str | None:
    value = fields.get(name)
    return value if isinstance(value, str) and value else None
