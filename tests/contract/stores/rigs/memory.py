"""A memory store of 64 MiB."""

from pathlib import Path

from glimpse.stores.memory import MemoryOptions, MemoryStore
from tests.contract.stores.rigs.base import Rig


def memory(base: Path) -> Rig:
    store = MemoryStore("ram", MemoryOptions(memory_store_max_bytes=64 << 20))

    def leftovers() -> list[str]:
        objects = [*store._visible.values(), *store._unfinished.values()]
        assert store._used == sum(len(found.content) for found in objects)
        return [*store._visible, *(f"{image} of {attempt}" for image, attempt in store._unfinished)]

    foreign = ("memory://other/image", "memory://ram", "memory://ram/", "memory:///image")
    return Rig(store, leftovers, "memory://ram/", foreign)


RIGS = (memory,)
