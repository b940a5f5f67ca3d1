"""The options of a store of kind ``file``, with the names that Glance uses (store-formats 5.5)."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from glimpse.stores.timed_calls import CallTimeout

#: Schemes that are read; ``file`` is written.
SCHEMES = ("file", "filesystem")


class FilesystemOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Options of a store of kind ``file``. Sizes in bytes, times in seconds; an empty string means not set."""

    filesystem_store_datadir: Annotated[
        str,
        Meta(description="Directory of the image files. It is created if it does not exist, and must be writable."),
    ] = "/var/lib/glance/images"
    filesystem_store_datadirs: Annotated[
        tuple[str, ...],
        Meta(
            description="Several directories, each as path or path:priority. New images go to the directory with the "
            "highest priority, among equals to the one with the most free space. Requires an empty "
            "filesystem_store_datadir."
        ),
    ] = ()
    filesystem_store_metadata_file: Annotated[
        str | None,
        Meta(
            description="JSON file with an object, or a list of objects, each with id and mountpoint. The first object "
            "whose mountpoint contains the image file becomes the metadata of the location."
        ),
    ] = None
    filesystem_store_file_perm: Annotated[
        int,
        Meta(
            ge=0,
            description="Permissions of new image files in octal digits, for example 640; the owner must be able to "
            "read. 0: the umask of the service decides.",
        ),
    ] = 0
    filesystem_store_chunk_size: Annotated[
        int,
        Meta(
            ge=1,
            description="With thin provisioning, the size of the blocks that are checked for zeros; limited to between "
            "4 KiB and 1 MiB. Other reads and writes choose their own sizes.",
        ),
    ] = 65536
    filesystem_thin_provisioning: Annotated[
        bool,
        Meta(description="Leave holes in image files instead of writing blocks of zeros."),
    ] = False
    filesystem_store_reserve: Annotated[
        int,
        Meta(
            ge=0,
            description="Bytes that are kept free on the file system of a directory. Uploads that would use them are "
            "refused with 413, even while in progress. 0: images may fill the file system.",
        ),
    ] = 256 << 20
    filesystem_store_timeout: Annotated[
        int,
        Meta(
            ge=0,
            description="Timeout for opening, inspecting and deleting image files. Reading and writing an open file "
            "has no timeout. 0: use `[glimpse] store_call_timeout`.",
        ),
    ] = 0
    filesystem_store_thread_pool_size: Annotated[
        int,
        Meta(ge=1, description="Threads that make those calls when filesystem_store_timeout is set."),
    ] = 10
    filesystem_store_threadpool_threshold: Annotated[
        int,
        Meta(ge=0, le=100, description="Warn when more than this percentage of those threads is busy."),
    ] = 75


def call_timeout(options: FilesystemOptions) -> CallTimeout | None:
    """Return the call timeout set in ``options``, None without one."""
    if not options.filesystem_store_timeout:
        return None
    return CallTimeout(
        seconds=options.filesystem_store_timeout,
        threads=options.filesystem_store_thread_pool_size,
        warn_above=options.filesystem_store_threadpool_threshold,
    )
