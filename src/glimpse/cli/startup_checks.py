"""Checks of the operator's files and options before workers are started.

A worker would find the same errors, but could report them only in the log.
"""

from __future__ import annotations

from glimpse.api.v2.schemas.catalog import build_schemas
from glimpse.api.v2.schemas.custom import CustomSchemaError
from glimpse.auth.all import build as build_authenticator
from glimpse.database_factory import open_registry
from glimpse.db.records import UsageFigures
from glimpse.errors import Invalid
from glimpse.notify.all import build_notifier
from glimpse.policy.engine import OsloPolicy
from glimpse.policy.property_protection import build_property_protection
from glimpse.quota.all import build_limits
from glimpse.settings.database_url import is_registry
from glimpse.settings.errors import Problems, SettingsError
from glimpse.settings.model import Settings
from glimpse.signature.all import try_signatures
from glimpse.stores.base import StoreMisconfigured
from glimpse.stores.multi import StoreSet


def try_files(settings: Settings) -> None:
    """Read the files for policy, identity, image properties and their protection, and for a registry or a database, and
    the options for limits, notifications and signatures.

    Changes nothing.

    :raises SettingsError: some are invalid; the error lists all of them.
    """
    problems = Problems()
    for part in (
        _try_identity, _try_policy, _try_limits, try_database, try_notifications, _try_signatures, _try_schemas,
    ):  # fmt: skip
        with problems.collecting():
            part(settings)
    problems.raise_any()


def _try_identity(settings: Settings) -> None:
    build_authenticator(settings.auth)


def _try_policy(settings: Settings) -> None:
    build_property_protection(settings.policy, OsloPolicy(settings.policy))


def _try_limits(settings: Settings) -> None:
    build_limits(settings.quotas, _nothing_used)


def try_database(settings: Settings) -> None:
    """Check the database URLs, or the settings for a registry, without connecting.

    :raises SettingsError: they are invalid, or the driver is not installed.
    """
    if is_registry(settings.database.connection):
        open_registry(settings).close()
    else:
        _try_database_urls(settings)


def _try_signatures(settings: Settings) -> None:
    try_signatures(settings.signatures)


def _try_schemas(settings: Settings) -> None:
    try:
        build_schemas(
            container_formats=settings.formats.container_formats,
            disk_formats=settings.formats.disk_formats,
            custom=settings.custom_schema,
        )
    except CustomSchemaError as error:
        raise SettingsError(str(error)) from error


def _try_database_urls(settings: Settings) -> None:
    from glimpse.db.sql.urls import engine_url, for_driver

    for name in ("connection", "slave_connection"):
        url = getattr(settings.database, name)
        try:
            if url is not None:
                for_driver(engine_url(url))
        except Invalid as error:
            raise SettingsError(f"[database] {name}: {error}") from error


def try_notifications(settings: Settings) -> None:
    """Check the notification drivers, without connecting.

    :raises SettingsError: a driver or its options are invalid.
    """
    notifier = build_notifier(settings.notifications)
    if notifier is not None:
        notifier.close(0)


def _nothing_used(_project_id: str | None) -> UsageFigures:
    return UsageFigures(size_total=0, stage_total=0, count_total=0, count_uploading=0)


def try_stores(settings: Settings) -> None:
    """Build the stores, which makes the directories that they need, and close them: nothing stays open for workers.

    :raises SettingsError: a store cannot work as configured.
    """
    try:
        StoreSet(settings.stores).close()
    except StoreMisconfigured as error:
        raise SettingsError(f"The {error}.") from error
