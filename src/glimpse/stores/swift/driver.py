"""The Swift store in the list of drivers."""

from __future__ import annotations

from glimpse.stores.base import StoreMisconfigured
from glimpse.stores.driver import Driver
from glimpse.stores.swift.multi_tenant import MultiTenantStore
from glimpse.stores.swift.options import SCHEMES, SwiftOptions
from glimpse.stores.swift.single_tenant import SingleTenantStore, url_prefixes


def build(store_id: str, options: SwiftOptions) -> SingleTenantStore | MultiTenantStore:
    """Build the store that ``swift_store_multi_tenant`` asks for.

    :raises StoreMisconfigured: the options are incomplete or contradictory.
    """
    kind = MultiTenantStore if options.swift_store_multi_tenant else SingleTenantStore
    return kind(store_id, options)


def _prefixes(store_id: str, options: SwiftOptions) -> tuple[str, ...]:
    if options.swift_store_multi_tenant:
        return ()
    try:
        return url_prefixes(store_id, options)
    except StoreMisconfigured:  # the constructor says why
        return ()


def _details(options: SwiftOptions) -> dict[str, object]:
    return {
        "container": None if options.swift_store_multi_tenant else options.swift_store_container,
        "large_object_size": options.swift_store_large_object_size,
        "large_object_chunk_size": options.swift_store_large_object_chunk_size,
    }


DRIVER = Driver(
    kind="swift",
    schemes=SCHEMES,
    options=SwiftOptions,
    build=build,
    details=_details,
    url_prefixes=_prefixes,
    private_schemes=("swift+config",),
    stages=True,
)
