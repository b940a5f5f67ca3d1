"""How many connections to the database a process keeps open, where its operator does not say it.

Connections beyond the pool are closed when they are given back, and making one anew for each request takes a handshake,
with TLS and a password. So the pool has one for each thread that may need one at any moment. Transfers are not among
them: they need one for milliseconds when they begin and end, and have the overflow.
"""

from __future__ import annotations

import msgspec

from glimpse.settings.model import DatabaseSettings, Settings

# the renewal of leases, and the recovery of those that ran out
_BEATS = 2


def pool_of_service(settings: Settings) -> int:
    """Of a worker of `glimpse serve`: its request threads, its jobs, and what it does by the clock."""
    return settings.listen.request_threads + settings.jobs.threads + _BEATS


def pool_of_jobs(threads: int) -> int:
    """Of `glimpse worker`, which runs so many jobs at the same time."""
    return threads + _BEATS


def with_pool(settings: DatabaseSettings, size: int) -> DatabaseSettings:
    """The settings with a pool of this size, unless they say one."""
    return settings if settings.max_pool_size is not None else msgspec.structs.replace(settings, max_pool_size=size)
