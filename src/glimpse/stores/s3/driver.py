"""The S3 store in the list of drivers."""

from __future__ import annotations

from glimpse.stores.base import Store, StoreMisconfigured
from glimpse.stores.driver import Driver
from glimpse.stores.s3.endpoint import endpoint_of
from glimpse.stores.s3.options import SCHEMES, S3Options


def _build(store_id: str, options: S3Options) -> Store:
    # imported here: most services have no such store
    from glimpse.stores.s3.store import S3Store  # noqa: PLC0415

    return S3Store(store_id, options)


def _details(options: S3Options) -> dict[str, object]:
    """Return what Glance shows (imports-and-stores 1.4)."""
    return {
        "s3_store_large_object_size": options.s3_store_large_object_size,
        "s3_store_large_object_chunk_size": options.s3_store_large_object_chunk_size,
        "s3_store_thread_pools": options.s3_store_thread_pools,
    }


def _url_prefixes(store_id: str, options: S3Options) -> tuple[str, ...]:
    try:
        return (endpoint_of(store_id, options).url_prefix(),)
    except StoreMisconfigured:
        return ()


def _without_credentials(rest: str) -> str:
    """Drop the credentials of URIs of older versions of Glance; the key may contain ``/`` (store-formats 10.1)."""
    return rest.rpartition("@")[2]


DRIVER = Driver(
    kind="s3",
    schemes=SCHEMES,
    options=S3Options,
    build=_build,
    details=_details,
    url_prefixes=_url_prefixes,
    without_credentials=_without_credentials,
    stages=True,
)
