"""Creation of an image from a client's document (images-api 3.2).

It follows the rows of that table in order: :func:`check_document` does rows 2 to 5, :func:`draft_image` builds the
image for the policies of rows 6 to 9, and :func:`check_limits` does rows 10 to 15.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast

from glimpse.domain.document import ImageDocumentChecker
from glimpse.domain.image import Image
from glimpse.domain.limits import ImageLimits, check_count, check_tag, check_text, fits_column, not_negative
from glimpse.domain.properties import (
    BASE_ATTRIBUTES,
    check_not_reserved,
    check_property_name,
    check_property_text,
    label,
    stored_text,
)
from glimpse.domain.status import Visibility
from glimpse.errors import Forbidden

#: Response fields that are not attributes: refused before the schema is checked.
_RESPONSE_ONLY = ("direct_url", "self", "file", "schema", "stores")

#: Attributes that only the service sets: refused after policies and the tag quota.
_SERVICE_SET = ("status", "checksum", "size", "virtual_size", "created_at", "updated_at")


def check_document(document: Mapping[str, object], checker: ImageDocumentChecker) -> None:
    """Rows 2 to 5: all checks that need no identity.

    :raises Forbidden: a response-only or reserved name is set.
    :raises Invalid: the document violates the schema, or a property name is too long.
    """
    for name in _RESPONSE_ONLY:
        if name in document:
            raise Forbidden(f"The attribute {label(name)} is read-only.")
    checker.check_document(document)
    for name in document:
        check_property_name(name)
    for name in document:
        check_not_reserved(name)


def draft_image(document: Mapping[str, object], *, default_owner: str | None, now: datetime, new_id: str) -> Image:
    """Build the image from a validated document; its limits are not checked yet.

    ``default_owner`` is the caller's project, ``now`` is naive UTC. An empty owner means no owner; tags become a set in
    the order sent; ``os_hash_algo`` and ``os_hash_value`` are ignored.
    """
    sent = cast("Mapping[str, Any]", document)
    return Image(
        id=sent.get("id", new_id),
        name=sent.get("name"),
        visibility=Visibility(sent.get("visibility", Visibility.SHARED)),
        owner=sent.get("owner", default_owner) or None,
        disk_format=sent.get("disk_format"),
        container_format=sent.get("container_format"),
        min_disk=int(sent.get("min_disk", 0)),
        min_ram=int(sent.get("min_ram", 0)),
        protected=sent.get("protected", False),
        os_hidden=sent.get("os_hidden", False),
        created_at=now,
        updated_at=now,
        properties={name: stored_text(value) for name, value in sent.items() if name not in BASE_ATTRIBUTES},
        tags=tuple(dict.fromkeys(sent.get("tags", ()))),
    )


def check_limits(document: Mapping[str, object], image: Image, limits: ImageLimits) -> None:
    """Rows 10 to 15: quotas, attributes that the service sets, ranges, storable characters.

    :raises Forbidden: an attribute is set that only the service sets.
    :raises Invalid: ``min_disk`` or ``min_ram`` is out of range, or a string cannot be stored.
    :raises LimitExceeded: more tags (as sent) or custom properties than allowed.
    """
    check_count("tags", len(cast("list[str]", document.get("tags", ()))), limits.image_tag_quota)
    for name in (*_SERVICE_SET, "locations"):
        if name in document:
            raise Forbidden(f"The attribute {label(name)} cannot be set when an image is created.")
    not_negative("min_disk", image.min_disk)
    not_negative("min_ram", image.min_ram)
    check_count("custom properties", len(image.properties), limits.image_property_quota)
    _check_storable(image)


def _check_storable(image: Image) -> None:
    fits_column("min_disk", image.min_disk)
    fits_column("min_ram", image.min_ram)
    check_text("name", image.name or "")
    check_text("owner", image.owner or "")
    for tag in image.tags:
        check_tag(tag)
    for name, text in image.properties.items():
        check_property_text(name, text)
