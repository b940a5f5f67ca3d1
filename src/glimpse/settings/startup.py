"""Checks of the settings at start, and the size of the connection pool."""

from __future__ import annotations

import ipaddress
import shutil

import msgspec

from glimpse.settings.database_url import is_registry
from glimpse.settings.model import DatabaseSettings, Settings

#: Kinds of stores whose URLs may contain a user, a password or a token.
_KINDS_WITH_CREDENTIALS = frozenset({"http", "s3", "swift"})


def refusals(settings: Settings) -> tuple[str, ...]:
    """Return why the service must not start with ``settings``, one sentence each; empty if it may."""
    reasons: list[str] = []
    if settings.auth.kind == "keystone" and not settings.auth.keystone.get("keystone_authtoken"):
        reasons.append(
            "Auth keystone needs the section [keystone_authtoken] with the URL of Keystone and the credentials of "
            "this service."
        )
    if settings.auth.kind == "none" and not is_loopback(settings.listen.host):
        reasons.append(
            f"With auth none everybody is admin, so the service does not listen on {settings.listen.host}; "
            "set [glimpse] auth to basic, headers or keystone, or [DEFAULT] bind_host to 127.0.0.1."
        )
    if settings.jobs.threads:
        reasons += refusals_of_jobs(settings)
    return tuple(reasons)


def refusals_of_jobs(settings: Settings) -> tuple[str, ...]:
    """Return why a process must not run jobs with ``settings``, one sentence each; empty if it may."""
    if "image_conversion" in settings.import_plugins.names and shutil.which("qemu-img") is None:
        reason = (
            "The import plugin image_conversion needs the program qemu-img: install it (in Debian the package "
            "qemu-utils), or take the plugin out of [image_import_opts] image_import_plugins."
        )
        return (reason,)
    return ()


def credential_warnings(settings: Settings) -> tuple[str, ...]:
    """Return a warning if credentials in location URLs are stored unencrypted."""
    api = settings.api
    if not (settings.stores.named or api.show_multiple_locations or api.show_image_direct_url):
        # the default configuration has an http store, of which the operator may not be aware
        return ()
    kinds = sorted({store.kind for store in settings.stores.stores} & _KINDS_WITH_CREDENTIALS)
    database = settings.database
    if not kinds or database.metadata_encryption_key is not None or is_registry(database.connection):
        return ()
    sentence = (
        f"Credentials in location URLs of stores of kind {', '.join(kinds)} are stored unencrypted in the database: "
        f"set [DEFAULT] metadata_encryption_key before users add such locations."
    )
    return (sentence,)


def is_loopback(host: str) -> bool:
    """Tell whether only this machine can connect to ``host``."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


# ---------------------- How many connections to the database a process keeps open, where its operator does not say it
# Connections beyond the pool are closed when they are given back, and making one anew for each request takes a
# handshake, with TLS and a password. So the pool has one for each thread that may need one at any moment. Transfers are
# not among them: they need one for milliseconds when they begin and end, and have the overflow.

# the renewal of leases, the look for jobs, and recoveries
_BEATS = 4


def pool_of_service(settings: Settings) -> int:
    """Pool size of a worker of `glimpse serve`: its request threads, jobs and periodic tasks."""
    return settings.listen.request_threads + settings.jobs.threads + _BEATS


def pool_of_jobs(threads: int) -> int:
    """Pool size of `glimpse worker` with this number of concurrent jobs."""
    return threads + _BEATS


def with_pool(settings: DatabaseSettings, size: int) -> DatabaseSettings:
    """Return the settings with this pool size, unless one is configured."""
    return settings if settings.max_pool_size is not None else msgspec.structs.replace(settings, max_pool_size=size)
