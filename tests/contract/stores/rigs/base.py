"""What a driver brings to the contract suite: its store, and a look behind it."""

import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

from glimpse.stores.base import Bytes, Reader, Store, Writer

ATTEMPT = "a1b2"


def new_id() -> str:
    return str(uuid4())


def drained(reader: Reader, batch: int = 1 << 20) -> bytes:
    """Read to the end, ``batch`` bytes at most each time, and close the reader; it must deliver what it announces."""
    try:
        result = bytearray()
        while part := reader.read(batch):
            assert len(part) <= batch
            result += part
        assert len(result) == reader.length
        assert reader.read(batch) == b""
        return bytes(result)
    finally:
        reader.close()


@dataclass
class Faults:
    """How to harm the real system behind a store.

    ``new_store``: another store with the same configuration, which has not been used yet.

    ``hanging``: while it is entered the system takes requests and does not answer; a call of a store then ends within
    ``deadline`` seconds.

    ``down``: while it is entered the processes of the system are killed (``kill -9``); it has restarted at the end.

    ``full``: gives a store of the system that has space for less than 64 MiB.

    ``wrong_credentials``: a store with credentials that the system does not know.

    ``expire``: makes the credentials that the store holds at the moment invalid (a token, a session), while those of
    its options stay valid; None for a module without ``EXPIRING``.
    """

    new_store: Callable[[], Store]
    hanging: Callable[[], AbstractContextManager[None]]
    deadline: float
    down: Callable[[], AbstractContextManager[None]]
    full: Callable[[], AbstractContextManager[Store]]
    wrong_credentials: Callable[[], Store]
    expire: Callable[[Store], None] | None


def eventually(look: Callable[[], object], wanted: object, seconds: float) -> None:
    """Require that ``look`` returns what is wanted, within some seconds."""
    end = time.monotonic() + seconds
    while (found := look()) != wanted and time.monotonic() < end:
        time.sleep(0.5)
    assert found == wanted


@dataclass
class Rig:
    """``leftovers`` lists what is really there, by image id, unfinished data included.

    A test adds to ``kept`` the ids of images that it leaves; anything else that is found at its end fails it. After
    that ``remove`` cleans the real system up.

    ``slow``: an object takes seconds; tests repeat themselves less often. ``readers_protect``: an object that is being
    read cannot be deleted. ``unit``: unfinished data are listed with a multiple of this size. ``buffers``: a writer may
    keep its first MiBs in memory, so that these are listed without them. ``settles``: seconds until lists of objects
    show what was written and deleted before.
    """

    store: Store
    leftovers: Callable[[], list[str]]
    prefix: str
    foreign_urls: tuple[str, ...]
    kept: set[str] = field(default_factory=set)
    faults: Faults | None = None
    remove: Callable[[], None] | None = None
    slow: bool = False
    readers_protect: bool = False
    unit: int = 1
    buffers: bool = False
    settles: float = 0.0
    _examples: int = 0

    def repetitions(self, usual: int) -> range:
        """How often a test repeats itself."""
        return range(min(3, usual) if self.slow else usual)

    def had_enough(self) -> bool:
        """Whether a test with generated examples has done enough of them."""
        self._examples += 1
        return self.slow and self._examples > 3

    def end(self) -> None:
        """Close the store, check that nothing is there but what the test kept, and clean the real system up.

        It is cleaned up after a failure too: what one test leaves must not fail those after it.
        """
        self.store.close()
        self.store.close()
        try:
            eventually(lambda: sorted(self.leftovers()), sorted(self.kept), self.settles)
        finally:
            if self.remove is not None:
                self.remove()

    def url(self, name: str) -> str:
        """A location as the store would write it."""
        return self.prefix + name

    def begin(self, image_id: str, data: Bytes = b"", *, attempt: str = ATTEMPT, size: int | None = None) -> Writer:
        """A writer that has taken ``data``."""
        writer = self.store.writer(image_id, size, attempt)
        writer.write(data)
        return writer

    def put(self, data: Bytes, image_id: str | None = None) -> str:
        """Store ``data`` and return their location; the test may leave it."""
        image_id = image_id or new_id()
        writer = self.begin(image_id, data, size=len(data))
        self.kept.add(image_id)
        return writer.commit().url

    def get(self, url: str, offset: int = 0, length: int | None = None, *, batch: int = 1 << 20) -> bytes:
        """Read a range, ``batch`` bytes at most each time; the reader must deliver what it announces."""
        return drained(self.store.reader(url, offset, length), batch)


def open_files_below(directory: Path) -> list[str]:
    """Files below ``directory`` that this process holds open."""
    found: list[str] = []
    for descriptor in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{descriptor}")
        except FileNotFoundError:
            continue  # the one that listed the directory
        if target.startswith(f"{directory}/"):
            found.append(target)
    return found
