"""A store that cannot work as configured stops the service only if it is the default."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from glimpse.domain.image import Location
from glimpse.errors import StoreUnavailable
from glimpse.settings.model import Stores, StoreSettings
from glimpse.stores import all as drivers
from glimpse.stores.base import StoreMisconfigured
from glimpse.stores.filesystem.options import FilesystemOptions
from glimpse.stores.memory import MemoryOptions
from glimpse.stores.multi import StoreSet, offered_by


class TapeOptions(msgspec.Struct, frozen=True, kw_only=True):
    tape_drive: str = "/dev/st0"


def _missing(store_id: str, _options: TapeOptions) -> Any:
    raise StoreMisconfigured(store_id, "needs the Python package tape, which is not installed")


@pytest.fixture
def stores(monkeypatch: pytest.MonkeyPatch) -> Stores:
    driver = drivers.Driver(
        kind="tape", schemes=("tape",), options=TapeOptions, build=_missing,
        url_prefixes=lambda store_id, _: (f"tape://{store_id}/",),
    )  # fmt: skip
    monkeypatch.setitem(drivers.DRIVERS, "tape", driver)
    entries = (
        StoreSettings(id="ram", kind="memory", options=MemoryOptions()),
        StoreSettings(id="old", kind="tape", options=TapeOptions()),
    )
    return Stores(default="ram", stores=entries, named=True)


def test_the_service_starts_without_it_and_says_why(stores: Stores, caplog: pytest.LogCaptureFixture) -> None:
    built = StoreSet(stores)
    assert "Store old cannot be used: needs the Python package tape" in caplog.text
    store = built.for_location(Location(url="tape://old/x"))
    assert (store.id, store.scheme, store.writable) == ("old", "tape", True)
    calls: list[Any] = [
        lambda: store.writer("image", 1, "try1"),
        lambda: store.reader("tape://old/x"),
        lambda: store.delete("tape://old/x"),
        lambda: store.size("tape://old/x"),
        lambda: store.sweep("image", "try1"),
    ]
    for call in calls:
        with pytest.raises(StoreUnavailable, match="Store old cannot be used: needs the Python package tape"):
            call()
    built.close()


def test_the_default_store_must_work(stores: Stores) -> None:
    with pytest.raises(StoreMisconfigured, match="store old: needs the Python package tape"):
        StoreSet(msgspec.structs.replace(stores, default="old"))


def test_a_file_store_whose_options_contradict_each_other(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    options = FilesystemOptions(filesystem_store_datadir=str(tmp_path), filesystem_store_datadirs=(f"{tmp_path}:2",))
    entries = (
        StoreSettings(id="ram", kind="memory", options=MemoryOptions()),
        StoreSettings(id="cheap", kind="file", options=options),
    )
    built = StoreSet(Stores(default="ram", stores=entries, named=True))
    assert "Store cheap cannot be used" in caplog.text
    assert built.owner(Location(url=f"file://{tmp_path}/x")) is None
    assert [built.details(entry) for entry in entries] == [{}, {}]
    assert "cheap" in offered_by(Stores(default="ram", stores=entries, named=True))
