"""Parsing of an image PATCH: two drafts of JSON patch become typed operations (images-api 3.5 to 3.5.2).

This does not need the image: a malformed PATCH is refused before the image is read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from enum import Enum
from typing import cast

import msgspec

from glimpse.domain.document import ImageDocumentChecker
from glimpse.domain.properties import check_not_reserved, label
from glimpse.errors import Forbidden, Invalid, UnsupportedContent

# ------------------------ The pointers of an image PATCH (images-api 3.5.1), which differ slightly from JSON pointers

_ADJACENT_SLASHES = re.compile(r"/\s*/")
_BAD_ESCAPE = re.compile(r"~(?![01])")


def parse_pointer(pointer: str) -> tuple[str, ...]:
    """Return the unescaped parts of a pointer, at least one; ``/`` is the property with the empty name.

    :raises Invalid: the pointer is malformed.
    """
    if not pointer.startswith("/"):
        raise Invalid("A pointer must start with a slash.")
    # The first character is skipped, because a second slash directly after it is accepted.
    if _ADJACENT_SLASHES.search(pointer, 1):
        raise Invalid("A pointer must not contain adjacent slashes.")
    if len(pointer) > 1 and pointer.endswith("/"):
        raise Invalid("A pointer must not end with a slash.")
    if _BAD_ESCAPE.search(pointer):
        raise Invalid("A pointer may contain '~' only as part of the escapes '~0' and '~1'.")
    return tuple(_unescape(part.strip()) for part in pointer.lstrip("/").split("/"))


def _unescape(part: str) -> str:
    return part.replace("~1", "/").replace("~0", "~")


#: Names that a PATCH must not address; Glance omits ``stores`` (images-api 3.5.2).
READ_ONLY = frozenset({
    "created_at", "updated_at", "status", "checksum", "size", "virtual_size", "direct_url", "self", "file", "schema",
    "id", "os_hash_algo", "os_hash_value", "stores",
})  # fmt: skip

_OPERATIONS = ("add", "replace", "remove")

#: Policy rules; every operation checks at least one of them.
CHANGING_RULES = ("modify_image", "set_image_location", "delete_image_location")

#: Number of pointer parts of an operation on locations; everything else has one.
_LOCATIONS_DEPTH = {"add": 2, "replace": 1, "remove": 2}


class Draft(Enum):
    """A draft of JSON patch; the value is its media type."""

    DRAFT_4 = "application/openstack-images-v2.0-json-patch"
    DRAFT_10 = "application/openstack-images-v2.1-json-patch"


_DRAFTS = {draft.value: draft for draft in Draft}

#: The value of ``Accept-Patch`` for a 415.
ACCEPT_PATCH = ", ".join(_DRAFTS)


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One operation of a PATCH.

    ``op`` is add, replace or remove; ``name`` the attribute or property; ``position`` the second part of a pointer
    into ``locations``, else None; ``value`` is None for remove. With ``must_be_new``, an add refuses an existing name.
    """

    op: str
    name: str
    position: str | None = None
    value: object = None
    must_be_new: bool = False

    @property
    def on_locations(self) -> bool:
        """Whether it changes locations, which have separate rules (images-api 3.5.4)."""
        return self.name == "locations"

    @property
    def sets_owner(self) -> bool:
        """Whether it changes the owner, which only administrators may do (images-api 3.5.3)."""
        return self.name == "owner" and self.op != "remove"

    @property
    def rules(self) -> tuple[str, ...]:
        """The policy rules to check, in order (images-api 3.5.3 and 3.5.4)."""
        if self.on_locations:
            return ("delete_image_location",) if self.op == "remove" else ("set_image_location",)
        if self.name == "visibility" and self.value == "public":
            return ("publicize_image", "modify_image")
        if self.name == "visibility" and self.value == "community":
            return ("communitize_image", "modify_image")
        return ("modify_image",)


def draft_of(content_type: str | None) -> Draft:
    """Return the draft for a Content-Type; its parameters are ignored, and upper case is not accepted.

    :raises UnsupportedContent: the type is missing or not one of the two.
    """
    media_type = (content_type or "").partition(";")[0].strip()
    draft = _DRAFTS.get(media_type)
    if draft is None:
        raise UnsupportedContent(f"The media type of a PATCH must be one of {ACCEPT_PATCH}.")
    return draft


def parse_patch(body: object, draft: Draft, checker: ImageDocumentChecker) -> tuple[Operation, ...]:
    """Parse the operations of a decoded body; each is validated before the next one is parsed.

    :raises Invalid: it is not an array of well-formed operations, or a value violates the image schema.
    :raises Forbidden: an operation addresses a read-only or reserved name.
    """
    if not isinstance(body, list):
        raise Invalid("The body of a PATCH must be an array of operations.")
    read = _READERS[draft]
    operations: list[Operation] = []
    for member in cast("list[object]", body):
        if not isinstance(member, dict):
            raise Invalid("Every operation of a PATCH must be an object.")
        operation = read(cast("Mapping[str, object]", member))
        _check(operation, checker)
        operations.append(operation)
    return tuple(operations)


def _read_draft_10(member: Mapping[str, object]) -> Operation:
    op = member.get("op")
    if not isinstance(op, str) or op not in _OPERATIONS:
        raise Invalid("The member 'op' of an operation must be add, replace or remove.")
    if "path" not in member:
        raise Invalid("The member 'path' of an operation is missing.")
    return _operation(op, member["path"], member, must_be_new=False)


def _read_draft_4(member: Mapping[str, object]) -> Operation:
    named = [op for op in _OPERATIONS if op in member]
    if len(named) != 1:
        raise Invalid("An operation must have exactly one of the members add, replace or remove.")
    return _operation(named[0], member[named[0]], member, must_be_new=named[0] == "add")


_READERS: dict[Draft, Callable[[Mapping[str, object]], Operation]] = {
    Draft.DRAFT_4: _read_draft_4,
    Draft.DRAFT_10: _read_draft_10,
}


def _operation(op: str, pointer: object, member: Mapping[str, object], *, must_be_new: bool) -> Operation:
    if not isinstance(pointer, str):
        raise Invalid("The pointer of an operation must be a string.")
    if op != "remove" and "value" not in member:
        raise Invalid(f"The operation {op} needs the member 'value'.")
    name, *rest = parse_pointer(pointer)
    depth = _LOCATIONS_DEPTH[op] if name == "locations" else 1
    if len(rest) + 1 != depth:
        raise Invalid(f"The operation {op} cannot be applied to {label(pointer)}.")
    return Operation(
        op=op,
        name=name,
        position=rest[0] if rest else None,
        value=None if op == "remove" else member["value"],
        must_be_new=must_be_new,
    )


def _check(operation: Operation, checker: ImageDocumentChecker) -> None:
    """images-api 3.5.2."""
    if operation.name in READ_ONLY:
        raise Forbidden(f"The attribute {label(operation.name)} is read-only.")
    check_not_reserved(operation.name)
    if operation.op == "remove":
        return
    value = operation.value if operation.position is None else [operation.value]
    checker.check_value(operation.name, value)
