"""Application of a PATCH to an image: computes the smallest change from the operations (images-api 3.5.3)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, cast

import msgspec

from glimpse.domain.document import ImageDocumentChecker
from glimpse.domain.image import Image, ImageChange
from glimpse.domain.limits import ImageLimits, check_count, check_tag, check_text, fits_column, not_negative
from glimpse.domain.locations import LocationEdit
from glimpse.domain.patch import Operation
from glimpse.domain.properties import (
    BASE_ATTRIBUTES,
    check_property_name,
    check_property_text,
    counted,
    label,
    stored_text,
)
from glimpse.domain.status import Status, Visibility
from glimpse.errors import Conflict, Forbidden

_FORMATS = frozenset({"disk_format", "container_format"})
_MINIMA = frozenset({"min_disk", "min_ram"})
#: Existing or arriving data were inspected for the image's current formats. Glance allows changing these while an image
#: is importing, too (images-api 9.3).
_FORMAT_STATUSES = (Status.QUEUED,)


class ImageEdit:
    """One PATCH in progress. The caller checks the policies for each operation before applying it::

        for operation in operations:
            ...                                   # operation.rules, operation.sets_owner
            action = edit.property_action(operation)
            ...                                   # property protections: action on operation.name
            edit.apply(operation)
        change = edit.change()

    ``hidden`` are names of properties that the caller may not read. They stay unchanged and count as missing for
    replace and remove; adding one counts as an update, so it needs the right to update. ``locations`` handles the
    operations on locations; None if the service does not show them.
    """

    def __init__(
        self,
        image: Image,
        *,
        checker: ImageDocumentChecker,
        limits: ImageLimits,
        hidden: frozenset[str] = frozenset(),
        locations: LocationEdit | None = None,
    ) -> None:
        self._image = image
        self._required = checker.required
        self._limits = limits
        self._hidden = hidden
        self._locations = locations
        self._before = frozenset(image.properties)
        self._present = set(image.properties)
        self._touched: dict[str, str | None] = {}
        self._columns: dict[str, Any] = {}
        self._tags: tuple[str, ...] | None = None
        self._started = False

    def property_action(self, operation: Operation) -> str | None:
        """Return the effect of an operation on a custom property: create, update or delete; None for base attributes.

        :raises Conflict: the property is missing, or it exists and the add requires that it does not.
        """
        name = operation.name
        if name in BASE_ATTRIBUTES:
            return None
        exists = name in self._present
        if operation.op == "add":
            if exists and operation.must_be_new and (name not in self._hidden or name in self._touched):
                raise Conflict(f"The property {label(name)} already exists.")
            return "update" if exists else "create"
        if not exists or (name in self._hidden and name not in self._touched):
            raise Conflict(f"The property {label(name)} does not exist.")
        return "update" if operation.op == "replace" else "delete"

    def wrote(self, name: str) -> bool:
        """Tell whether an earlier operation wrote or removed the property."""
        return name in self._touched

    def apply(self, operation: Operation) -> None:
        """Apply one operation.

        :raises Forbidden: a base or required attribute is removed, a format is changed after data came, or
            locations are addressed (``show_multiple_locations`` is false).
        :raises Conflict: as :meth:`property_action`, or a base attribute is added under the 2.0 media type.
        :raises Invalid: a value out of range, or a text that cannot be stored.
        :raises LimitExceeded: more tags, as sent, than allowed.

        An operation on locations raises what :meth:`glimpse.domain.locations.LocationEdit.apply` does.
        """
        self._started = True
        if operation.on_locations:
            if self._locations is None:
                raise Forbidden(
                    "Locations cannot be changed, because the service does not show them "
                    "(show_multiple_locations is off)."
                )
            self._locations.apply(operation)
            return
        action = self.property_action(operation)
        if action is None:
            self._set_base(operation)
        elif action == "delete":
            self._remove_property(operation.name)
        else:
            self._set_property(operation.name, stored_text(operation.value))

    def change(self) -> ImageChange | None:
        """Return the resulting change; None if there were no operations, so that nothing needs to be saved.

        :raises LimitExceeded: a new property exceeds the property quota.
        """
        if not self._started:
            return None
        if self._present - self._before:
            check_count("custom properties", counted(self._present), self._limits.image_property_quota)
        touched = self._touched
        change = ImageChange(
            columns=self._columns,
            set_properties={name: text for name, text in touched.items() if name in self._present},
            drop_properties=tuple(name for name in touched if name in self._before and name not in self._present),
            tags=self._tags,
            from_status=_FORMAT_STATUSES if self._columns.keys() & _FORMATS else (),
        )
        return change if self._locations is None else self._locations.change(change)

    def _set_property(self, name: str, text: str | None) -> None:
        check_property_name(name)
        check_property_text(name, text)
        self._present.add(name)
        self._touched[name] = text

    def _remove_property(self, name: str) -> None:
        if name in self._required:
            raise Forbidden(f"The property {label(name)} is required and cannot be removed.")
        self._present.remove(name)
        self._touched[name] = None

    def _set_base(self, operation: Operation) -> None:
        name = operation.name
        if operation.op == "remove":
            raise Forbidden(f"The attribute {label(name)} cannot be removed.")
        if operation.must_be_new:
            raise Conflict(f"The attribute {label(name)} already exists.")
        if name == "tags":
            self._tags = self._checked_tags(cast("list[str]", operation.value))
        else:
            self._columns[name] = self._column(name, operation.value)

    def _checked_tags(self, tags: list[str]) -> tuple[str, ...]:
        check_count("tags", len(tags), self._limits.image_tag_quota)
        for tag in tags:
            check_tag(tag)
        return tuple(dict.fromkeys(tags))

    def _column(self, name: str, value: object) -> object:
        if name in _FORMATS and self._image.status not in _FORMAT_STATUSES:
            raise Forbidden(f"The attribute {label(name)} cannot be changed while the image is {self._image.status}.")
        if name in _MINIMA:
            return fits_column(name, not_negative(name, int(cast("int | float", value))))
        if name == "visibility":
            return Visibility(cast("str", value))
        if isinstance(value, str):
            check_text(name, value)
        if name == "owner":
            return value or None
        return value


def apply(
    image: Image, operations: Iterable[Operation], *, checker: ImageDocumentChecker, limits: ImageLimits
) -> ImageChange | None:
    """All operations at once, for callers that no policy restricts; errors as in :class:`ImageEdit`."""
    edit = ImageEdit(image, checker=checker, limits=limits)
    for operation in operations:
        edit.apply(operation)
    return edit.change()


def changed(image: Image, change: ImageChange, updated_at: datetime) -> Image:
    """Return ``image`` after ``change`` is saved at ``updated_at`` (naive UTC), without reading it again."""
    properties = {name: text for name, text in image.properties.items() if name not in change.drop_properties}
    properties.update(change.set_properties)
    tags = image.tags if change.tags is None else change.tags
    kept = tuple(tag for tag in tags if tag not in change.drop_tags)
    return msgspec.structs.replace(
        image,
        **change.columns,
        properties=properties,
        tags=tuple(dict.fromkeys((*kept, *change.add_tags))),
        updated_at=updated_at,
    )
