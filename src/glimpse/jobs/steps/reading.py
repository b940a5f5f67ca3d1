"""Reading the data of a location to their end: inspected, and hashed where digests are wanted."""

from __future__ import annotations

from concurrent.futures import Executor

import msgspec

from glimpse.errors import StoreUnavailable
from glimpse.jobs.base import Run
from glimpse.stores.base import Store
from glimpse.transfer.inspect import Inspection
from glimpse.transfer.pump import BATCH_BYTES, Digests


class Content(msgspec.Struct, frozen=True):
    """What the data of a location turned out to be; the digests are None where they were not asked for."""

    virtual_size: int | None
    checksum: str | None = None
    hash_value: str | None = None


def read_location(
    run: Run,
    store: Store,
    url: str,
    size: int | None,
    executor: Executor,
    *,
    algorithm: str | None,
    inspection: Inspection | None,
) -> Content:
    """Read the data at ``url``, which must have ``size`` bytes; None: any number.

    With an ``algorithm`` they are hashed with it and with MD5; ``inspection`` sees them all. The job is asked between
    batches whether to go on, and told how far it is.

    :raises UnsupportedContent: inspection refuses the data.
    :raises DataNotFound: there are none any more.
    :raises Refused: the store does not let the service read them.
    :raises StoreUnavailable: they cannot be read to their end, or have another size by now.
    """
    digests = None if algorithm is None else Digests(algorithm, executor)
    reader = store.reader(url)
    done = 0
    try:
        if reader.length is not None:
            _require_size(size, reader.length)
        while part := reader.read(BATCH_BYTES):
            if inspection is not None:
                inspection.feed(part)
            if digests is not None:
                digests.update(part)
            done += len(part)
            run.progress(done, size if reader.length is None else reader.length)
            if size is not None and done > size:
                break
        _require_size(size, done)
        if digests is not None:
            digests.wait()
    finally:
        reader.close()
    virtual_size = None if inspection is None else inspection.finish(done)
    if digests is None:
        return Content(virtual_size)
    return Content(virtual_size, digests.checksum, digests.hash_value)


def _require_size(wanted: int | None, found: int) -> None:
    if wanted is not None and found != wanted:
        raise StoreUnavailable(f"The location has {found} bytes or more, the image has {wanted}.")
