"""Facts about running processes from the kernel: their descendants and memory."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROC = Path("/proc")


def children(pid: int) -> list[int]:
    """Direct children of a process, the oldest first; none when it is gone."""
    try:
        lists = [(task / "children").read_text() for task in (PROC / str(pid) / "task").iterdir()]
    except (FileNotFoundError, ProcessLookupError):
        return []
    return sorted(int(child) for text in lists for child in text.split())


def tree(pid: int) -> list[int]:
    """A process and all its descendants."""
    found = [pid]
    for child in children(pid):
        found += tree(child)
    return found


def command_line(pid: int) -> str:
    """The words of a process's command, joined by blanks; empty when it is gone."""
    try:
        return (PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def is_running(pid: int) -> bool:
    """Whether the process exists and is more than a zombie."""
    return _status(pid).get("State", "Z")[0] not in "ZX"


def resident_bytes(pid: int) -> int:
    """Resident memory of one process in bytes; 0 when it is gone."""
    return int(_status(pid).get("VmRSS", "0 kB").split()[0]) * 1024


def tree_resident_bytes(pid: int) -> int:
    """Resident memory of a process and its descendants, in bytes; pages that they share count for each."""
    return sum(resident_bytes(member) for member in tree(pid))


def _status(pid: int) -> dict[str, str]:
    try:
        text = (PROC / str(pid) / "status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return {}
    return {name: value.strip() for name, _, value in (line.partition(":") for line in text.splitlines())}


class MemoryWatch:
    """The resident memory of a process tree while it works, in bytes."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self.before = tree_resident_bytes(pid)
        self.peak = self.before

    @property
    def growth(self) -> int:
        """Highest value seen beyond the first, in bytes."""
        return self.peak - self.before

    def sample(self) -> None:
        """Look now."""
        self.peak = max(self.peak, tree_resident_bytes(self._pid))


@contextmanager
def watched_memory(pid: int, interval: float = 0.05) -> Iterator[MemoryWatch]:
    """Sample the memory of the tree under ``pid`` every ``interval`` seconds while the block runs."""
    watch = MemoryWatch(pid)
    stopped = threading.Event()

    def look() -> None:
        while not stopped.wait(interval):
            watch.sample()

    thread = threading.Thread(target=look, name="memory-watch", daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        watch.sample()
        stopped.set()
        thread.join()
