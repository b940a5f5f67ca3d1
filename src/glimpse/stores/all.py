"""The list of store drivers. Drivers are registered only here; importing one has no side effects.

To add a driver: write its options struct and its store, add an entry here, and add a fixture in
``tests/contract/stores``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from glimpse.stores.base import Store
from glimpse.stores.filesystem.directories import details as file_details
from glimpse.stores.filesystem.directories import url_prefixes as file_prefixes
from glimpse.stores.filesystem.options import SCHEMES as FILE_SCHEMES
from glimpse.stores.filesystem.options import FilesystemOptions
from glimpse.stores.filesystem.options import call_timeout as file_timeout
from glimpse.stores.filesystem.store import FilesystemStore
from glimpse.stores.http import SCHEMES as HTTP_SCHEMES
from glimpse.stores.http import HttpOptions, HttpStore
from glimpse.stores.memory import SCHEMES as MEMORY_SCHEMES
from glimpse.stores.memory import MemoryOptions, MemoryStore
from glimpse.stores.memory import url_prefixes as memory_prefixes
from glimpse.stores.timed_calls import CallTimeout


def _no_details(_options: msgspec.Struct) -> dict[str, object]:
    return {}


def _no_prefixes(_store_id: str, _options: msgspec.Struct) -> tuple[str, ...]:
    return ()


def _no_timeout(_options: msgspec.Struct) -> CallTimeout | None:
    return None


class Driver(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of store (store-formats 1.1).

    ``schemes``: the URI schemes of the locations that it reads.

    ``build``: takes the id of a store and its options, an instance of ``options``; imports heavy and optional modules
    itself and raises ``StoreMisconfigured``.

    ``fetches``: the driver fetches users' URLs; ``build`` then also takes the rules for these URLs and the settings for
    their servers.

    ``details``: returns what store discovery shows to administrators (imports-and-stores 1.4), without credentials,
    hosts or addresses.

    ``timeout``: returns the call timeout from the driver's own options; None for that of ``[glimpse]``.

    ``url_prefixes``: returns the prefixes of ``Prefixed`` from the id and the options of a store, without opening it.

    ``only_read``: the data are on servers where Glimpse never deletes, even if no such store is configured
    (store-formats 4).

    ``in_directories``: URIs are file paths; their directories distinguish the stores of different installations.
    """

    kind: str
    schemes: tuple[str, ...]
    options: type[msgspec.Struct]
    build: Callable[..., Store]
    fetches: bool = False
    details: Callable[[Any], dict[str, object]] = _no_details
    timeout: Callable[[Any], CallTimeout | None] = _no_timeout
    url_prefixes: Callable[[str, Any], tuple[str, ...]] = _no_prefixes
    only_read: bool = False
    in_directories: bool = False


DRIVERS: dict[str, Driver] = {
    driver.kind: driver
    for driver in (
        Driver(
            kind="file",
            schemes=FILE_SCHEMES,
            options=FilesystemOptions,
            build=FilesystemStore,
            details=file_details,
            timeout=file_timeout,
            url_prefixes=file_prefixes,
            in_directories=True,
        ),
        Driver(kind="http", schemes=HTTP_SCHEMES, options=HttpOptions, build=HttpStore, fetches=True, only_read=True),
        Driver(
            kind="memory",
            schemes=MEMORY_SCHEMES,
            options=MemoryOptions,
            build=MemoryStore,
            url_prefixes=memory_prefixes,
            in_directories=True,
        ),
    )
}


def driver_of(scheme: str) -> Driver | None:
    """Return the driver for locations with this scheme, even if no store uses it; None if no driver reads them."""
    return next((driver for driver in DRIVERS.values() if scheme in driver.schemes), None)
