"""The configured stores, and which of them serves a location."""

from pathlib import Path

import msgspec
import pytest

from glimpse.domain.image import Location
from glimpse.errors import Invalid, StoreUnavailable
from glimpse.settings.model import Secret, Stores, StoreSettings
from glimpse.stores.all import DRIVERS
from glimpse.stores.base import StoreMisconfigured
from glimpse.stores.driver import Driver
from glimpse.stores.filesystem.options import FilesystemOptions
from glimpse.stores.memory import MemoryOptions, MemoryStore
from glimpse.stores.multi import StoreSet, offered_by


def _file(store_id: str, directory: Path, weight: int = 0) -> StoreSettings:
    options = FilesystemOptions(filesystem_store_datadir=str(directory))
    return StoreSettings(id=store_id, kind="file", options=options, weight=weight)


@pytest.fixture
def stores(tmp_path: Path) -> StoreSet:
    return StoreSet(
        Stores(
            default="cheap",
            stores=(
                _file("cheap", tmp_path / "images", 5),
                _file("more", tmp_path / "images2"),
                _file("nested", tmp_path / "images" / "nested"),
                StoreSettings(id="ram", kind="memory", options=MemoryOptions(), weight=-1),
            ),
            named=True,
        )
    )


def test_stores_are_known_by_id_in_their_order(stores: StoreSet):
    assert stores.ids() == ("cheap", "more", "nested", "ram")
    assert stores.default is stores.by_id("cheap")
    assert stores.by_id("ram").id == "ram"
    assert stores.weights == {"cheap": 5, "more": 0, "nested": 0, "ram": -1}
    assert stores.named is True


def test_an_unknown_id(stores: StoreSet):
    with pytest.raises(Invalid, match="There is no store 'fast'; the stores are cheap, more, nested, ram"):
        stores.by_id("fast")


def test_the_store_that_the_metadata_name_serves(stores: StoreSet, tmp_path: Path):
    location = Location(url=f"file://{tmp_path}/images/x", metadata={"store": "more"})
    assert stores.for_location(location).id == "more"


@pytest.mark.parametrize(
    ("path", "store_id"),
    [("images/x", "cheap"), ("images2/x", "more"), ("images/nested/x", "nested")],
)
@pytest.mark.parametrize("scheme", ["file", "filesystem"])
@pytest.mark.parametrize("metadata", [{}, {"store": "gone"}, {"store": 7}])
def test_else_the_longest_beginning_up_to_a_separator(stores, tmp_path, path, store_id, scheme, metadata):
    location = Location(url=f"{scheme}://{tmp_path}/{path}", metadata=metadata)
    assert stores.for_location(location).id == store_id


def test_a_store_of_another_kind(stores: StoreSet):
    assert stores.for_location(Location(url="memory://ram/x")).id == "ram"


@pytest.mark.parametrize("url", ["file:///elsewhere/x", "rbd://a/b/c/d", "memory://rom/x"])
def test_a_location_that_no_store_serves(stores: StoreSet, url: str):
    with pytest.raises(StoreUnavailable):
        stores.for_location(Location(url=url))


def test_a_location_that_is_no_uri(stores: StoreSet):
    with pytest.raises(Invalid):
        stores.for_location(Location(url="nonsense"))


def _ram(store_id: str, options: msgspec.Struct, kind: str = "memory") -> StoreSettings:
    return StoreSettings(id=store_id, kind=kind, options=options)


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        ((_ram("a", MemoryOptions()),), "is the default store, but not configured"),
        ((_ram("ram", MemoryOptions()), _ram("ram", MemoryOptions())), "configured twice"),
        ((_ram("ram", MemoryOptions(), "tape"),), "there is no driver 'tape'; the drivers are file, "),
        ((_ram("ram", FilesystemOptions()),), "not those of the driver memory"),
        ((_ram("ram", MemoryOptions(memory_store_max_bytes=-1)),), "memory_store_max_bytes"),
    ],
)
def test_configurations_that_cannot_be(entries: tuple[StoreSettings, ...], reason: str):
    with pytest.raises(StoreMisconfigured, match=reason):
        StoreSet(Stores(default="ram", stores=entries))


@pytest.mark.parametrize("named", [True, False])
def test_what_a_process_offers_is_known_without_opening_a_store(tmp_path: Path, named: bool):
    options = FilesystemOptions(
        filesystem_store_datadir="", filesystem_store_datadirs=(f"{tmp_path}/a:1", f"{tmp_path}/b:2")
    )
    entries = (
        StoreSettings(id="files", kind="file", options=options),
        *(
            StoreSettings(id=f"a-{kind}", kind=kind, options=driver.options())
            for kind, driver in DRIVERS.items()
            if kind != "file"
        ),
    )
    settings = Stores(default="files", stores=entries, named=named)
    assert offered_by(settings) == StoreSet(settings).offers()
    assert {f"file://{tmp_path}/a/", f"filesystem://{tmp_path}/b/", "memory://a-memory/"} < offered_by(settings)


def test_what_a_store_needs_and_who_may_delete_is_a_matter_of_its_driver(monkeypatch: pytest.MonkeyPatch):
    ram = Stores(default="ram", stores=(StoreSettings(id="ram", kind="memory", options=MemoryOptions()),))
    other, shelf = Location(url="tape://shelf/1/image"), Location(url="rom://shelf/1/image")
    stores = StoreSet(ram)
    assert [stores.needs(other), stores.is_read_only(shelf)] == [("tape://",), False]
    tape = Driver(kind="tape", schemes=("tape",), options=MemoryOptions, build=MemoryStore, in_directories=True)
    rom = Driver(kind="rom", schemes=("rom",), options=MemoryOptions, build=MemoryStore, only_read=True)
    monkeypatch.setitem(DRIVERS, "tape", tape)
    monkeypatch.setitem(DRIVERS, "rom", rom)
    assert [stores.needs(other), stores.needs(shelf)] == [("tape://shelf/1/",), ("rom://",)]
    assert [stores.is_read_only(other), stores.is_read_only(shelf)] == [False, True]
    assert stores.is_read_only(Location(url="https://mirror/image")), "no store of web servers is configured"


def test_every_option_of_every_driver_has_a_default_and_a_help_text():
    for driver in DRIVERS.values():
        assert driver.options()
        components = msgspec.json.schema_components([driver.options], schema_hook=lambda _: {"type": "string"})[1]
        properties = next(iter(components.values()))["properties"]
        assert set(properties) == set(driver.options.__struct_fields__)
        assert all(described.get("description") for described in properties.values())


def test_options_are_named_after_their_store_kind_as_operators_know_them():
    assert set(FilesystemOptions.__struct_fields__) == {
        "filesystem_store_datadir",
        "filesystem_store_datadirs",
        "filesystem_store_metadata_file",
        "filesystem_store_file_perm",
        "filesystem_store_chunk_size",
        "filesystem_thin_provisioning",
        "filesystem_store_timeout",
        "filesystem_store_reserve",
        "filesystem_store_thread_pool_size",
        "filesystem_store_threadpool_threshold",
    }


def _s3(store_id: str, bucket: str) -> StoreSettings:
    options = DRIVERS["s3"].options(
        s3_store_host="https://s3.example.org",
        s3_store_access_key=Secret("access"), s3_store_secret_key=Secret("fake"),
        s3_store_bucket=bucket,
    )  # fmt: skip
    return StoreSettings(id=store_id, kind="s3", options=options)


@pytest.mark.parametrize(
    ("url", "owner", "candidates"),
    [
        ("s3+https://s3.example.org/two/x", "b", ["b"]),
        # before Glance's library 5.7.0; the secret key may contain a slash (store-formats 10.1)
        ("s3+https://access:se/cr@et@s3.example.org/two/x", "b", ["b"]),
        ("s3+https://s3.example.org/third/x", None, ["a", "b"]),
    ],
)
def test_stores_that_may_have_an_object(url: str, owner: str | None, candidates: list[str]):
    ram = StoreSettings(id="ram", kind="memory", options=MemoryOptions())
    stores = StoreSet(Stores(default="ram", named=True, stores=(_s3("a", "one"), _s3("b", "two"), ram)))
    location = Location(url=url)
    assert stores.owner(location) == owner
    assert [store.id for store in stores.candidates(location)] == candidates
    stores.close()


def test_a_store_whose_uris_have_nothing_in_common_but_the_scheme():
    """Those of the only cinder store have no id (store-formats 9.1)."""
    entry = StoreSettings(id="default", kind="cinder", options=DRIVERS["cinder"].options())
    settings = Stores(default="default", stores=(entry,), named=False)
    url = "cinder://0c1a3d52-5a7c-4bd5-9b0f-9f5a5f1d1e4b"
    assert StoreSet(settings).for_location(Location(url=url)).id == "default"
    assert "cinder://" in offered_by(settings)
