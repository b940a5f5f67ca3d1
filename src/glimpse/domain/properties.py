"""Names of image attributes and custom properties: base, reserved and internal ones (images-api 3)."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from glimpse.domain.limits import PROPERTY_NAME_LENGTH, check_text
from glimpse.errors import Forbidden, Invalid

#: Every name of the image schema that is not a custom property (images-api 2.1).
BASE_ATTRIBUTES = frozenset({
    "id", "name", "status", "visibility", "protected", "os_hidden", "checksum", "os_hash_algo", "os_hash_value",
    "owner", "size", "virtual_size", "container_format", "disk_format", "created_at", "updated_at", "tags",
    "direct_url", "min_ram", "min_disk", "self", "file", "stores", "schema", "locations",
})  # fmt: skip

#: Prefix of internal custom properties, which only the service sets.
INTERNAL_PREFIX = "os_glance"

#: The lock of an import, whose value is the id of its job (imports-and-stores 2.9).
IMPORT_LOCK = "os_glance_import_task"

#: The reason why an upload failed and the image is queued again, for its user; removed by the next successful upload.
FAILED_UPLOAD = "os_glance_failed_upload"

#: The URL of the node that has the staged data of an image, and of the node of Glance that hashes its data
#: (imports-and-stores 2.14).
STAGE_HOST = "os_glance_stage_host"
HASH_HOST = "os_glance_hash_op_host"
#: Prefix of the digests of an image that somebody has asked for; the name of the algorithm follows. Values are in hex.
DIGEST_PREFIX = "os_glance_digest_"

#: Internal properties that no response shows (images-api 3.1).
HIDDEN_PROPERTIES = (STAGE_HOST, HASH_HOST)

#: Names of columns and former attributes that no request may use.
RESERVED_NAMES = frozenset({"location", "deleted", "deleted_at"})

_LABEL_LENGTH = 80


def label(name: str) -> str:
    """Quote a name for a message, and shorten a very long one."""
    return f"'{name}'" if len(name) <= _LABEL_LENGTH else f"'{name[:_LABEL_LENGTH]}…'"


def is_reserved(name: str) -> bool:
    """Tell whether requests must not use the name (images-api 3.2, row 5; images-api 3.5.2)."""
    return name in RESERVED_NAMES or name.startswith(INTERNAL_PREFIX)


def check_not_reserved(name: str) -> None:
    """:raises Forbidden: the name is reserved for the service."""
    if is_reserved(name):
        raise Forbidden(f"The attribute {label(name)} is reserved.")


def check_property_name(name: str) -> None:
    """:raises Invalid: the name is too long for its column."""
    if len(name) > PROPERTY_NAME_LENGTH:
        raise Invalid(f"The property name {label(name)} is longer than {PROPERTY_NAME_LENGTH} characters.")


def check_property_text(name: str, text: str | None) -> None:
    """:raises Invalid: the name or value has a character that cannot be stored."""
    check_text("name of a property", name)
    if text is not None:
        check_text(f"value of the property {label(name)}", text)


def about_old_data(properties: Iterable[str]) -> tuple[str, ...]:
    """Return those of ``properties`` that an image loses when it gets data: they are about earlier ones."""
    return tuple(name for name in properties if name == FAILED_UPLOAD or name.startswith(DIGEST_PREFIX))


def counted(names: frozenset[str] | set[str]) -> int:
    """Count the ``names`` that count towards ``image_property_quota`` (images-api 6.1)."""
    return sum(not name.startswith(INTERNAL_PREFIX) for name in names)


def stored_text(value: object) -> str | None:
    """Return the stored text of a validated property value.

    Only schema-image.json can allow values other than strings and null (images-api 2.3); they are stored as JSON.
    """
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return msgspec.json.encode(value).decode()


def shown_value(text: str) -> object:
    """Return the value of a property whose schema allows no strings: the reverse of :func:`stored_text`.

    Text that is not JSON was written before the schema changed, and is shown unchanged.
    """
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text
