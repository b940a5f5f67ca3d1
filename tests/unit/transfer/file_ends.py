"""The smallest real writer and reader: one file, unbuffered."""

from __future__ import annotations

import threading
from pathlib import Path

from glimpse.stores.base import Bytes, Placed


class FileWriter:
    """Implements ``stores.base.Writer``."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("xb", buffering=0)

    def write(self, data: Bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[self._file.write(rest) :]

    def commit(self) -> Placed:
        self._file.close()
        return Placed(self._path.as_uri(), {})

    def abort(self) -> None:
        self._file.close()
        self._path.unlink(missing_ok=True)


class FileReader:
    """Implements ``stores.base.Reader``; delivers at most ``at_most`` bytes a call, as sockets do."""

    def __init__(self, path: Path, *, at_most: int = 1 << 30) -> None:
        self._file = path.open("rb", buffering=0)
        self._at_most = at_most
        self.length = path.stat().st_size
        #: bytes delivered, and whether ``close`` was called (and never during a read)
        self.delivered = 0
        self.closed = threading.Event()
        self._lock = threading.Lock()

    def read(self, size: int) -> bytes:
        assert self._lock.acquire(blocking=False), "two threads in one reader"
        try:
            part = self._file.read(min(size, self._at_most))
        finally:
            self._lock.release()
        self.delivered += len(part)
        return part

    def close(self) -> None:
        assert self._lock.acquire(blocking=False), "closed during a read"
        self._lock.release()
        self._file.close()
        self.closed.set()
