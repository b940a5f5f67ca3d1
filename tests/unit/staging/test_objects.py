"""A staging area in an object store is apart from the stores of images; the rest is in tests/contract/stores."""

from __future__ import annotations

import pytest

from glimpse.settings.model import Stores, StoreSettings
from glimpse.staging.objects import require_apart
from glimpse.stores import memory
from glimpse.stores.base import StoreMisconfigured
from glimpse.stores.memory import MemoryOptions, MemoryStore
from glimpse.stores.multi import StoreSet


def images() -> StoreSet:
    entry = StoreSettings(id="ram", kind="memory", options=MemoryOptions())
    return StoreSet(Stores(default="ram", stores=(entry,), named=True))


def test_another_place() -> None:
    require_apart(MemoryStore("staging", MemoryOptions()), images())


def test_the_place_of_a_store_of_images() -> None:
    with pytest.raises(StoreMisconfigured, match="it is the place of store ram"):
        require_apart(MemoryStore("ram", MemoryOptions()), images())


def no_prefixes(_store_id: str, _options: MemoryOptions) -> tuple[str, ...]:
    return ()


@pytest.mark.parametrize("unknown", ["that of the area", "that of the images"])
def test_a_place_that_is_not_known(monkeypatch: pytest.MonkeyPatch, unknown: str) -> None:
    if unknown == "that of the images":
        area = MemoryStore("staging", MemoryOptions())
        monkeypatch.setattr(memory, "url_prefixes", no_prefixes)
        stores = images()
    else:
        stores = images()
        monkeypatch.setattr(memory, "url_prefixes", no_prefixes)
        area = MemoryStore("staging", MemoryOptions())
    with pytest.raises(StoreMisconfigured, match="may be the place of store ram; write fsid"):
        require_apart(area, stores)


def test_a_place_that_is_not_known_of_another_kind_of_store() -> None:
    area = MemoryStore("staging", MemoryOptions())
    area.scheme, area.url_prefixes = "rbd", ()
    require_apart(area, images())
