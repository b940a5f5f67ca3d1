"""Checks of ``glimpse config check`` beyond the files: everything that prevents ``glimpse serve`` from starting.

They create nothing and do not wait: a database that does not answer at once is an error here.
"""

from __future__ import annotations

import os
from pathlib import Path

import click
import msgspec

from glimpse.cli.addresses import try_address, try_server
from glimpse.cli.database import database_state, embedded_file, not_made_yet
from glimpse.cli.serve import serve_options
from glimpse.cli.startup_checks import try_database, try_files, try_stores
from glimpse.db.schema import SchemaState
from glimpse.policy.effective import RulesInForce
from glimpse.settings.errors import Problems, SettingsError
from glimpse.settings.inventory import Findings
from glimpse.settings.model import Settings, StoreSettings
from glimpse.settings.startup import refusals
from glimpse.stores.base import StoreMisconfigured
from glimpse.stores.filesystem.directories import configured_directories
from glimpse.stores.filesystem.options import FilesystemOptions


def examine(settings: Settings) -> tuple[tuple[str, ...], Findings]:
    """Return the errors that prevent a start, and remarks on the rest."""
    problems = Problems()
    problems.reasons += refusals(settings)
    remarks = Findings()
    # an invalid configuration lacks values that the next steps read
    if not problems.reasons:
        with problems.collecting():
            try_files(settings)
    with problems.collecting():
        _try_data_directory(settings)
    with problems.collecting():
        try_server(serve_options(settings))
    for look in (_look_at_stores, _look_at_addresses, _look_at_rules, _look_at_database):
        with problems.collecting():
            remarks += look(settings)
    return tuple(dict.fromkeys(problems.reasons)), remarks


def _try_data_directory(settings: Settings) -> None:
    if embedded_file(settings) is None and settings.metrics.port is None:
        return
    reason = _unwritable(settings.data_dir)
    if reason is not None:
        raise SettingsError(f"The data directory {settings.data_dir} {reason}.")


def _look_at_stores(settings: Settings) -> Findings:
    """Open each store separately, except those whose directories the service will create."""
    problems = Problems()
    notes: list[str] = []
    warnings: list[str] = []
    for entry in settings.stores.stores:
        of_store = Problems()
        with of_store.collecting():
            missing = _missing_directories(entry)
            if not missing:
                alone = msgspec.structs.replace(settings.stores, default=entry.id, stores=(entry,))
                try_stores(msgspec.structs.replace(settings, stores=alone))
            for directory in missing:
                reason = _unwritable(directory)
                if reason is not None:
                    raise SettingsError(f"The store {entry.id}: data directory {directory} {reason}.")
                notes.append(f"Store {entry.id}: the data directory {directory} will be created")
        if entry.id == settings.stores.default:
            problems.reasons += of_store.reasons
        else:
            warnings += [f"{reason} The service starts without this store" for reason in of_store.reasons]
    problems.raise_any()
    return Findings(tuple(warnings), tuple(notes) if embedded_file(settings) is None else ())


def _missing_directories(entry: StoreSettings) -> list[Path]:
    if not isinstance(entry.options, FilesystemOptions):
        return []
    try:
        named = configured_directories(entry.id, entry.options)
    except StoreMisconfigured as error:
        raise SettingsError(f"The {error}.") from error
    return [Path(path) for path, _ in named if not Path(path).exists()]


def _unwritable(directory: Path) -> str | None:
    """Return why this process cannot create or write ``directory``; None if it can."""
    if directory.is_dir():
        return None if os.access(directory, os.W_OK | os.X_OK) else "cannot be written"
    above = next(place for place in (directory, *directory.parents) if place.exists())
    if above.is_dir() and os.access(above, os.W_OK | os.X_OK):
        return None
    return f"cannot be created: {above} is not {'writable' if above.is_dir() else 'a directory'}"


def _look_at_addresses(settings: Settings) -> Findings:
    """Report a port in use as a warning, because the service itself may be using it."""
    problems = Problems()
    warnings: list[str] = []
    places = [(settings.listen.host, settings.listen.port)]
    if settings.metrics.port is not None:
        places.append((settings.metrics.host, settings.metrics.port))
    for host, port in places:
        with problems.collecting():
            # any port: check only that this machine has the address
            try_address(host, 0)
            try:
                try_address(host, port)
            except SettingsError as error:
                warnings.append(f"{error} This is normal while the service is running.")
    problems.raise_any()
    return Findings(warnings=tuple(warnings))


def _look_at_rules(settings: Settings) -> Findings:
    """Report rules in policy files whose names have no effect."""
    try:
        rules = RulesInForce(settings.policy)
    except SettingsError:
        return Findings()  # reported with the other files
    # the property protection file may name any rule
    by_policies = settings.policy.property_protection_rule_format == "policies"
    warnings: list[str] = []
    for name, file in rules.without_effect():
        near = rules.guarding(name)
        hint = "" if near is None else f"; did you mean {near}?"
        if near is not None or not by_policies:
            warnings.append(f"The rule {name} ({file}) protects nothing, and no other rule refers to it{hint}")
    return Findings(warnings=tuple(warnings))


def _look_at_database(settings: Settings) -> Findings:
    if not_made_yet(settings):
        return Findings()  # the service creates it
    try_database(settings)
    try:
        state = database_state(settings)
    except click.ClickException as error:
        raise SettingsError(error.message) from error
    if state is None or state is SchemaState.CURRENT:
        return Findings()
    if state is SchemaState.MISSING or (state is SchemaState.OWN_MISSING and embedded_file(settings) is not None):
        return Findings(notes=(f"{state.value.removesuffix('.')}; the service creates them when it starts",))
    hint = " Run `glimpse db sync`." if state in {SchemaState.EMPTY, SchemaState.OWN_MISSING} else ""
    raise SettingsError(f"{state.value}{hint}")
