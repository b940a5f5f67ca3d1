"""What a server sends on a connection: the head of an answer, then its body.

Data of a body go from the socket straight into the object that is returned, and one call of the system waits for as
many as are wanted: each further call, and each return to Python, costs processor time (ADR 0023).
"""

from __future__ import annotations

import io
import socket
import ssl
import struct
import time
from typing import TYPE_CHECKING

from glimpse.stores.connections.limits import Limits

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

#: Seconds after which a read ends with what it has, and after which a wait looks at its limits.
_TICK = 1.0
_HEAD_BUFFER = 16 << 10
#: Bytes for which the kernel wakes a waiting thread, if as many come after those that the thread waits for.
_WAKE_BYTES = 256 << 10
#: Size of the kernel's buffer from which on it does so: with a smaller one the server might wait until there is room,
#: and the thread for more bytes.
_LEAST_BUFFER = 8 * _WAKE_BYTES


class Incoming:
    """The answer to one request, as the socket from which ``HTTPResponse`` makes its file."""

    def __init__(self, sock: socket.socket, limits: Limits, deadline: float) -> None:
        """``deadline``: when the head must have arrived, by the clock of ``time.monotonic``."""
        self._raw = _Raw(sock, limits, deadline)
        self._file = _File(self._raw, _HEAD_BUFFER)

    def makefile(self, _mode: str) -> io.BufferedReader:
        return self._file

    def begin_body(self, length: int | None) -> None:
        """The head has been read; ``length``: bytes of the body, None if something else marks its end."""
        buffered = self._buffered()
        self._raw.begin_body(None if length is None else max(0, length - buffered))

    def read(self, size: int) -> bytes:
        """Return ``size`` bytes of a body of known length; fewer if no more have arrived after a second, and at the end
        of the data.

        :raises OSError: the connection broke, or the data arrive too slowly.
        """
        self._raw.begin_read(some=self._buffered() > 0)
        return self._file.read(size)

    def has_rest(self) -> bool:
        """Tell whether the server sent more than the body."""
        return self._buffered() > 0

    def _buffered(self) -> int:
        self._raw.pause()
        return len(self._file.peek())


class _File(io.BufferedReader):
    """Not closed by ``HTTPResponse``, so that it can be looked at after the end of the body."""

    def close(self) -> None:
        pass


class _Raw(io.RawIOBase):
    """The data of the socket. Closing it leaves the connection open."""

    def __init__(self, sock: socket.socket, limits: Limits, deadline: float) -> None:
        self._sock = sock
        self._limits = limits
        self._tick = min(_TICK, limits.silence)
        #: for the head; None in the body
        self._deadline: float | None = deadline
        self._paused = False
        #: bytes of the body that have not been received; None: unknown
        self._left: int | None = None
        # the read that runs: whether it has data, and when it ends with what it has
        self._some = False
        self._until = 0.0
        #: met by a read that had data, for the next one
        self._error: OSError | None = None
        self._flags = 0
        self._wake_bytes = 1
        # for the least rate
        self._bytes = 0
        self._waited = 0.0

    def begin_body(self, left: int | None) -> None:
        self._deadline = None
        self._left = left
        self._paused = False
        if isinstance(self._sock, ssl.SSLSocket):
            self._sock.settimeout(self._tick)
        else:
            # the kernel fills the buffer, and returns what it has after a tick
            self._sock.settimeout(None)
            tick = struct.pack("ll", int(self._tick), round(self._tick % 1 * 1e6))
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, tick)
            self._flags = 0 if left is None else socket.MSG_WAITALL

    def begin_read(self, *, some: bool) -> None:
        """A read of a body of known length begins; ``some``: it has data already."""
        self._paused = False
        self._some = some
        self._until = time.monotonic() + self._tick
        error, self._error = self._error, None
        if error is not None:
            raise error

    def pause(self) -> None:
        """Receive nothing before the next read."""
        self._paused = True

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int | None:
        """Receive into ``buffer``; None: nothing more for the read that runs."""
        if self._deadline is not None:
            return self._receive_head(buffer, self._deadline)
        if self._paused:
            return None
        if self._left is None:
            return self._receive(memoryview(buffer))
        if self._some and time.monotonic() >= self._until:
            return None
        view = memoryview(buffer)[: self._left]
        if not view:
            return 0
        if self._flags:
            self._wake_for(_WAKE_BYTES if self._left - len(view) >= _WAKE_BYTES else 1)
        try:
            count = self._receive(view)
        except OSError as error:
            if not self._some:
                raise
            self._error = error
            return None
        self._some = True
        self._left -= count
        return count

    def _wake_for(self, count: int) -> None:
        """Have a waiting thread woken for ``count`` bytes, not for each segment that arrives."""
        if count != self._wake_bytes and (count == 1 or self._buffer_size() >= _LEAST_BUFFER):
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, count)
            self._wake_bytes = count

    def _buffer_size(self) -> int:
        return self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)

    def _receive_head(self, buffer: WriteableBuffer, deadline: float) -> int | None:
        if self._paused:
            return None
        rest = deadline - time.monotonic()
        if rest <= 0:
            raise TimeoutError("the head did not arrive in time")
        self._sock.settimeout(rest)
        return self._sock.recv_into(buffer)

    def _receive(self, view: memoryview) -> int:
        """Wait for data and return their number, 0 at the end."""
        began = time.monotonic()
        while True:
            step = time.monotonic()
            try:
                count = self._sock.recv_into(view, flags=self._flags)
            except (BlockingIOError, TimeoutError):  # a tick passed
                count = -1
            now = time.monotonic()
            self._require_rate(max(0, count), now - step)
            if count >= 0:
                return count
            if now - began >= self._limits.silence:
                raise TimeoutError("nothing arrived in time")

    def _require_rate(self, count: int, seconds: float) -> None:
        self._bytes += count
        self._waited += seconds
        if self._waited >= self._limits.rate_window:
            if self._bytes < self._limits.least_rate * self._waited:
                raise TimeoutError("the data arrive too slowly")
            self._bytes, self._waited = 0, 0.0
