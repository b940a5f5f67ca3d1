"""The options of notifications (configuration 3, 5.4 and 5.5)."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

#: Sections that are the messaging library's own, and what it reads of others.
LIBRARY_SECTIONS = ("oslo_messaging_rabbit", "oslo_messaging_kafka")
LIBRARY_OPTIONS = (
    ("DEFAULT", "transport_url"),
    ("DEFAULT", "control_exchange"),
    ("oslo_messaging_notifications", "transport_url"),
)


class NotificationOptions(msgspec.Struct, frozen=True, kw_only=True):
    """``[oslo_messaging_notifications]`` with what belongs to it from ``[DEFAULT]``.

    ``retry`` is how often a message is tried again: -1 for ever, 0 never. ``library`` holds the texts of
    :data:`LIBRARY_SECTIONS` and :data:`LIBRARY_OPTIONS`; they contain passwords and are therefore not shown.
    """

    drivers: tuple[str, ...] = ()
    topics: tuple[str, ...] = ("notifications",)
    retry: int = -1
    publisher_id: str = "image.localhost"
    disabled: tuple[str, ...] = ()
    routing_config: str = ""
    library: Mapping[str, Mapping[str, str]] = {}

    def __repr__(self) -> str:
        shown = ((name, getattr(self, name)) for name in self.__struct_fields__ if name != "library")
        return f"NotificationOptions({', '.join(f'{name}={value!r}' for name, value in shown)})"
