"""Reading the data of a location to their end for their digests."""

from __future__ import annotations

from concurrent.futures import Executor

from glimpse.errors import StoreUnavailable
from glimpse.jobs.base import Run
from glimpse.stores.base import Store
from glimpse.transfer.pump import BATCH_BYTES, Digests


def hash_location(run: Run, store: Store, url: str, size: int | None, algorithm: str, executor: Executor) -> Digests:
    """The digests of the data at ``url``, which must have ``size`` bytes; None: any number.

    The job is asked between batches whether to go on, and told how far it is.

    :raises DataNotFound: there are none any more.
    :raises StoreUnavailable: they cannot be read to their end, or have another size by now.
    """
    digests = Digests(algorithm, executor)
    reader = store.reader(url)
    try:
        if size is not None and reader.length != size:
            raise StoreUnavailable(f"The data of the location have {reader.length} bytes now, and had {size}.")
        # two buffers: the digests may still read one while the other is filled
        buffers = [memoryview(bytearray(BATCH_BYTES)) for _ in range(2)]
        done = 0
        while count := reader.readinto(buffers[0]):
            digests.update(buffers[0][:count])
            done += count
            run.progress(done, reader.length)
            buffers.reverse()
        digests.wait()
    finally:
        reader.close()
    return digests
