"""The way of an upload: from body parts on the event loop to a writer in one blocking thread.

:class:`BodyPump` bridges the two; :func:`receive_into` moves the stream, every byte inspected before anything else
touches it, then hashed and written side by side (spec 01, section 4.2; design, sections 2 and 3).
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import queue
import time
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import Executor, Future
from typing import Any, Final

import msgspec

from glimpse.errors import BodyIncomplete, BodyTimeout, LimitExceeded, SizeMismatch
from glimpse.signature.base import SignatureVerifier
from glimpse.stores.base import Bytes, Writer
from glimpse.transfer.inspect import Inspection
from glimpse.transfer.source import ByteSource

#: The ``receive`` callable of ASGI.
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

BATCH_BYTES: Final = 1 << 20
#: This many parts are joined on arrival: a body that comes in crumbs must not cost many times its size.
_MAX_LOOSE_PARTS: Final = 512
#: Seconds without a byte after which :meth:`BodyPump.drain` gives up.
_DRAIN_PAUSE: Final = 1.0
#: Below this many bytes, handing the work to other threads costs more than it saves.
_SIDE_BY_SIDE_BYTES: Final = 128 << 10


class _Fill(msgspec.Struct, frozen=True, gc=False):
    """What one round of reading brought: the parts of a batch, and whether and how the body ended."""

    parts: list[bytes]
    ended: bool = False
    gone: bool = False


class BodyPump:
    """The body of one request as a :class:`~glimpse.transfer.source.ByteSource`.

    Every batch but the last has at least ``batch_bytes`` bytes; a part that is larger passes as it is. While the
    thread works on a batch, the loop reads the next one and no further: at most three batches are in memory.
    Nothing is read before the first :meth:`next_batch` or :meth:`drain`, so a server that answers
    ``Expect: 100-continue`` on the first read does not do so for a request that is refused.

    ``received`` is written by the loop alone; all methods belong to one worker thread.
    """

    def __init__(
        self,
        receive: Receive,
        loop: asyncio.AbstractEventLoop,
        *,
        timeout: float,
        batch_bytes: int = BATCH_BYTES,
    ) -> None:
        """``timeout`` is how many seconds may pass without a byte while the loop is reading."""
        self.received = 0
        self._receive = receive
        self._loop = loop
        self._timeout = timeout
        self._batch_bytes = batch_bytes
        self._filled: queue.SimpleQueue[asyncio.Task[_Fill]] = queue.SimpleQueue()
        self._task: asyncio.Task[_Fill] | None = None
        self._heard = 0.0
        self._requested = False
        self._ended = False
        self._closed = False

    def next_batch(self) -> bytes | None:
        """See :meth:`glimpse.transfer.source.ByteSource.next_batch`."""
        parts = self._next_parts(None)
        if parts is None:
            return None
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def drain(self, max_bytes: int, seconds: float) -> bool:
        """See :meth:`glimpse.transfer.source.ByteSource.drain`."""
        deadline = time.monotonic() + seconds
        limit = self.received + max_bytes
        # a client that pauses is waiting for the answer
        self._timeout = min(self._timeout, _DRAIN_PAUSE)
        with contextlib.suppress(BodyIncomplete, BodyTimeout):
            while self.received <= limit and self._next_parts(deadline) is not None:
                pass
        return self._ended

    def close(self) -> None:
        """Cancel the read that is under way; see :meth:`glimpse.transfer.source.ByteSource.close`."""
        if not self._closed:
            self._closed = True
            if self._requested:
                self._call(self._cancel)

    def _next_parts(self, deadline: float | None) -> list[bytes] | None:
        """The parts of the next batch, with the reading of the one after it already started."""
        if self._ended:
            return None
        if self._closed:
            raise BodyIncomplete(self.received)
        if not self._requested:
            self._request()
        fill = self._wait(deadline)
        self._requested = False
        if fill.gone:
            self._closed = True
            raise BodyIncomplete(self.received)
        if fill.ended:
            self._ended = True
        else:
            self._request()
        return fill.parts or None

    def _wait(self, deadline: float | None) -> _Fill:
        while True:
            # Silence counts from the last part, not from the start of the batch: slow senders are welcome.
            heard = self._heard
            until = heard + self._timeout
            if deadline is not None:
                until = min(until, deadline)
            try:
                task = self._filled.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                if heard == self._heard or until == deadline:
                    raise BodyTimeout(
                        f"No byte of the body arrived for {self._timeout:g} seconds, after {self.received} bytes."
                    ) from None
            else:
                return _Fill([], gone=True) if task.cancelled() else task.result()

    def _request(self) -> None:
        self._requested = True
        self._heard = time.monotonic()
        if not self._call(self._start):
            raise BodyIncomplete(self.received)

    def _call(self, callback: Callable[[], None]) -> bool:
        """Run ``callback`` on the loop soon; False when the loop is closed, and with it the connection."""
        try:
            self._loop.call_soon_threadsafe(callback)
        except RuntimeError:
            if not self._loop.is_closed():
                raise
            return False
        return True

    # Below: on the event loop.

    def _start(self) -> None:
        self._heard = time.monotonic()
        self._task = self._loop.create_task(self._fill())
        self._task.add_done_callback(self._filled.put)

    def _cancel(self) -> None:
        # The task, its error and this object must not refer to each other: a cycle keeps the request's body open, and
        # its client hanging, until the garbage collector happens to run.
        task, self._task = self._task, None
        if task is not None:
            task.remove_done_callback(self._filled.put)
            task.cancel()

    async def _fill(self) -> _Fill:
        parts: list[bytes] = []
        joined = 0
        target = self.received + self._batch_bytes
        receive = self._receive
        while self.received < target:
            message = await receive()
            if message["type"] != "http.request":
                return _Fill([], gone=True)
            if part := message.get("body"):
                parts.append(part)
                self.received += len(part)
                self._heard = time.monotonic()
                if len(parts) - joined >= _MAX_LOOSE_PARTS:
                    parts[joined:] = [b"".join(parts[joined:])]
                    joined += 1
            if not message.get("more_body"):
                return _Fill(parts, ended=True)
        return _Fill(parts)


def is_supported(algorithm: str) -> bool:
    """Whether ``algorithm`` can be the ``hashing_algorithm``: a hashlib name with a digest of a fixed length."""
    try:
        return hashlib.new(algorithm, usedforsecurity=False).digest_size > 0
    except ValueError:
        return False


class Digests:
    """``checksum``, ``os_hash_algo`` and ``os_hash_value`` of one stream (spec 01, section 4.2).

    MD5 of a batch runs in ``executor`` while the calling thread does the multihash and then writes the batch. On
    two cores this is as fast as handing over both, at two thirds of the processor time (measured). The buffer of a
    batch must stay as it is until :meth:`wait`, or the next call of anything here, returns.
    """

    def __init__(self, algorithm: str, executor: Executor) -> None:
        """``executor`` is shared by all transfers of the process; its tasks never wait for each other.

        :raises ValueError: hashlib has no such algorithm.
        """
        if not is_supported(algorithm):
            raise ValueError(f"hashlib has no algorithm {algorithm!r} with a digest of a fixed length")
        self.hash_algo = algorithm
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._multihash = hashlib.new(algorithm, usedforsecurity=False)
        self._executor = executor
        self._running: Future[None] | None = None

    def update(self, batch: Bytes) -> None:
        """Hash ``batch``, after the one before it; its MD5 may still be going on when this returns."""
        self.wait()
        if len(batch) < _SIDE_BY_SIDE_BYTES:
            self._md5.update(batch)
        else:
            self._running = self._executor.submit(self._md5.update, batch)
        self._multihash.update(batch)

    def wait(self) -> None:
        """Return when the last batch is hashed."""
        if self._running is not None:
            self._running.result()
            self._running = None

    @property
    def checksum(self) -> str:
        """MD5 in hex of everything so far."""
        self.wait()
        return self._md5.hexdigest()

    @property
    def hash_value(self) -> str:
        """The multihash in hex of everything so far."""
        self.wait()
        return self._multihash.hexdigest()


class Received(msgspec.Struct, frozen=True, kw_only=True):
    """What a complete stream turned out to be: bytes, digests in hex, and the size of the disk inside."""

    size: int
    checksum: str
    hash_algo: str
    hash_value: str
    virtual_size: int | None


def receive_into(
    source: ByteSource,
    writer: Writer,
    digests: Digests,
    inspection: Inspection,
    *,
    declared_size: int | None,
    size_cap: int,
    cap_name: str = "image_size_cap",
    progress: Callable[[int], None] | None = None,
    signature: SignatureVerifier | None = None,
) -> Received:
    """Move the whole of ``source`` into ``writer``, which the caller then commits, or aborts when this raises.

    :param declared_size: bytes that the sender announced; None or 0: unknown; a negative number matches nothing
        (spec 01, section 4.2).
    :param size_cap: largest number of bytes taken; ``cap_name`` is the limit that it comes from, for the message.
    :param progress: called after each batch with the bytes stored so far; what it raises ends the transfer.
    :param signature: is fed the data, and asked at the end, before inspection is.
    :raises Invalid: the signature does not match.
    :raises SizeMismatch: more bytes than declared, as soon as noticed, or fewer at the end.
    :raises LimitExceeded: the declared size, or the bytes that came, are beyond the cap.
    :raises UnsupportedContent: inspection refuses the content.

    and whatever ``source`` and ``writer`` raise.
    """
    declared_size = declared_size or None
    if declared_size is not None and declared_size > size_cap:
        raise _beyond(cap_name, size_cap, declared_size)
    size = 0
    while (batch := source.next_batch()) is not None:
        size += len(batch)
        if declared_size is not None and size > declared_size:
            raise SizeMismatch(declared_size, size)
        if size > size_cap:
            raise _beyond(cap_name, size_cap, size)
        inspection.feed(batch)
        digests.update(batch)
        if signature is not None:
            signature.update(batch)
        writer.write(batch)
        if progress is not None:
            progress(size)
    if declared_size is not None and size != declared_size:
        raise SizeMismatch(declared_size, size)
    if signature is not None:
        signature.verify()
    return Received(
        virtual_size=inspection.finish(size),
        size=size,
        checksum=digests.checksum,
        hash_algo=digests.hash_algo,
        hash_value=digests.hash_value,
    )


def _beyond(cap_name: str, size_cap: int, size: int) -> LimitExceeded:
    return LimitExceeded(f"The data are too large: {size} bytes or more, {cap_name} allows {size_cap}.")
