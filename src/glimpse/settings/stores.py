"""The stores of a configuration: one from ``[glance_store]``, or named ones (store-formats 2)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from glimpse.settings.errors import SettingsError
from glimpse.settings.inventory import RESERVED_SECTIONS
from glimpse.settings.model import Stores, StoreSettings
from glimpse.settings.options import from_text
from glimpse.settings.own_options import SECTION
from glimpse.settings.store_options import Drivers, parsed

Values = Mapping[tuple[str, str], Any]

SINGLE = "glance_store"
FALLBACK = "backend_defaults"
STAGING = "os_glance_staging_store"
#: The id of the only store without named stores.
DEFAULT_ID = "default"

#: Kinds of Glance's drivers that do not exist here, by URI scheme (store-formats 1.1).
UNSUPPORTED = {"vmware": "vmware", "vsphere": "vmware"}

#: Former names of drivers in ``stores``: the module's name is the kind, with one exception.
_LEGACY_PREFIX = "glance.store."
_LEGACY_MODULES = {"filesystem": "file", "vmware_datastore": "vmware"}


class Configured(msgspec.Struct, frozen=True):
    """The available stores, and a remark on each unavailable one."""

    stores: Stores
    remarks: tuple[str, ...]


def kind_of(name: str, drivers: Drivers) -> str:
    """Return the kind of a driver given by kind, URI scheme or former class name."""
    if name.startswith(_LEGACY_PREFIX):
        module = name.removeprefix(_LEGACY_PREFIX).partition(".")[0]
        return _LEGACY_MODULES.get(module, module)
    if name in drivers:
        return name
    served = next((kind for kind, driver in drivers.items() if name in driver.schemes), name)
    return UNSUPPORTED.get(served, served)


def named_backends(values: Values, drivers: Drivers) -> dict[str, str]:
    """Return the kinds of the stores in ``enabled_backends`` by id; empty without named stores.

    :raises SettingsError: an id or a kind is invalid.
    """
    backends: dict[str, str] = {i: str(kind) for i, kind in values.get(("DEFAULT", "enabled_backends"), {}).items()}
    for store_id, kind in backends.items():
        text = f"{store_id}:{kind}"
        if not store_id or store_id.startswith("os_glance_") or store_id.lower() in RESERVED_SECTIONS:
            raise SettingsError.of_option(
                "DEFAULT", "enabled_backends", "must not contain this id, which is reserved", value=text
            )
        if kind not in drivers and kind not in UNSUPPORTED.values():
            raise SettingsError.of_option(
                "DEFAULT",
                "enabled_backends",
                f"must have a kind of store after each id: {', '.join(drivers)}",
                value=text,
            )
    return backends


def named_stores(backends: Mapping[str, str], values: Values, drivers: Drivers) -> Configured:
    """Build the stores of ``enabled_backends``.

    :raises SettingsError: the default is not one of them, or cannot be used, or an option is wrong.
    """
    default = str(values.get((SINGLE, "default_backend"), ""))
    if default not in backends:
        allowed = f"must be one of {', '.join(backends)}, the ids in enabled_backends"
        raise SettingsError.of_option(SINGLE, "default_backend", allowed, value=default)
    if backends[default] not in drivers:
        raise _no_driver("default_backend", default, backends[default])
    stores = tuple(
        StoreSettings(
            id=store_id,
            kind=kind,
            options=_options(drivers[kind].options, store_id, values, {}),
            description=values.get((store_id, "store_description")),
            weight=values.get((store_id, "weight"), 0),
        )
        for store_id, kind in backends.items()
        if kind in drivers
    )
    remarks = tuple(
        f"Store {store_id} is skipped: this version has no stores of kind {kind}"
        for store_id, kind in backends.items()
        if kind not in drivers
    )
    return Configured(Stores(default=default, stores=stores, named=True), (*_losses(stores, drivers), *remarks))


def single_store(values: Values, drivers: Drivers, images: Path | None) -> Configured:
    """Build the stores of ``[glance_store]``: the default one, and others by kind.

    ``images`` is the default directory of a file store.

    :raises SettingsError: the default is not one of them, or cannot be used, or an option is wrong.
    """
    listed: list[str] = values.get((SINGLE, "stores"), ["file", "http"])
    kinds = list(dict.fromkeys(kind_of(name, drivers) for name in listed))
    scheme = str(values.get((SINGLE, "default_store"), "file"))
    default = kind_of(scheme, drivers)
    if default not in kinds:
        allowed = f"must be one of the kinds in [{SINGLE}] stores: {', '.join(kinds)}"
        raise SettingsError.of_option(SINGLE, "default_store", allowed, value=scheme)
    if default not in drivers:
        raise _no_driver("default_store", scheme, default)
    own = {"filesystem_store_datadir": str(images)} if images is not None else {}
    kinds.sort(key=lambda kind: kind != default)
    stores = tuple(
        StoreSettings(
            id=DEFAULT_ID if kind == default else kind,
            kind=kind,
            options=_options(drivers[kind].options, SINGLE, values, own if kind == "file" else {}),
        )
        for kind in kinds
        if kind in drivers
    )
    asked_for = kinds if (SINGLE, "stores") in values else []
    remarks = tuple(
        f"[{SINGLE}] stores: {kind} is skipped: this version has no stores of this kind"
        for kind in asked_for
        if kind not in drivers
    )
    losses = _losses([store for store in stores if store.kind in asked_for], drivers)
    return Configured(Stores(default=DEFAULT_ID, stores=stores), (*losses, *remarks))


def staging_entry(values: Values, drivers: Drivers) -> StoreSettings | None:
    """Return the store of staged data; None: they are in a directory.

    :raises SettingsError: an option of the store is wrong, or there is no such driver.
    """
    kind = staging_kind(values)
    if kind is None:
        return None
    if kind not in drivers or not drivers[kind].stages:
        allowed = f"must be one of {', '.join(['file', *sorted(name for name, one in drivers.items() if one.stages)])}"
        raise SettingsError.of_option(SECTION, "staging_store", allowed, value=kind)
    return StoreSettings(id=STAGING, kind=kind, options=_options(drivers[kind].options, STAGING, values, {}))


def staging_kind(values: Values) -> str | None:
    """Return the kind of the store of staged data; None: they are in a directory."""
    kind = str(values.get((SECTION, "staging_store"), "file"))
    return None if kind == "file" else kind


def _losses(stores: Iterable[StoreSettings], drivers: Drivers) -> tuple[str, ...]:
    return tuple(
        f"Store {store.id} keeps images in memory: all of them are lost when the process ends, and each process has "
        "its own; use it for trials only"
        for store in stores
        if not drivers[store.kind].durable
    )


def _options(driver: type[msgspec.Struct], section: str, values: Values, defaults: Mapping[str, str]) -> msgspec.Struct:
    """Return the values of the section, else of ``[backend_defaults]``, else ``defaults``, else the driver's
    defaults.
    """
    sections = (section,) if section == SINGLE else (section, FALLBACK)
    fields: dict[str, Any] = {}
    for name in driver.__struct_fields__:
        found = next((values[place, name] for place in sections if (place, name) in values), None)
        if found is not None:
            fields[name] = parsed(name, found)
    if "filesystem_store_datadirs" not in fields:
        fields = {**defaults, **fields}
    try:
        return from_text(fields, driver)
    except msgspec.ValidationError as error:
        raise SettingsError(f"[{section}]: {error}") from error


def _no_driver(option: str, value: str, kind: str) -> SettingsError:
    allowed = f"this version has no stores of kind {kind}, so it cannot be the default"
    return SettingsError.of_option(SINGLE, option, allowed, value=value)
