"""The texts of sections that the message bus and the key manager read themselves (configuration 5.4 to 5.8)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from glimpse.notify import options as notify
from glimpse.settings.keystone import sections_of
from glimpse.settings.model import Secret, Sections, Settings
from glimpse.settings.oslo import Files, Place
from glimpse.signature import options as signature


def with_libraries(
    settings: Settings, values: Mapping[Place, Any], files: Files, environ: Mapping[str, str]
) -> Settings:
    """``settings`` with the texts that notifications need, where there are drivers, and signatures.

    :raises SettingsError: a value names another option that does not exist.
    """
    signatures = msgspec.structs.replace(
        settings.signatures, library=_texts(signature.LIBRARY_SECTIONS, files, environ)
    )
    settings = msgspec.structs.replace(settings, signatures=signatures)
    if not settings.notifications.drivers:
        return settings
    bus = dict(_texts(notify.LIBRARY_SECTIONS, files, environ))
    for section, name in notify.LIBRARY_OPTIONS:
        if (section, name) in values:
            bus[section] = {**bus.get(section, {}), name: Secret(values[section, name])}
    return msgspec.structs.replace(settings, notifications=msgspec.structs.replace(settings.notifications, library=bus))


def library_credential_sections(settings: Settings) -> set[str]:
    """Sections of the operator's naming that hold nothing but credentials for Keystone."""
    return set(settings.signatures.library) - set(signature.LIBRARY_SECTIONS)


def _texts(sections: tuple[str, ...], files: Files, environ: Mapping[str, str]) -> Sections:
    found = {name: texts for section in sections for name, texts in sections_of(section, files, environ).items()}
    return {name: texts for name, texts in found.items() if texts}
