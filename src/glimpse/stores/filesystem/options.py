"""The options of a store of kind ``file``, named as operators know them (store-formats 5.5)."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from glimpse.stores.timed_calls import CallTimeout

#: Schemes that are read; ``file`` is written.
SCHEMES = ("file", "filesystem")


class FilesystemOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Options of a store of kind ``file``. Sizes in bytes, times in seconds; an empty text means not set."""

    filesystem_store_datadir: Annotated[
        str,
        Meta(description="Directory of the image files. It is created when missing and must be writable."),
    ] = "/var/lib/glance/images"
    filesystem_store_datadirs: Annotated[
        tuple[str, ...],
        Meta(
            description="Several directories, each as path or path:priority. New images go to the highest priority, "
            "there to the directory with the most free space. Needs filesystem_store_datadir to be empty."
        ),
    ] = ()
    filesystem_store_metadata_file: Annotated[
        str | None,
        Meta(
            description="JSON file with an object, or a list of objects, that have id and mountpoint. The first whose "
            "mountpoint the image file lies below becomes metadata of the location."
        ),
    ] = None
    filesystem_store_file_perm: Annotated[
        int,
        Meta(
            ge=0,
            description="Permissions of new image files in octal digits, for instance 640; the owner must be able to "
            "read. With 0 they follow from the umask of the service.",
        ),
    ] = 0
    filesystem_store_chunk_size: Annotated[
        int,
        Meta(
            ge=1,
            description="With thin provisioning, the length of the blocks that are looked at for zeros; at least 4 KiB "
            "and at most 1 MiB are used. Other reads and writes choose their own sizes.",
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
            description="Bytes that stay free on the file system of a directory. Uploads that would take them are "
            "refused with 413, also in their middle. 0: images may fill it.",
        ),
    ] = 256 << 20
    filesystem_store_timeout: Annotated[
        int,
        Meta(
            ge=0,
            description="Give up on opening, looking at and deleting image files after this time. Reading and writing "
            "an open file may take any time. 0: as `[glimpse] store_call_timeout` says.",
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
    """The time limit on calls that ``options`` set, None without one."""
    if not options.filesystem_store_timeout:
        return None
    return CallTimeout(
        seconds=options.filesystem_store_timeout,
        threads=options.filesystem_store_thread_pool_size,
        warn_above=options.filesystem_store_threadpool_threshold,
    )
