"""The list of store drivers. A driver is registered only by its entry here; importing one has no side effects.

To add a driver: write its options struct and its store, add a line here, and a fixture in ``tests/contract/stores``.
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

    ``schemes`` are the schemes of locations that it reads. ``build`` takes the id of a store and its options, an
    object of ``options``; it imports heavy and optional modules itself and raises ``StoreMisconfigured``. For a driver
    that ``fetches`` users' URLs it also takes the rules for these URLs and the settings for their servers. ``details``
    returns what store discovery shows to administrators (imports-and-stores 1.4): no credentials, hosts or addresses.
    ``timeout`` returns the call timeout from the driver's own options; None: that of ``[glimpse]``.
    ``url_prefixes`` of the id and the options of a store are those of ``Prefixed``, known without opening the store.
    Data of a driver that is ``only_read`` are on servers from which nobody deletes, whether such a store is configured
    or not (store-formats 4). URIs ``in_directories`` are paths, whose directory tells one installation from another.
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
    """The driver of locations of a scheme, whether a store of it is configured or not."""
    return next((driver for driver in DRIVERS.values() if scheme in driver.schemes), None)
