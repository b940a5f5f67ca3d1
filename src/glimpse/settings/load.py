"""Loads the settings from files, environment and command line: validated, typed, frozen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from glimpse.settings import stores as store_settings
from glimpse.settings.combined_options import build_auth, logging_fields, quota_fields
from glimpse.settings.cors import cors_sections, more_cors, section_options
from glimpse.settings.errors import Problems, SettingsError
from glimpse.settings.files import (
    configuration_files,
    custom_schema,
    data_directory,
    embedded_database,
    embedded_images,
    search_directories,
    staging_places,
)
from glimpse.settings.inventory import OPTIONS, closest, report
from glimpse.settings.library_sections import (
    credential_sections,
    library_credential_sections,
    with_keystone,
    with_libraries,
)
from glimpse.settings.model import (
    Api,
    Auth,
    Cors,
    DatabaseSettings,
    DataSources,
    Formats,
    ImportPlugins,
    Imports,
    Jobs,
    Leases,
    Limits,
    Listen,
    Locations,
    Logging,
    Metrics,
    NotificationOptions,
    PolicySettings,
    Quotas,
    RegistryOptions,
    RegistryServer,
    Secret,
    Settings,
    SignatureOptions,
    StoreCalls,
    UriFilter,
)
from glimpse.settings.options import from_text
from glimpse.settings.oslo import (
    Files,
    OptionPlace,
    Override,
    environment_name,
    normal_section,
    read,
    scan,
    variables_of_options,
)
from glimpse.settings.own_options import OWN_OPTIONS, SECTION
from glimpse.settings.startup import credential_warnings
from glimpse.settings.store_options import Drivers, identity_options, store_section


class Sources(msgspec.Struct, frozen=True, kw_only=True):
    """The sources of settings. ``command_line`` overrides options by section and name."""

    config_files: tuple[Path, ...] = ()
    config_dirs: tuple[Path, ...] = ()
    environ: Mapping[str, str] = {}
    command_line: Mapping[OptionPlace, Override] = {}


class Loaded(msgspec.Struct, frozen=True):
    """The settings, and remarks on options and stores in the files that are unknown or have no effect."""

    settings: Settings
    warnings: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def remarks(self) -> tuple[str, ...]:
        """All lines, most important first."""
        return (*self.warnings, *self.notes)


def load(sources: Sources, drivers: Drivers) -> Loaded:
    """Read and validate the settings; ``drivers`` are the store drivers by kind.

    :raises SettingsError: files or values are invalid; it lists as many errors as possible.
    """
    files = scan(configuration_files(sources.config_files, sources.config_dirs))
    origins = cors_sections(files.sections())
    values, backends = _values(sources, drivers, files, origins)
    data_dir = data_directory(values.get((SECTION, "data_dir")), sources.environ)
    configured = _stores(values, backends, drivers, data_dir)
    found_in = search_directories(sources.config_files, sources.config_dirs)
    settings = _settings(values, data_dir, found_in, configured.stores, files.paths)
    staged = msgspec.structs.replace(settings.imports, staging_entry=store_settings.staging_entry(values, drivers))
    settings = msgspec.structs.replace(settings, imports=staged)
    settings = with_keystone(settings, files, sources.environ)
    settings = with_libraries(settings, values, files, sources.environ)
    settings = msgspec.structs.replace(settings, more_cors=more_cors(origins, values, settings.cors))
    present = [
        *((found.section, found.name, found.file) for found in files.present),
        *variables_of_options(sources.environ),
    ]
    credentials = credential_sections(settings) | library_credential_sections(settings)
    present = [found for found in present if found[0] not in credentials]
    remarks = report(
        present, map(normal_section, backends), {n for d in drivers.values() for n in d.options.__struct_fields__}
    )
    unknown = _unknown_variables(sources.environ)
    warnings = (*remarks.warnings, *configured.remarks, *unknown, *credential_warnings(settings))
    return Loaded(settings, warnings, remarks.notes)


def _values(
    sources: Sources, drivers: Drivers, files: Files, origins: Sequence[str]
) -> tuple[dict[OptionPlace, Any], dict[str, str]]:
    """Return the values of all options that are set, and the kinds of named stores by id.

    :raises SettingsError: some are invalid; it lists all of them.
    """
    problems = Problems()
    with problems.collecting():
        _check_own_section(files)
    options = (*OPTIONS, *_single_options(drivers))
    values = dict(read(files, options, sources.environ, sources.command_line, problems))
    backends: dict[str, str] = {}
    with problems.collecting():
        backends = store_settings.named_backends(values, drivers)
    staging = store_settings.staging_kind(values)
    of_staging = () if staging is None else store_section(drivers, (staging,), store_settings.STAGING)
    further = (
        *_named_options(drivers, backends),
        *of_staging,
        *(o for section in origins for o in section_options(section)),
    )
    values.update(read(files, further, sources.environ, {}, problems))
    problems.raise_any()
    return values, backends


def _stores(
    values: Mapping[OptionPlace, Any], backends: Mapping[str, str], drivers: Drivers, data_dir: Path
) -> store_settings.Configured:
    """Build the stores of the settings.

    :raises SettingsError: they are invalid; errors of the identity settings are included.
    """
    problems = Problems()
    with problems.collecting():
        _auth(values)
    try:
        if backends:
            configured = store_settings.named_stores(backends, values, drivers)
        else:
            images = embedded_images(data_dir) if _is_embedded(values) else None
            configured = store_settings.single_store(values, drivers, images)
    except SettingsError as error:
        raise SettingsError(*problems.reasons, *error.reasons) from error
    problems.raise_any()
    return configured


def _is_embedded(values: Mapping[OptionPlace, Any]) -> bool:
    """Whether the service keeps everything in its data directory, because no database is configured."""
    return ("database", "connection") not in values


def _auth(values: Mapping[OptionPlace, Any]) -> Auth:
    return build_auth(_by_part(values)["auth"], str(values.get(("paste_deploy", "flavor"), "")))


def _single_options(drivers: Drivers) -> tuple[Any, ...]:
    return store_section(drivers, drivers, store_settings.SINGLE)


def _named_options(drivers: Drivers, backends: Mapping[str, str]) -> tuple[Any, ...]:
    own = [o for i, kind in backends.items() for o in (*store_section(drivers, (kind,), i), *identity_options(i))]
    return (*own, *store_section(drivers, backends.values(), store_settings.FALLBACK))


def _settings(
    values: Mapping[OptionPlace, Any],
    data_dir: Path,
    found_in: Sequence[Path],
    stores: store_settings.Stores,
    paths: tuple[Path, ...],
) -> Settings:
    fields = _by_part(values)
    limits = from_text(fields["limits"], Limits)
    if limits.limit_param_default > limits.api_limit_max:
        limits = msgspec.structs.replace(limits, limit_param_default=limits.api_limit_max)
    listen = from_text(fields["listen"], Listen)
    uri_filter = from_text(fields["uri_filter"], UriFilter)
    data_sources = from_text(fields["data_sources"], DataSources)
    store_calls = from_text(fields["store_calls"], StoreCalls)
    settings = Settings(
        data_dir=data_dir,
        listen=msgspec.structs.replace(listen, workers=max(listen.workers, 1)),
        metrics=from_text(fields["metrics"], Metrics),
        logging=from_text({**fields["logging"], **logging_fields(values)}, Logging),
        database=_database(fields["database"], values, data_dir),
        auth=_auth(values),
        policy=from_text({**fields["policy"], "config_dirs": [str(path) for path in found_in]}, PolicySettings),
        stores=msgspec.structs.replace(stores, uri_filter=uri_filter, data_sources=data_sources, calls=store_calls),
        limits=limits,
        formats=from_text(fields["formats"], Formats),
        api=from_text(fields["api"], Api),
        leases=from_text(fields["leases"], Leases),
        quotas=from_text({**fields["quotas"], **quota_fields(values)}, Quotas),
        jobs=from_text(fields["jobs"], Jobs),
        locations=from_text(fields["locations"], Locations),
        imports=from_text({**staging_places(data_dir, embedded=_is_embedded(values)), **fields["imports"]}, Imports),
        import_plugins=from_text(fields["import_plugins"], ImportPlugins),
        uri_filter=uri_filter,
        data_sources=data_sources,
        store_calls=store_calls,
        cors=from_text(fields["cors"], Cors),
        notifications=from_text(fields["notifications"], NotificationOptions),
        signatures=from_text(fields["signatures"], SignatureOptions),
        registry=from_text(fields["registry"], RegistryOptions),
        registry_server=from_text(fields["registry_server"], RegistryServer),
        custom_schema=custom_schema(found_in),
        config_files=paths,
    )
    _check_together(settings)
    return settings


def _by_part(values: Mapping[OptionPlace, Any]) -> dict[str, dict[str, Any]]:
    """Group the values by part of the settings and field."""
    parts: dict[str, dict[str, Any]] = {name: {} for name in Settings.__struct_fields__}
    for option in OPTIONS:
        part, separator, field = (option.target or "").partition(".")
        if separator and option.place in values:
            parts[part][field] = values[option.place]
    return parts


def _database(fields: Mapping[str, Any], values: Mapping[OptionPlace, Any], data_dir: Path) -> DatabaseSettings:
    url = str(values.get(("database", "connection"), embedded_database(data_dir)))
    parameters = str(values.get(("database", "connection_parameters"), ""))
    urls = {"connection": _with_parameters(url, parameters)}
    if replica := values.get(("database", "slave_connection")):
        urls["slave_connection"] = _with_parameters(str(replica), parameters)
    return from_text({**fields, **urls}, DatabaseSettings)


def _with_parameters(url: str, parameters: str) -> Secret:
    return Secret(url + ("&" if "?" in url else "?") + parameters if parameters else url)


def _check_together(settings: Settings) -> None:
    problems = Problems()
    with problems.collecting():
        if settings.leases.heartbeat * 2 > settings.leases.lifetime:
            allowed = f"must be at most half of lease_time, which is {settings.leases.lifetime:g}"
            raise SettingsError.of_option(SECTION, "lease_heartbeat", allowed, value=f"{settings.leases.heartbeat:g}")
    with problems.collecting():
        if settings.metrics.port == settings.listen.port:
            allowed = "must not be bind_port"
            raise SettingsError.of_option(SECTION, "metrics_port", allowed, value=str(settings.metrics.port))
    with problems.collecting():
        known = {store.id for store in settings.stores.stores}
        for store_id in settings.api.healthcheck_required_stores:
            if store_id not in known:
                allowed = f"must be ids of stores: {', '.join(sorted(known))}"
                raise SettingsError.of_option(SECTION, "healthcheck_required_stores", allowed, value=store_id)
    problems.raise_any()


def _check_own_section(files: Files) -> None:
    """Refuse misspelt options in our own section: no other service's file has it, and it may protect the service."""
    known = [option.name for option in OWN_OPTIONS]
    problems = Problems()
    for found in files.present:
        with problems.collecting():
            if found.section == SECTION and found.name not in known:
                close = closest(found.name, known)
                hint = "" if close is None else f"; did you mean {close}?"
                raise SettingsError.of_option(SECTION, found.name, f"no such option{hint}", origin=found.file)
    problems.raise_any()


def _unknown_variables(environ: Mapping[str, str]) -> list[str]:
    known = {environment_name(SECTION, option.name) for option in OWN_OPTIONS}
    strange = sorted(name for name in environ if name.startswith("GLIMPSE_") and name not in known)
    hints = {name: closest(name, known) for name in strange}
    return [
        f"Environment variable {name} is unknown and has no effect{f'; did you mean {hint}?' if hint else ''}"
        for name, hint in hints.items()
    ]
