"""Writes one object: in one request if it is small, else in segments that are sent from memory, several at a time.

Nothing is visible under the name of the image until the commit. An object ``<image>.<attempt>.00000`` marks the attempt
from its beginning to its commit. A sweep deletes the marker first; the commit needs it before it publishes the object,
and deletes it afterwards: if it is not there then, the object goes again. So of a commit and a sweep at the same time
nothing remains, and a swept attempt cannot be committed later (ADR 0020).
"""

from __future__ import annotations

import logging
import mmap
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from contextvars import copy_context
from typing import Protocol

import msgspec

from glimpse.errors import AccessDenied, DataNotFound, GlimpseError, StoreUnavailable
from glimpse.stores import object_errors
from glimpse.stores.base import Bytes, Placed
from glimpse.stores.connections import Answer, Interruption
from glimpse.stores.swift import manifests
from glimpse.stores.swift.account import Account
from glimpse.stores.swift.answers import failure
from glimpse.stores.swift.locations import MARKER, Place, manifest_name, segment_name, segment_prefix

LOG = logging.getLogger(__name__)

#: Bytes of a segment at most. With the buffers below it bounds the memory of one upload.
SEGMENT_BYTES = 16 << 20
#: Segments of one upload that are sent at the same time, while another one is being filled.
IN_FLIGHT = 2

_NEW = {"If-None-Match": "*", "Content-Type": "application/octet-stream"}


class Ended(Protocol):
    """Called once at the end of an upload."""

    def __call__(self, *, committed: bool) -> None: ...


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Where and how one attempt writes.

    ``segment_bytes``: size of a segment. ``single_bytes``: the largest object that is stored without segments.
    ``commits``: held while an attempt publishes its object, by all attempts of the image in this process.
    ``by_prefix``: use a manifest by prefix even if the cluster has static ones. ``ended``: called once at the end, with
    whether the object was committed.
    """

    account: Account
    place: Place
    url: str
    attempt: str
    threads: ThreadPoolExecutor
    segment_bytes: int
    single_bytes: int
    seconds: float
    commits: Callable[[], AbstractContextManager[object]]
    delete_all: manifests.DeleteAll
    by_prefix: bool
    ended: Ended | None = None


class _Buffer:
    """The data of one segment, in memory that takes no space before it is written to. Used for many segments."""

    __slots__ = ("_memory", "size")

    def __init__(self, capacity: int) -> None:
        self._memory = memoryview(mmap.mmap(-1, capacity))
        self.size = 0

    @property
    def is_full(self) -> bool:
        return self.size == len(self._memory)

    @property
    def content(self) -> memoryview:
        return self._memory[: self.size]

    def fill(self, data: memoryview) -> int:
        """Append as much of ``data`` as fits and return its length."""
        count = min(len(data), len(self._memory) - self.size)
        self._memory[self.size : self.size + count] = data[:count]
        self.size += count
        return count


class SwiftWriter:
    """Implements ``stores.base.Writer``. The store has put the marker of the attempt."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._account = target.account
        self._store_id = target.account.store_id
        self._image_id = target.place.name
        self._size = 0
        self._buffer = _Buffer(target.segment_bytes)
        self._spare: list[_Buffer] = []
        self._sending: set[Future[None]] = set()
        self._interruption = Interruption()
        #: segments begun so far, and those that are stored
        self._begun = 0
        self._stored: dict[int, manifests.Segment] = {}
        self._parts: list[manifests.Segment] = []
        self._publishing = False
        self._ended = False
        self._nothing_left = True

    def write(self, data: Bytes) -> None:
        view = memoryview(data).cast("B")
        self._size += len(view)
        while len(view):
            if self._buffer.is_full:
                self._begin_segment()
            view = view[self._buffer.fill(view) :]

    def commit(self) -> Placed:
        target = self._target
        if self._begun or self._buffer.size > target.single_bytes:
            if self._buffer.size:
                self._begin_segment()
            while self._sending:
                self._await_one()
        with target.commits():
            self._require_marker()
            self._publishing = True
            try:
                self._publish()
                self._delete_marker()
            except GlimpseError:
                self._reported(self._withdraw)
                raise
        self._end(committed=True)
        return Placed(target.url, {})

    def abort(self) -> bool:
        if self._ended:
            return self._nothing_left
        for sending in self._sending:
            sending.cancel()
        self._interruption.interrupt()
        _, late = wait(self._sending, 2 * self._target.seconds)
        self._nothing_left = self._reported(self._remove) and not late
        self._end(committed=False)
        return self._nothing_left

    def _reported(self, removal: Callable[[], None]) -> bool:
        """Log why data could not be removed, and return whether they were; else the sweep of the attempt does it."""
        try:
            removal()
        except GlimpseError as error:
            LOG.warning(
                "Store %s: data of an aborted upload of image %s may remain until they are swept: %s",
                self._store_id, self._image_id, error,
            )  # fmt: skip
            return False
        return True

    def _end(self, *, committed: bool) -> None:
        self._ended = True
        self._spare.clear()
        self._buffer = _Buffer(1)
        if self._target.ended is not None:
            self._target.ended(committed=committed)

    # ----------------------------------------------------------------------------------------- segments

    def _begin_segment(self) -> None:
        """Send the buffer as the next segment, and take an empty one."""
        while len(self._sending) >= IN_FLIGHT:
            self._await_one()
        self._begun += 1
        context = copy_context()
        try:
            # log lines of the thread carry the request id
            future = self._target.threads.submit(context.run, self._send, self._begun, self._buffer)
        except RuntimeError as error:
            raise StoreUnavailable(f"Store {self._store_id} is closed.") from error
        self._sending.add(future)
        self._buffer = self._spare.pop() if self._spare else _Buffer(self._target.segment_bytes)

    def _await_one(self) -> None:
        """Wait until a segment is stored, and raise its error."""
        done, self._sending = wait(self._sending, 4 * self._target.seconds, FIRST_COMPLETED)
        if not done:
            raise StoreUnavailable(f"Store {self._store_id} does not take the data in time.")
        for sent in done:
            sent.result()

    def _send(self, number: int, buffer: _Buffer) -> None:
        name = segment_name(self._image_id, self._target.attempt, number)
        path = Place(self._target.place.container, name).path
        headers = {"Content-Type": "application/octet-stream"}
        answer = self._account.persist("PUT", path, headers, buffer.content, interruption=self._interruption)
        if answer.status != 201:
            raise self._write_failure(answer)
        self._stored[number] = manifests.Segment(name, buffer.size, answer.headers.get("etag", "").strip('"'))
        buffer.size = 0
        self._spare.append(buffer)

    # ------------------------------------------------------------------------------------------- commit

    def _publish(self) -> None:
        target, account = self._target, self._account
        headers = {**_NEW, manifests.ATTEMPT: target.attempt}
        if not self._begun:
            self._require_published(account.persist("PUT", target.place.path, headers, self._buffer.content))
            return
        limit = 0 if target.by_prefix else manifests.static_limit(account)
        if limit:
            segments = self._segments(limit)
            self._require_published(manifests.put_static(account, target.place, segments, headers))
            return
        if self._begun > manifests.MOST_BY_PREFIX:
            raise AccessDenied(f"Store {self._store_id} has no static large objects, which this size needs.")
        prefix = segment_prefix(self._image_id, target.attempt)
        self._require_published(manifests.put_by_prefix(account, target.place, prefix, headers))
        manifests.await_size(account, target.place, self._size, target.attempt, target.seconds)

    def _segments(self, limit: int) -> list[manifests.Segment]:
        """Return what the manifest lists, at most ``limit``: the segments, or objects of them."""
        segments = [self._stored[number] for number in range(1, self._begun + 1)]
        if len(segments) <= limit:
            return segments
        return [
            self._put_part(number, segments[start : start + limit])
            for number, start in enumerate(range(0, len(segments), limit), 1)
        ]

    def _put_part(self, number: int, segments: list[manifests.Segment]) -> manifests.Segment:
        """Make one object of some segments, itself a segment of the image."""
        name = manifest_name(self._image_id, self._target.attempt, number)
        answer = manifests.put_static(self._account, Place(self._target.place.container, name), segments, {})
        self._require_published(answer)
        size = sum(segment.size for segment in segments)
        part = manifests.Segment(name, size, answer.headers.get("etag", "").strip('"'))
        self._parts.append(part)
        return part

    def _require_published(self, answer: Answer) -> None:
        if answer.status == 412:
            # the object may be that of this attempt, if the answer to an earlier try was lost
            headers = self._account.head(self._target.place.path, newest=True) or {}
            if headers.get(manifests.ATTEMPT) != self._target.attempt:
                raise object_errors.duplicate(self._store_id, self._image_id)
        elif answer.status == 400 and self._begun:
            raise StoreUnavailable(f"Store {self._store_id} does not have all of the data that were written.")
        elif answer.status != 201:
            raise self._write_failure(answer)

    def _marker_path(self) -> str:
        name = segment_name(self._image_id, self._target.attempt, MARKER)
        return Place(self._target.place.container, name).path

    def _require_marker(self) -> None:
        if self._account.head(self._marker_path(), newest=True) is None:
            raise object_errors.aborted(self._store_id)

    def _delete_marker(self) -> None:
        answer = self._account.persist("DELETE", self._marker_path())
        if answer.status == 404:
            raise object_errors.aborted(self._store_id)
        if answer.status != 204:
            raise self._write_failure(answer)

    # -------------------------------------------------------------------------------------------- abort

    def _remove(self) -> None:
        """Delete whatever this attempt has stored.

        :raises GlimpseError: it cannot be deleted now.
        """
        target = self._target
        if self._publishing:
            self._withdraw()
        numbers = range(MARKER, self._begun + 1)
        names = [segment_name(self._image_id, target.attempt, number) for number in numbers]
        target.delete_all(self._account, target.place.container, [*names, *(part.name for part in self._parts)])

    def _withdraw(self) -> None:
        """Delete the object of the image if this attempt has published it."""
        target = self._target
        headers = self._account.head(target.place.path, newest=True)
        if headers is not None and headers.get(manifests.ATTEMPT) == target.attempt:
            try:
                manifests.delete_object(self._account, target.place, headers, target.delete_all)
            except DataNotFound:
                LOG.info("Store %s: image %s was deleted meanwhile", self._store_id, self._image_id)

    def _write_failure(self, answer: Answer) -> GlimpseError:
        if answer.status == 404:
            return AccessDenied(f"Store {self._store_id} has no container {self._target.place.container} any more.")
        return failure(self._store_id, answer)
