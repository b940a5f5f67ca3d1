"""The parent process: forks the workers, replaces those that die, and stops them on a signal."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Any, Self

from glimpse.launcher.options import ServeOptions
from glimpse.launcher.worker import MESSAGE_BYTES, READY

# -------------------------------- SIGTERM and SIGINT as a descriptor, to wait for together with processes and sockets

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


MAX_DEATHS = 20
DEATHS_WINDOW_SECONDS = 10.0

_logger = logging.getLogger(__name__)

WorkerMain = Callable[[socket.socket, socket.socket], int]


@dataclass(slots=True, eq=False)
class _Worker:
    """A worker process and the parent's end of its link; `word` is its message after starting or failing to start."""

    process: BaseProcess
    link: socket.socket
    heard: bool = False
    word: bytes = b""

    @property
    def ready(self) -> bool:
        return self.word == READY

    def hear(self) -> None:
        """Read the worker's only message if it has arrived, or the end of file instead."""
        if not self.heard:
            try:
                self.word = self.link.recv(MESSAGE_BYTES)
            except BlockingIOError:
                return
            except OSError:
                pass
            self.heard = True


@dataclass(slots=True, eq=False)
class _Slot:
    """A slot for a worker: the listening socket stays when the process is replaced."""

    number: int
    listener: socket.socket
    worker: _Worker | None = None


class Supervisor:
    """Runs one worker process for each listening socket, until a stop signal, a failure, or too many deaths.

    `main` runs in the worker with its listener and its end of the link, and returns the exit status. `title` is logged
    when every worker is ready.
    """

    def __init__(self, options: ServeOptions, listeners: list[socket.socket], main: WorkerMain, title: str) -> None:
        self._options = options
        self._main = main
        self._title = title
        self._slots = [_Slot(number, listener) for number, listener in enumerate(listeners, start=1)]
        self._signals = StopSignals()
        self._fork = multiprocessing.get_context("fork")
        self._deaths: deque[float] = deque(maxlen=MAX_DEATHS + 1)
        self._deadline: float | None = None
        self._status = 0

    def run(self) -> int:
        """Run until the service ends; return 0 if every worker ended by itself after a stop signal."""
        with ExitStack() as undo:
            undo.enter_context(self._signals)
            undo.callback(self._kill_all)
            for slot in self._slots:
                self._start(slot)
            if self._options.in_parent is not None:
                self._options.in_parent()
            while self._running():
                self._wait()
                for slot in self._slots:
                    self._look_after(slot)
                self._announce()
                self._obey(self._signals.take())
        return self._status

    def _start(self, slot: _Slot) -> None:
        ours, theirs = socket.socketpair()
        ours.settimeout(0)
        process = self._fork.Process(target=self._in_worker, args=(slot, ours, theirs))
        process.start()
        theirs.close()
        slot.worker = _Worker(process, ours)

    def _in_worker(self, slot: _Slot, ours: socket.socket, theirs: socket.socket) -> None:
        self._signals.close()
        # Only the parent stops a worker. Ctrl-C in a terminal and a stop by systemd signal the whole group, and must
        # not end the workers behind its back.
        pass_stop_signals()
        # Copies of other workers' links would prevent those workers from noticing that the parent has died.
        ours.close()
        for other in self._slots:
            if other is not slot:
                other.listener.close()
            if other.worker is not None:
                other.worker.link.close()
        sys.exit(self._main(slot.listener, theirs))

    def _running(self) -> list[_Worker]:
        return [slot.worker for slot in self._slots if slot.worker is not None]

    def _wait(self) -> None:
        """Wait until there may be something to do."""
        events = [self._signals.fileno()]
        for worker in self._running():
            events.append(worker.process.sentinel)
            if not worker.heard:
                events.append(worker.link.fileno())
        wait(events, None if self._deadline is None else max(0.0, self._deadline - time.monotonic()))

    def _look_after(self, slot: _Slot) -> None:
        """Read the message of the slot's worker, and handle its end."""
        worker = slot.worker
        if worker is None:
            return
        # in this order: a message sent before the end is available when the end is detected
        status = worker.process.exitcode
        worker.hear()
        if status is None:
            return
        worker.link.close()
        slot.worker = None
        if self._deadline is not None:
            self._status = self._status or int(status != 0)
        elif not worker.ready and status >= 0:
            said = worker.word.decode("utf-8", "replace")
            self._give_up(said or f"worker {slot.number} ended with status {status} before it could serve")
        else:
            self._replace(slot, worker.process.pid, status)

    def _replace(self, slot: _Slot, pid: int | None, status: int) -> None:
        how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
        _logger.error("worker %d (pid %s) %s: starting another", slot.number, pid, how)
        now = time.monotonic()
        self._deaths.append(now)
        if len(self._deaths) > MAX_DEATHS and now - self._deaths[0] <= DEATHS_WINDOW_SECONDS:
            self._give_up(f"more than {MAX_DEATHS} workers died within {DEATHS_WINDOW_SECONDS:g} seconds")
        else:
            self._start(slot)

    def _announce(self) -> None:
        if self._title and all(slot.worker and slot.worker.ready for slot in self._slots):
            _logger.info("%s", self._title)
            self._title = ""

    def _obey(self, signals: int) -> None:
        if signals and self._deadline is None:
            _logger.info("stopping: running requests have %g seconds to finish", self._options.drain_seconds)
            self._stop()
            signals -= 1
        running = self._running()
        if self._deadline is None or not running:
            return
        if signals:
            _logger.warning("second signal: killing %d worker(s), running requests are aborted", len(running))
        elif time.monotonic() >= self._deadline:
            _logger.warning("the drain time is over: killing %d worker(s), running requests are aborted", len(running))
        else:
            return
        self._kill_all()

    def _give_up(self, reason: str) -> None:
        _logger.error("the service stops: %s", reason)
        self._status = 1
        self._stop()

    def _stop(self) -> None:
        """Refuse new connections from now on, and tell the workers to drain."""
        self._deadline = time.monotonic() + self._options.drain_seconds
        for slot in self._slots:
            slot.listener.close()
            if slot.worker is not None:
                slot.worker.link.close()
                slot.worker.heard = True

    def _kill_all(self) -> None:
        for worker in self._running():
            worker.process.kill()
            worker.process.join()
