"""A program for ``test_memory.py``: transfers of a rig's store, each on a word from standard input, in a fresh process.

    python -m tests.contract.stores.memory_steps MODULE RIG DIRECTORY

It writes ``ready`` when the store is in use, and ``done`` after each transfer.
"""

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from random import Random

from tests.contract.stores.rigs.base import Rig, new_id

MIB = 1 << 20
#: Larger than any budget, so that a driver that collects an object fails; in bytes.
SIZE = 160 * MIB
STREAMS = 8
#: As an upload hands them over, and as a download asks for them; in bytes.
WRITTEN, READ = MIB, 512 << 10


class Steps:
    """The transfers. The data are random and repeat, so they cannot be left out as zeros."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self._block = bytearray(Random(1).randbytes(WRITTEN))
        # the first use of a store opens connections and loads libraries, which stay
        self._urls = [rig.put(self._block)]
        rig.get(self._urls[0])

    def write(self) -> None:
        """Write an object of known size."""
        self._write(SIZE)

    def write_unknown(self) -> None:
        """Write an object of unknown size."""
        self._write(None)

    def read(self) -> None:
        """Read an object."""
        self._read(0, SIZE)

    def read_ranges(self) -> None:
        """Read an object in parallel ranges."""
        step = SIZE // STREAMS
        with ThreadPoolExecutor(STREAMS) as threads:
            for future in [threads.submit(self._read, offset, step) for offset in range(0, SIZE, step)]:
                future.result()

    def _write(self, size: int | None) -> None:
        image_id = new_id()
        writer = self._rig.store.writer(image_id, size, "a1")
        for _ in range(SIZE // WRITTEN):
            writer.write(self._block)
        self._urls.append(writer.commit().url)

    def _read(self, offset: int, length: int) -> None:
        reader = self._rig.store.reader(self._urls[-1], offset, length)
        try:
            rest = length
            while part := reader.read(READ):
                rest -= len(part)
            assert rest == 0
        finally:
            reader.close()

    def end(self) -> None:
        """Remove the objects."""
        for url in self._urls:
            self._rig.store.delete(url)
        self._rig.store.close()
        if self._rig.remove is not None:
            self._rig.remove()


def main() -> None:
    """Carry out the steps that standard input names."""
    module, name, directory = sys.argv[1:]
    build: Callable[[Path], Rig] = getattr(import_module(module), name)
    steps = Steps(build(Path(directory)))
    try:
        print("ready", flush=True)
        for line in sys.stdin:
            getattr(steps, line.strip())()
            print("done", flush=True)
    finally:
        steps.end()


if __name__ == "__main__":
    main()
