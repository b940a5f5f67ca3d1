"""How a store driver describes itself: each has one instance as ``DRIVER``, and ``stores/all.py`` lists them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from glimpse.stores.base import Store
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

    ``without_credentials``: takes a URI after its scheme and returns it in the form to compare with the prefixes,
    where that is another one.

    ``only_read``: the data are on servers where Glimpse never deletes, even if no such store is configured
    (store-formats 4).

    ``in_directories``: URIs are file paths; their directories distinguish the stores of different installations.

    ``only_own``: a store reads only URIs with its own prefixes. Otherwise it is also tried for other URIs with its
    schemes, such as those of another pool or bucket of the same system (store-formats 3).

    ``durable``: the data outlive the process.

    ``stages``: data can wait in its stores for an import: every process finds them by the id of their image, and can
    list them.

    ``private_schemes``: those of ``schemes`` that clients may not use in locations that they add, because the URIs name
    files of the host or credentials in its configuration (images-api 3.5.4).
    """

    kind: str
    schemes: tuple[str, ...]
    options: type[msgspec.Struct]
    build: Callable[..., Store]
    fetches: bool = False
    details: Callable[[Any], dict[str, object]] = _no_details
    timeout: Callable[[Any], CallTimeout | None] = _no_timeout
    url_prefixes: Callable[[str, Any], tuple[str, ...]] = _no_prefixes
    without_credentials: Callable[[str], str] | None = None
    only_read: bool = False
    in_directories: bool = False
    only_own: bool = False
    durable: bool = True
    stages: bool = False
    private_schemes: tuple[str, ...] = ()
