"""Processor time and memory of a server with all processes that it started, also those that left its session.

The processes are found by a variable in their environment, which children inherit.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

PROC = Path("/proc")
VARIABLE = "GLIMPSE_BENCH_SERVER"
_TICK = os.sysconf("SC_CLK_TCK")
_GONE = (FileNotFoundError, ProcessLookupError, PermissionError)


class ProcessTree:
    """The processes started with ``environment``, except those that have ended."""

    def __init__(self, name: str) -> None:
        self._mark = f"{VARIABLE}={name}-{os.getpid()}".encode()

    def environment(self, more: Mapping[str, str]) -> dict[str, str]:
        """Return the environment for the command that starts the server: that of this process, and ``more``."""
        name, _, value = self._mark.decode().partition("=")
        return {**os.environ, **more, name: value}

    def pids(self) -> list[int]:
        """Return the processes that run now."""
        found: list[int] = []
        for place in PROC.iterdir():
            if not place.name.isdigit():
                continue
            with contextlib.suppress(*_GONE):
                if self._mark in (place / "environ").read_bytes().split(b"\0"):
                    found.append(int(place.name))
        return found

    def processor_seconds(self) -> float:
        """Return the CPU time so far; of a process that ended, if its parent waited for it."""
        return sum(_processor_seconds(pid) for pid in self.pids())

    def memory(self, pids: list[int] | None = None) -> int:
        """Return the proportional set size in bytes; of the tree, or of these processes."""
        return sum(_proportional_bytes(pid) for pid in (self.pids() if pids is None else pids))


class Peak:
    """Highest memory seen, in bytes."""

    def __init__(self, first: int) -> None:
        self.bytes = first


@contextlib.contextmanager
def watched(tree: ProcessTree, interval: float = 0.1) -> Iterator[Peak]:
    """Sample the memory of the tree every ``interval`` seconds while the block runs; looks for new processes twice a
    second.
    """
    peak = Peak(tree.memory())
    ended = threading.Event()

    def look() -> None:
        pids, looked = tree.pids(), time.monotonic()
        while not ended.wait(interval):
            if time.monotonic() - looked > 0.5:
                pids, looked = tree.pids(), time.monotonic()
            peak.bytes = max(peak.bytes, tree.memory(pids))

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        ended.set()
        thread.join()


def _processor_seconds(pid: int) -> float:
    try:
        fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except _GONE:
        return 0.0
    # own time in user and kernel mode, then that of children that ended
    return sum(map(int, fields[11:15])) / _TICK


def _proportional_bytes(pid: int) -> int:
    try:
        lines = (PROC / str(pid) / "smaps_rollup").read_text().splitlines()
    except _GONE:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)
