"""The effective settings, printed as a configuration file or as JSON, without secrets."""

from __future__ import annotations

import operator
from pathlib import Path
from typing import Any, cast

import msgspec

from glimpse.settings.database_url import MASK, masked_url
from glimpse.settings.inventory import OPTIONS
from glimpse.settings.library_sections import MESSAGING_OPTIONS
from glimpse.settings.model import Secret, Settings, StoreSettings
from glimpse.settings.startup import pool_of_service
from glimpse.settings.store_options import OCTAL, REPEATED, driver_options
from glimpse.settings.stores import SINGLE
from glimpse.settings.unread_options import LIBRARY_SECRETS, OF_LIBRARIES

#: Sections, options and plain values.
Shown = dict[str, dict[str, Any]]

_BRACKETED = frozenset({option.name for option in OPTIONS if option.kind == "bounded"})
#: Options of other sections that libraries read.
_READ_ELSEWHERE = frozenset(name for _, name in MESSAGING_OPTIONS)

_REPEATED_LINES = REPEATED | {option.name for option in OPTIONS if option.kind == "multi"}


def shown(settings: Settings) -> Shown:
    """Return every option that has an effect, by section, with its value; options that are not set are None."""
    sections: Shown = {}
    for option in OPTIONS:
        if option.target is not None:
            value = operator.attrgetter(option.target)(settings)
            sections.setdefault(option.section, {})[option.name] = MASK if option.secret and value else _plain(value)
    sections["DEFAULT"]["log_file"] = _plain(settings.logging.file)
    sections["DEFAULT"]["default_log_levels"] = [f"{name}={level}" for name, level in settings.logging.levels]
    replica = settings.database.slave_connection
    sections["database"] = {
        "connection": masked_url(settings.database.connection),
        "slave_connection": None if replica is None else masked_url(replica),
        **sections["database"],
    }
    if settings.database.max_pool_size is None:
        sections["database"]["max_pool_size"] = pool_of_service(settings)
    for section, group in settings.more_cors.items():
        sections[section] = {name: _plain(value) for name, value in msgspec.structs.asdict(group).items()}
    _add_stores(settings, sections)
    staging = settings.imports.staging_entry
    if staging is not None:
        sections[staging.id] = _store_options(staging)
    for library in (
        settings.auth.keystone, settings.quotas.oslo_limit, settings.notifications.library,
        settings.signatures.library,
    ):  # fmt: skip
        for section, texts in library.items():
            sections.setdefault(section, {}).update({name: _of_library(name, text) for name, text in texts.items()})
    return sections


def as_text(settings: Settings) -> str:
    """Format the settings as a configuration file."""
    lines = [f"# read from {file}" for file in settings.config_files] or ["# no configuration file was read"]
    for section, options in shown(settings).items():
        lines += ["", f"[{section}]"]
        for name, value in options.items():
            lines += _lines(name, value)
    return "\n".join(lines)


def as_json(settings: Settings) -> str:
    """Format the settings as a JSON object of sections."""
    content = {"config_files": [str(file) for file in settings.config_files], "settings": shown(settings)}
    return msgspec.json.format(msgspec.json.encode(content), indent=2).decode()


def _add_stores(settings: Settings, sections: Shown) -> None:
    stores = settings.stores
    if stores.named:
        sections["DEFAULT"]["enabled_backends"] = {store.id: store.kind for store in stores.stores}
        sections[SINGLE] = {"default_backend": stores.default}
        for store in stores.stores:
            sections[store.id] = {
                "store_description": store.description, "weight": store.weight, **_store_options(store),
            }  # fmt: skip
        return
    default = next(store.kind for store in stores.stores if store.id == stores.default)
    single: dict[str, Any] = {"stores": [store.kind for store in stores.stores], "default_store": default}
    for store in stores.stores:
        single.update(_store_options(store))
    sections[SINGLE] = single


def _of_library(name: str, text: str) -> str:
    """Return the value if it is known not to be secret, else masked."""
    known = name in _READ_ELSEWHERE or any(name in names for names in OF_LIBRARIES.values())
    if name in LIBRARY_SECRETS or not known:
        return MASK
    return masked_url(text) if "://" in text else str(text)


def _store_options(store: StoreSettings) -> dict[str, Any]:
    secrets = {option.name for option in driver_options(type(store.options), store.id) if option.secret}
    return {
        name: MASK if name in secrets and value else _plain(value, octal=name in OCTAL)
        for name, value in msgspec.structs.asdict(store.options).items()
    }


def _plain(value: Any, *, octal: bool = False) -> Any:
    if isinstance(value, Secret):
        return MASK
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, tuple):
        return [_plain(item) for item in cast("tuple[Any, ...]", value)]
    return f"{value:o}" if octal else value


def _lines(name: str, value: Any) -> list[str]:
    if name in _REPEATED_LINES and value:
        return [f"{name} = {entry}" for entry in value]
    if name in _BRACKETED and value is not None:
        return [f"{name} = [{_written(value)}]"]
    return [f"# {name} is not set" if value is None else f"{name} = {_written(value)}"]


def _written(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        pairs = cast("dict[str, Any]", value)
        return ",".join(f"{key}:{pairs[key]}" for key in pairs)
    if isinstance(value, list):
        return ",".join(str(entry) for entry in cast("list[Any]", value))
    return str(value)
