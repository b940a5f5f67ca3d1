"""The Cinder store in the list of drivers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from glimpse.stores.cinder.locations import prefix
from glimpse.stores.cinder.options import SCHEMES, CinderOptions
from glimpse.stores.driver import Driver

if TYPE_CHECKING:
    from glimpse.stores.cinder.store import CinderStore


def _build(store_id: str, options: CinderOptions) -> CinderStore:
    from glimpse.stores.cinder.store import CinderStore  # noqa: PLC0415 - only installations with Cinder need it

    return CinderStore(store_id, options)


def _details(options: CinderOptions) -> dict[str, object]:
    return {"volume_type": options.cinder_volume_type, "use_multipath": options.cinder_use_multipath}


def _url_prefixes(store_id: str, _options: msgspec.Struct) -> tuple[str, ...]:
    return (prefix(store_id),)


DRIVER = Driver(
    kind="cinder",
    schemes=SCHEMES,
    options=CinderOptions,
    build=_build,
    details=_details,
    url_prefixes=_url_prefixes,
)
