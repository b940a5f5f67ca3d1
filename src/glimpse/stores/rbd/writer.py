"""Writing one image until it is visible under its name.

The data go to an RBD image with an unfinished name, which contains the image id and the attempt. The last step of a
commit renames it, after the snapshot is protected. While the writer lives it watches the image, so no client can
remove it; :meth:`RbdWriter.stop` ends that for a sweep in the same process.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable
from threading import Condition, RLock
from typing import Any, Final

import msgspec

from glimpse.errors import GlimpseError, StoreUnavailable
from glimpse.stores.base import Bytes, Placed
from glimpse.stores.object_errors import aborted, duplicate
from glimpse.stores.rbd.ceph_errors import number_of, write_error
from glimpse.stores.rbd.connection import Session
from glimpse.stores.rbd.pieces import Gatherer, data_runs
from glimpse.stores.rbd.removal import ATTEMPT_KEY, remove_attempt, remove_dangling, remove_objects
from glimpse.stores.rbd.renaming import rename
from glimpse.stores.rbd.uri import SNAPSHOT, location_url, unfinished_name
from glimpse.stores.timed_calls import within

LOG = logging.getLogger(__name__)

#: Bytes that Ceph is writing at the same time for one upload. Its library may keep a copy of them.
IN_FLIGHT: Final = 12 << 20

#: An image of unknown size grows by this many bytes at most at a time (store-formats 8.2).
_LARGEST_GROWTH: Final = 8 << 30


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """What is written: names and ids, and the size of an object in bytes."""

    store_id: str
    pool: str
    image_id: str
    attempt: str
    object_size: int


class _Flights:
    """Counts the bytes of asynchronous writes; the library's threads report their ends."""

    def __init__(self, deadline: float) -> None:
        """``deadline`` in seconds: without any end for so long, waiting is given up."""
        self._deadline = deadline
        self._changed = Condition()
        self._bytes = 0
        self._ended = 0
        #: number of errno of the first write that failed
        self.failure = 0

    def start(self, count: int) -> Callable[[Any], None]:
        """Count a write of ``count`` bytes that starts; returns what to call with its completion."""
        with self._changed:
            self._bytes += count

        def ended(completion: Any) -> None:
            result = completion.get_return_value()
            with self._changed:
                self._bytes -= count
                self._ended += 1
                if result < 0 and not self.failure:
                    self.failure = -result
                self._changed.notify()

        return ended

    def not_started(self, count: int) -> None:
        """Take back what :meth:`start` counted."""
        with self._changed:
            self._bytes -= count

    def wait_below(self, limit: int) -> None:
        """Wait until at most ``limit`` bytes are being written, or a write has failed: see ``failure``."""
        with self._changed:
            while self._bytes > limit and not self.failure:
                before = self._ended
                if not self._changed.wait(self._deadline) and self._ended == before:
                    self.failure = errno.ETIMEDOUT


class RbdWriter:
    """Implements ``stores.base.Writer``. Owns its session and the open image until it ends."""

    def __init__(
        self, session: Session, target: Target, image: Any, size: int, on_end: Callable[[RbdWriter, bool], None]
    ) -> None:
        """``size``: what the image has now. ``on_end`` is called once, with whether everything was removed or
        published.
        """
        self.target = target
        self._session = session
        self._pool = session.pool(target.pool)
        self._image = image
        self._open = True
        self._size = size
        self._step = target.object_size
        self._number: str = image.id()
        self._prefix: str = image.block_name_prefix()
        self._data_pool: int = image.data_pool_id()
        self._on_end: Callable[[RbdWriter, bool], None] | None = on_end
        self._nothing_left = True
        self._data = Gatherer()
        self._flights = _Flights(2 * session.connection.deadline)
        self._lock = RLock()
        self._swept = False

    @property
    def received(self) -> int:
        """Bytes that were given to :meth:`write`."""
        return self._data.position

    def write(self, data: Bytes) -> None:
        with self._lock:
            self._require_open()
            for offset, piece in self._data.pieces(data):
                self._start(offset, piece)

    def commit(self) -> Placed:
        target = self.target
        with self._lock:
            self._require_open()
            for offset, piece in self._data.rest():
                self._start(offset, piece)
            self._flights.wait_below(0)
            self._require_written()
            self._complete_in_time()
            self._close_image()
            self._end(removed=True)
        return Placed(location_url(self._session.fsid, target.pool, target.image_id), {})

    def _complete_in_time(self) -> None:
        """Complete the image in a thread: these calls of the library may wait for a lock, which has no time limit."""
        ended: list[bool] = []

        def run() -> None:
            try:
                with self._session.translated(write_error):
                    self._complete()
            finally:
                ended.append(True)

        try:
            within(4 * self._session.connection.deadline, run, f"Store {self.target.store_id}")
        except StoreUnavailable:
            if not ended:
                # a call that still ends must not publish
                self._swept = self._session.timed_out = True
            raise

    def _complete(self) -> None:
        """Make the image durable and visible."""
        if self._size != self._data.position:
            self._image.resize(self._data.position)
        self._image.flush()
        self._image.create_snap(SNAPSHOT)
        self._image.protect_snap(SNAPSHOT)
        self._image.metadata_set(ATTEMPT_KEY, self.target.attempt)
        if self._swept:
            raise aborted(self.target.store_id)
        self._publish()

    def abort(self) -> bool:
        with self._lock:
            if self._on_end is None:
                return self._nothing_left
            self._close_image()
            # a sweep removes everything itself; and when the cluster does not answer, each further request would take
            # its full time limit
            self._nothing_left = not self._session.timed_out and (self._swept or self._removed())
            self._end(removed=self._nothing_left)
            return self._nothing_left

    def stop(self) -> None:
        """Close the image for a sweep, which removes it; the writer can do nothing afterwards but abort.

        :raises StoreUnavailable: a call of the writer takes too long.
        """
        if not self._lock.acquire(timeout=self._session.connection.deadline):
            raise StoreUnavailable(f"An upload to store {self.target.store_id} is still writing.")
        try:
            self._swept = True
            self._close_image()
        finally:
            self._lock.release()

    def _start(self, offset: int, piece: bytes) -> None:
        """Start writing what is not zero of a piece."""
        for start, end in data_runs(piece):
            data = piece if end - start == len(piece) else piece[start:end]
            self._flights.wait_below(IN_FLIGHT - len(data))
            self._require_written()
            with self._session.translated(write_error):
                self._grow(offset + end)
                ended = self._flights.start(len(data))
                try:
                    self._image.aio_write(data, offset + start, ended)
                except BaseException:
                    self._flights.not_started(len(data))
                    raise

    def _grow(self, end: int) -> None:
        """Make the image larger in steps that double, so that an upload of unknown size resizes it a few times."""
        while end > self._size:
            grown = self._size + self._step
            self._image.resize(grown)
            self._size = grown
            self._step = min(2 * self._step, _LARGEST_GROWTH)

    def _publish(self) -> None:
        """Rename the image, which never replaces another one."""
        target = self.target
        names = (unfinished_name(target.image_id, target.attempt), target.image_id)
        try:
            rename(self._session, self._pool, self._number, *names)
        except self._session.errors as error:
            if number_of(error) != errno.EEXIST:
                raise
            if not remove_dangling(self._session, self._pool, target.image_id):
                raise duplicate(target.store_id, target.image_id) from error
            rename(self._session, self._pool, self._number, *names)

    def _require_open(self) -> None:
        if self._swept or not self._open:
            raise aborted(self.target.store_id)
        self._require_written()

    def _require_written(self) -> None:
        if self._flights.failure:
            raise self._session.failed(write_error, self._flights.failure)

    def _close_image(self) -> None:
        """Close the image, which waits for writes that are under way, at most until their time limit."""
        if not self._open:
            return
        self._open = False
        try:
            self._session.close_image(self._image)
        except GlimpseError as error:
            # nothing is lost: what was not flushed is discarded
            LOG.warning("Store %s: an unfinished image was closed with an error: %s", self.target.store_id, error)

    def _removed(self) -> bool:
        target = self.target
        try:
            found = remove_attempt(self._session, self._pool, target.image_id, target.attempt)
            if not found:
                # another process removed the image while this one was stalled; it may have written since
                self._remove_objects()
        except GlimpseError as error:
            LOG.warning("Store %s: unfinished data could not be removed: %s", self.target.store_id, error)
            return False
        return True

    def _remove_objects(self) -> None:
        count = -(-self._size // self.target.object_size)
        remove_objects(self._session, self._data_pool, self._prefix, count)

    def _end(self, *, removed: bool) -> None:
        on_end, self._on_end = self._on_end, None
        if on_end is not None:
            on_end(self, removed)
        self._session.close()
