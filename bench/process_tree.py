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

    def processor_seconds(self) -> dict[int, float]:
        """Return the CPU time of each process so far, with that of its children that ended."""
        return {pid: _processor_seconds(pid) for pid in self.pids()}

    def memory(self) -> dict[int, int]:
        """Return the proportional set size of each process in bytes."""
        return {pid: _proportional_bytes(pid) for pid in self.pids()}


@contextlib.contextmanager
def watched(tree: ProcessTree, interval: float = 0.1) -> Iterator[dict[int, int]]:
    """Sample the memory of the tree every ``interval`` seconds while the block runs; looks for new processes twice a
    second. Yields the highest value of each process in bytes, complete at the end.
    """
    peaks = tree.memory()
    ended = threading.Event()

    def look() -> None:
        pids, looked = list(peaks), time.monotonic()
        while not ended.wait(interval):
            if time.monotonic() - looked > 0.5:
                pids, looked = tree.pids(), time.monotonic()
            for pid in pids:
                peaks[pid] = max(peaks.get(pid, 0), _proportional_bytes(pid))

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield peaks
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
