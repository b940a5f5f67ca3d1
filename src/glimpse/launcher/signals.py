"""SIGTERM and SIGINT as a descriptor, to wait for together with processes and sockets."""

from __future__ import annotations

import contextlib
import signal
import socket
from types import FrameType
from typing import Any, Self

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StopSignals:
    """While entered, counts the stop signals; `fileno` is readable when there is something to take."""

    def __init__(self) -> None:
        self._count = 0
        self._wake, self._write = socket.socketpair()
        self._wake.settimeout(0)
        self._write.settimeout(0)
        self._previous: dict[signal.Signals, Any] = {}
        self._previous_fd = -1

    def __enter__(self) -> Self:
        self._previous_fd = signal.set_wakeup_fd(self._write.fileno(), warn_on_full_buffer=False)
        for number in STOP_SIGNALS:
            self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._previous_fd)
        self._wake.close()
        self._write.close()

    def fileno(self) -> int:
        return self._wake.fileno()

    def take(self) -> int:
        """Return how many stop signals came since the last call."""
        with contextlib.suppress(BlockingIOError):
            self._wake.recv(4096)
        taken, self._count = self._count, 0
        return taken

    def close(self) -> None:
        """In a forked child, release what is shared with the parent."""
        signal.set_wakeup_fd(-1)
        self._wake.close()
        self._write.close()

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        self._count += 1


def pass_stop_signals() -> None:
    """Ignore stop signals in this process, but not in the programs that it runs.

    Uses an empty handler instead of SIG_IGN, which exec() would pass on: then SIGTERM could not end qemu-img.
    """
    for number in STOP_SIGNALS:
        signal.signal(number, _nothing)


def _nothing(_number: int, _frame: FrameType | None) -> None:
    pass
