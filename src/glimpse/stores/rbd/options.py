"""The options of a store of kind ``rbd``, with the names that Glance uses (store-formats 8.5)."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from glimpse.stores.base import StoreMisconfigured
from glimpse.stores.rbd.ceph_conf import cluster_id, conf_file
from glimpse.stores.rbd.uri import prefix

_MIB = 1 << 20


class RbdOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Options of a store of kind ``rbd``. Times in seconds; an empty string means not set."""

    rbd_store_pool: Annotated[str, Meta(min_length=1, description="Pool of new images. It must exist.")] = "images"
    rbd_store_user: Annotated[
        str | None,
        Meta(
            description="Name of the Ceph user without client., for example glance. Ceph's configuration names the "
            "file with its key. Not set: admin, as Ceph's commands do."
        ),
    ] = None
    rbd_store_ceph_conf: Annotated[
        str,
        Meta(
            description="Path of Ceph's configuration file. Empty: where Ceph's commands look, for example "
            "/etc/ceph/ceph.conf."
        ),
    ] = ""
    rbd_store_chunk_size: Annotated[
        int,
        Meta(
            ge=1,
            le=32,
            description="Size in MiB of the objects that Ceph stores an image in; the next lower power of two is used.",
        ),
    ] = 8
    rados_connect_timeout: Annotated[
        int,
        Meta(
            description="Seconds after which connecting to the cluster, and each request to a monitor or an OSD, is "
            "given up. -1 or 0: 15 seconds to connect, 30 for a request to a monitor and 60 for one to an OSD, unless "
            "Ceph's configuration has other values."
        ),
    ] = -1
    rbd_thin_provisioning: Annotated[
        bool,
        Meta(description="Accepted and not needed: blocks of zeros are never written, and read as zeros all the same."),
    ] = False


def object_order(options: RbdOptions) -> int:
    """Return the binary logarithm of the object size in bytes (store-formats 8.2)."""
    return (options.rbd_store_chunk_size * _MIB).bit_length() - 1


def url_prefixes(_store_id: str, options: RbdOptions) -> tuple[str, ...]:
    """Return the prefix of ``Prefixed``; nothing if Ceph's configuration file does not contain the cluster's id."""
    fsid = cluster_id(options.rbd_store_ceph_conf)
    return () if fsid is None else (prefix(fsid, options.rbd_store_pool),)


def details(options: RbdOptions) -> dict[str, object]:
    """Return what store discovery shows to administrators (imports-and-stores 1.4)."""
    return {
        "chunk_size": options.rbd_store_chunk_size * _MIB,
        "pool": options.rbd_store_pool,
        "thin_provisioning": options.rbd_thin_provisioning,
        "fsid": cluster_id(options.rbd_store_ceph_conf),
    }


def check(store_id: str, options: RbdOptions) -> None:
    """:raises StoreMisconfigured: Ceph's configuration file does not exist."""
    if conf_file(options.rbd_store_ceph_conf) is None:
        named = options.rbd_store_ceph_conf
        place = f"there is no file {named} (rbd_store_ceph_conf)" if named else "there is no ceph.conf"
        raise StoreMisconfigured(store_id, f"{place}; the store needs Ceph's configuration file")
