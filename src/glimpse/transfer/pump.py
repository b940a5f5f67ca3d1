"""The path of an upload: from body parts on the event loop to a writer, through threads that never wait for the client.

:class:`BodyPump` gathers batches on the event loop and resumes the steps of an upload with each; :func:`receive_into`
are the steps that move the stream: every byte is first inspected, then hashed and written in parallel (images-api 4.2;
ARCHITECTURE.md, Threads, Data safety; docs/adr/0012).
"""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextvars import copy_context
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar

import msgspec

from glimpse.asgi import Receive
from glimpse.errors import BodyIncomplete, BodyTimeout, LimitExceeded, SizeMismatch
from glimpse.signature.base import SignatureVerifier
from glimpse.stores.base import Bytes
from glimpse.transfer.inspect import Inspection
from glimpse.transfer.source import Steps

if TYPE_CHECKING:
    from glimpse.transfer.expected_digest import Verifier

T = TypeVar("T")

BATCH_BYTES: Final = 1 << 20
#: This many parts are joined on arrival: a body in tiny parts must not take many times its size in memory.
_MAX_LOOSE_PARTS: Final = 512
#: Batches that one upload may process before it queues for a thread again.
_STRETCH: Final = 16
#: Below this many bytes, passing the work to other threads costs more than it saves.
_SIDE_BY_SIDE_BYTES: Final = 128 << 10


class Pace:
    """Checks that the client sends a body fast enough. All times are seconds of one clock, which the caller reads.

    Only the time in which the service reads counts: a client that waits for a slow store is not too slow.
    """

    __slots__ = ("_bytes_before", "_least_rate", "_reading_since", "_silence", "_spent", "_window", "heard")

    def __init__(self, *, silence: float, least_rate: float, window: float) -> None:
        """A byte must arrive within ``silence``, and ``least_rate`` bytes per second (0: any) on average over
        ``window``.
        """
        self._silence = silence
        self._least_rate = least_rate
        self._window = window
        self._reading_since: float | None = None
        self._spent = 0.0
        self._bytes_before = 0
        #: when the last part arrived
        self.heard = 0.0

    def read(self, now: float) -> None:
        """Record that reading starts or continues."""
        self._reading_since = self.heard = now

    def pause(self, now: float) -> None:
        """Record that nothing is read for now."""
        if self._reading_since is not None:
            self._spent += now - self._reading_since
            self._reading_since = None

    def check(self, now: float, received: int) -> None:
        """Check the rate after ``received`` bytes.

        :raises BodyTimeout: the client sends nothing, or too slowly.
        """
        if self._reading_since is None:
            return
        if now - self.heard >= self._silence:
            raise BodyTimeout(f"No data arrived for {self._silence:g} seconds, after {received} bytes of the body.")
        spent = self._spent + now - self._reading_since
        if spent < self._window:
            return
        came = received - self._bytes_before
        if came < self._least_rate * spent:
            raise BodyTimeout(
                f"The body arrives too slowly: {came} bytes in the last {spent:.0f} seconds; the least rate is "
                f"{self._least_rate:g} bytes a second."
            )
        self._spent, self._bytes_before, self._reading_since = 0.0, received, now

    def next_check(self, now: float) -> float:
        """Seconds from ``now`` until :meth:`check` may have something to say."""
        if self._reading_since is None:
            return min(self._silence, self._window) / 4
        return min(self.heard + self._silence, self._reading_since + self._window - self._spent) - now


class _StepInput(msgspec.Struct, frozen=True, gc=False):
    """The value with which the steps are resumed: a batch in parts, the end of the body, or its error."""

    parts: list[bytes]
    ended: bool = False
    failed: bool = False


#: Start of the steps, up to their first yield; and errors of the body.
_BEGIN: Final = _StepInput([])
_FAILED: Final = _StepInput([], failed=True)


class BodyPump(Generic[T]):
    """The body of one request, and the steps that store it, which are resumed in a thread for every batch.

    Every batch but the last has at least ``batch_bytes`` bytes; a part that is larger passes as it is. While a thread
    works on a batch, the loop gathers the next one and no further. At most four batches are in memory: one whose MD5 is
    not finished, the next one as parts and joined, and the one after it on the loop. An upload that
    waits for its sender has no thread. Nothing is read before the steps ask for the first batch, so a server that
    answers ``Expect: 100-continue`` on the first read does not do so for a request that is refused.
    """

    def __init__(self, receive: Receive, threads: Executor, pace: Pace, *, batch_bytes: int = BATCH_BYTES) -> None:
        """Create it on the event loop, and call all public methods there."""
        #: bytes that arrived so far
        self.received = 0
        self._receive = receive
        self._threads = threads
        self._pace = pace
        self._batch_bytes = batch_bytes
        self._loop = asyncio.get_running_loop()
        self._context = copy_context()
        self._lock = threading.Lock()
        self._steps: Steps[T] | None = None
        self._outcome: asyncio.Future[T] | None = None
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._parts: list[bytes] = []
        self._over = self._complete = False
        self._dropping = False
        self._fault: BaseException | None = None
        # under the lock: the next value for the steps, and whether no thread is running them
        self._next: _StepInput | None = None
        self._parked = True

    async def feed(self, steps: Steps[T]) -> T:
        """Run ``steps`` to their end, and return or raise their result.

        They get :class:`BodyIncomplete` if the client disconnects before the end or this call is cancelled, and
        :class:`BodyTimeout` if it is too slow.
        """
        outcome: asyncio.Future[T] = self._loop.create_future()
        self._steps, self._outcome = steps, outcome
        self._give(_BEGIN)
        self._timer = self._loop.call_later(self._pace.next_check(monotonic()), self._watch)
        try:
            return await outcome
        except asyncio.CancelledError:
            self._interrupt(BodyIncomplete(self.received))
            raise
        finally:
            # An error, its traceback and what refers to them must not be a cycle: that keeps the request's body open,
            # and its client hanging, until the garbage collector happens to run.
            self._outcome = None
            del outcome

    async def drain(self, max_bytes: int, seconds: float, pause: float) -> bool:
        """Read and drop the rest, so that a client that is still sending gets an early refusal.

        Stops after ``max_bytes`` bytes or ``seconds`` seconds, or if the client disconnects, or pauses for ``pause``
        seconds, because then it is waiting for the response. Returns True if the end of the body was reached.
        """
        self._dropping = True
        self._parts = []
        until = monotonic() + seconds
        limit = self.received + max_bytes
        while not self._over and self.received <= limit:
            self._read_on()
            task, heard = self._task, self._pace.heard
            if task is None:
                break
            ended, _ = await asyncio.wait((task,), timeout=min(pause, until - monotonic()))
            if not ended and (heard == self._pace.heard or monotonic() >= until):
                return False
        return self._complete

    def close(self) -> None:
        """Stop reading; the rest of the body is not needed. Safe to call twice, and after the end."""
        self._over = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        task, self._task = self._task, None
        if task is not None:
            task.cancel()

    def _read_on(self) -> None:
        """Collect the next batch, unless this is in progress or there is none."""
        if self._task is None and not self._over:
            self._pace.read(monotonic())
            self._task = self._loop.create_task(self._gather())

    async def _gather(self) -> None:
        parts = self._parts = []
        joined = 0
        target = self.received + self._batch_bytes
        receive, pace = self._receive, self._pace
        try:
            while self.received < target and not self._over:
                message = await receive()
                if message["type"] != "http.request":
                    self._break_off(BodyIncomplete(self.received))
                    return
                if part := message.get("body"):
                    self.received += len(part)
                    pace.heard = monotonic()
                    if not self._dropping:
                        parts.append(part)
                        if len(parts) - joined >= _MAX_LOOSE_PARTS:
                            parts[joined:] = [b"".join(parts[joined:])]
                            joined += 1
                self._over = self._complete = not message.get("more_body")
        except asyncio.CancelledError:
            self._break_off(BodyIncomplete(self.received))
            raise
        except Exception as error:  # noqa: BLE001 - raised in the steps
            self._break_off(error)
            return
        finally:
            pace.pause(monotonic())
            self._task = None
        if not self._dropping:
            self._give(_StepInput(parts, self._complete))

    def _break_off(self, fault: BaseException) -> None:
        self._over = True
        self._interrupt(fault)

    def _watch(self) -> None:
        now = monotonic()
        try:
            self._pace.check(now, self.received)
        except BodyTimeout as error:
            self._timer = None
            self._interrupt(error)
        else:
            self._timer = self._loop.call_later(max(0.001, self._pace.next_check(now)), self._watch)

    def _interrupt(self, fault: BaseException) -> None:
        """End the steps with ``fault``, unless they have ended."""
        if self._fault is None and self._steps is not None:
            self._fault = fault
            self._give(_FAILED)

    def _give(self, given: _StepInput) -> None:
        with self._lock:
            if self._next is not _FAILED:
                self._next = given
            parked, self._parked = self._parked, False
        if parked and self._steps is not None:
            self._threads.submit(self._work, self._steps)

    def _settle(self, value: T | None, error: BaseException | None) -> None:
        self._steps = self._fault = None
        outcome = self._outcome
        if outcome is None or outcome.done():
            return  # the request was cancelled
        if error is not None:
            outcome.set_exception(error)
        else:
            outcome.set_result(value)  # pyright: ignore[reportArgumentType] - without an error it is a T

    # Below: runs in a thread of the pool, one at a time.

    def _work(self, steps: Steps[T]) -> None:
        """Resume the steps as long as there are data, for a limited number of batches, because others need threads
        too.
        """
        for _ in range(_STRETCH):
            given = self._take()
            # Only one thread at a time may enter the context, which has the caller for log lines; it is left before
            # parking.
            if given is None or self._context.run(self._resume, steps, given):
                return
        self._threads.submit(self._work, steps)

    def _take(self) -> _StepInput | None:
        with self._lock:
            given, self._next = self._next, None
            if given is None:
                self._parked = True
                return None
        if given.parts and not given.ended:
            self._tell(self._read_on)
        return given

    def _resume(self, steps: Steps[T], given: _StepInput) -> bool:
        """Resume the steps once; return whether they have ended."""
        parts = given.parts
        try:
            if given.failed:
                # no local name refers to it, see feed()
                steps.throw(self._fault or BodyIncomplete(self.received))
            elif parts:
                batch = parts[0] if len(parts) == 1 else b"".join(parts)
                # Only the batch stays in memory while the steps process it.
                parts.clear()
                steps.send(batch)
                del batch
                if given.ended:
                    steps.send(None)
            else:
                steps.send(None)
        except StopIteration as end:
            self._tell(self._settle, end.value, None)
            return True
        except BaseException as error:  # noqa: BLE001 - raised where the outcome is awaited
            self._tell(self._settle, None, error)
            return True
        if given.ended or given.failed:
            steps.close()
            self._tell(self._settle, None, RuntimeError("The steps of an upload ask for more than there is."))
            return True
        if given is _BEGIN:
            self._tell(self._read_on)
        return False

    def _tell(self, callback: Callable[..., None], *arguments: Any) -> None:
        """Run ``callback`` on the loop soon; do nothing if the loop, and so the connection, is closed."""
        try:
            self._loop.call_soon_threadsafe(callback, *arguments)
        except RuntimeError:
            if not self._loop.is_closed():
                raise


def is_supported(algorithm: str) -> bool:
    """Tell whether ``algorithm`` can be the ``hashing_algorithm``: a hashlib name with a digest of fixed length."""
    try:
        return hashlib.new(algorithm, usedforsecurity=False).digest_size > 0
    except ValueError:
        return False


class Digests:
    """``checksum``, ``os_hash_algo`` and ``os_hash_value`` of one stream (images-api 4.2).

    MD5 of a batch runs in ``executor`` while the calling thread does the multihash and then writes the batch. On
    two cores this is as fast as handing over both, at two thirds of the processor time (measured). The buffer of a
    batch must stay as it is until :meth:`wait`, or the next call of anything here, returns.
    """

    def __init__(self, algorithm: str, executor: Executor, further: tuple[str, ...] = ()) -> None:
        """``executor`` is shared by all transfers of the process; its tasks never wait for each other.

        ``further`` are algorithms of hashlib whose digests somebody has asked for.

        :raises ValueError: hashlib has no such algorithm.
        """
        if not is_supported(algorithm):
            raise ValueError(f"hashlib has no algorithm {algorithm!r} with a digest of a fixed length")
        self.hash_algo = algorithm
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._multihash = hashlib.new(algorithm, usedforsecurity=False)
        self._further = {name: hashlib.new(name, usedforsecurity=False) for name in further if name != algorithm}
        self._executor = executor
        self._running: Future[None] | None = None

    def update(self, batch: Bytes) -> None:
        """Hash ``batch`` after the previous one; its MD5 may still be running when this returns."""
        self.wait()
        if len(batch) < _SIDE_BY_SIDE_BYTES:
            self._md5.update(batch)
        else:
            self._running = self._executor.submit(self._md5.update, batch)
        self._multihash.update(batch)
        for running in self._further.values():
            running.update(batch)

    def wait(self) -> None:
        """Wait until the last batch is hashed."""
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

    @property
    def further(self) -> dict[str, str]:
        """The digests in hex that were asked for beside the multihash, by algorithm."""
        return {name: running.hexdigest() for name, running in self._further.items()}


class Received(msgspec.Struct, frozen=True, kw_only=True):
    """Facts about a complete stream: size in bytes, digests in hex, and the size of the disk inside.

    ``further`` are digests that were asked for, by algorithm.
    """

    size: int
    checksum: str
    hash_algo: str
    hash_value: str
    virtual_size: int | None
    further: dict[str, str] = {}


class Sink(Protocol):
    """What a stream is written to: a writer, or several together."""

    def write(self, data: bytes, /) -> None:
        """Take all of ``data``."""
        ...


def receive_into(
    writer: Sink,
    digests: Digests,
    inspection: Inspection,
    *,
    declared_size: int | None,
    size_cap: int,
    cap_name: str = "image_size_cap",
    progress: Callable[[int], None] | None = None,
    signature: SignatureVerifier | None = None,
    expected: Verifier | None = None,
) -> Steps[Received]:
    """Write a whole stream to ``writer``, which the caller then commits, or aborts if this raises.

    :param declared_size: bytes that the sender announced; None or 0: unknown; a negative number matches nothing
        (images-api 4.2).
    :param size_cap: maximum number of bytes; ``cap_name`` names the limit in the message.
    :param progress: called after each batch with the bytes stored so far; an exception that it raises ends the
        transfer.
    :param signature: receives the data, and is verified at the end, before inspection finishes.
    :param expected: likewise; compares the data with digests that were given.
    :raises Invalid: the signature does not match, or a digest is not the expected one.
    :raises SizeMismatch: more bytes than declared, as soon as noticed, or fewer at the end.
    :raises LimitExceeded: the declared size or the received bytes exceed the cap.
    :raises UnsupportedContent: inspection refuses the content.

    Errors of ``writer``, and errors of the body thrown into the steps, are raised as well.
    """
    declared_size = declared_size or None
    if declared_size is not None and declared_size > size_cap:
        raise beyond_cap(cap_name, size_cap, declared_size)
    size = 0
    while (batch := (yield)) is not None:
        size += len(batch)
        if declared_size is not None and size > declared_size:
            raise SizeMismatch(declared_size, size)
        if size > size_cap:
            raise beyond_cap(cap_name, size_cap, size)
        inspection.feed(batch)
        digests.update(batch)
        if signature is not None:
            signature.update(batch)
        if expected is not None:
            expected.update(batch)
        writer.write(batch)
        if progress is not None:
            progress(size)
        del batch  # release it while the next one is collected
    if declared_size is not None and size != declared_size:
        raise SizeMismatch(declared_size, size)
    if signature is not None:
        signature.verify()
    if expected is not None:
        expected.verify()
    return Received(
        virtual_size=inspection.finish(size),
        size=size,
        checksum=digests.checksum,
        hash_algo=digests.hash_algo,
        hash_value=digests.hash_value,
        further=digests.further,
    )


def beyond_cap(cap_name: str, size_cap: int, size: int) -> LimitExceeded:
    """Return the error for ``size`` bytes, which the limit ``cap_name`` of ``size_cap`` bytes does not allow."""
    return LimitExceeded(f"The data are too large: {size} bytes or more, {cap_name} allows {size_cap}.")
