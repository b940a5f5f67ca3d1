"""URIs of older versions of Glance get the form of today (store-formats 3, imports-and-stores 4.5)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from glimpse.context import CALLER, Context
from glimpse.db.records import Viewer
from glimpse.domain.image import Image, ImageChange, Location
from glimpse.errors import DatabaseUnavailable
from glimpse.settings.model import Api, DatabaseSettings, Secret, Stores, StoreSettings
from glimpse.stores.cinder.options import CinderOptions
from glimpse.stores.cinder.store import CinderStore
from glimpse.stores.memory import MemoryOptions, MemoryStore
from glimpse.stores.multi import StoreSet
from glimpse.stores.s3.options import S3Options
from tests.support.cinder_answers import Volumes, answering
from tests.support.wire import ADMIN, Wire, settings_in, wired

DATA = b"0123456789"
SECRET = "made/up:s3cr3t"
HOST = "s3.example.org"


def s3(store_id: str, bucket: str = "images", host: str = f"https://{HOST}") -> StoreSettings:
    options = S3Options(
        s3_store_host=host, s3_store_bucket=bucket,
        s3_store_access_key=Secret("access"), s3_store_secret_key=Secret("fake"),
    )  # fmt: skip
    return StoreSettings(id=store_id, kind="s3", options=options)


def cinder(store_id: str, at: Volumes, volume_type: str | None = None) -> StoreSettings:
    options = CinderOptions(
        cinder_endpoint_template=at.url, cinder_volume_type=volume_type, cinder_http_retries=0, cinder_store_timeout=2
    )
    return StoreSettings(id=store_id, kind="cinder", options=options)


RAM = StoreSettings(id="ram", kind="memory", options=MemoryOptions())


@contextmanager
def service(directory: Path, stores: Stores, **parts: Any) -> Iterator[Wire]:
    settings = settings_in(directory, stores=stores, api=Api(show_multiple_locations=True), **parts)
    with wired(settings) as made:
        yield made.as_(ADMIN)


def record_of(wire: Wire, image_id: str) -> Image:
    return wire.service.deps.database.get_image(image_id, Viewer(None, is_admin=True))


def with_location(wire: Wire, url: str, metadata: Mapping[str, object] = {}, **change: Any) -> str:
    """An active image with this location, past every rule."""
    image_id: str = wire.create()["id"]
    location = Location(url=url, metadata=dict(metadata))
    columns = {"status": "active", "size": len(DATA)}
    wire.service.deps.database.update_image(image_id, ImageChange(columns=columns, add_locations=(location,), **change))
    return image_id


def shown(wire: Wire, image_id: str) -> Any:
    (location,) = wire("GET", f"/v2/images/{image_id}").json["locations"]
    return location


def old(name: str = "key", bucket: str = "images", scheme: str = "s3+https") -> str:
    return f"{scheme}://access:{SECRET}@{HOST}/{bucket}/{name}"


@pytest.mark.parametrize("key", [None, Secret("0123456789abcdef")])
@pytest.mark.parametrize("scheme", ["s3", "s3+https"])
def test_a_show_removes_the_credentials_from_a_url_of_the_only_store(
    tmp_path: Path, scheme: str, key: Secret | None, caplog: pytest.LogCaptureFixture
) -> None:
    database = DatabaseSettings(connection=Secret(f"sqlite:///{tmp_path}/x.sqlite"), metadata_encryption_key=key)
    with service(tmp_path, Stores(default="default", stores=(s3("default"),)), database=database) as wire:
        image_id = with_location(wire, old(scheme=scheme))
        before = record_of(wire, image_id)
        wire("GET", "/v2/images")
        assert record_of(wire, image_id) == before, "a list does not"
        assert shown(wire, image_id) == {"url": f"{scheme}://{HOST}/images/key", "metadata": {}}
        (was,) = before.locations
        after = msgspec.structs.replace(was, url=f"{scheme}://{HOST}/images/key")
        assert record_of(wire, image_id) == msgspec.structs.replace(before, locations=(after,))
        assert "s3cr3t" not in caplog.text


def test_with_several_stores_the_one_of_the_bucket_is_recorded_too(tmp_path: Path) -> None:
    stores = Stores(default="a", named=True, stores=(s3("a"), s3("b", "more"), RAM))
    with service(tmp_path, stores) as wire:
        image_id = with_location(wire, old(bucket="more"))
        wanted = {"url": f"s3+https://{HOST}/more/key", "metadata": {"store": "b"}}
        assert shown(wire, image_id) == wanted
        (location,) = record_of(wire, image_id).locations
        assert (location.url, location.metadata) == (wanted["url"], wanted["metadata"])


@pytest.mark.parametrize(
    ("url", "metadata"),
    [
        (old(bucket="others"), {}),
        (f"s3+https://access:{SECRET}@elsewhere/images/key", {}),
        (old(), {"store": "elsewhere"}),
        (f"s3+https://{HOST}/images/key", {"store": "a"}),
        ("s3+https://", {"store": "a"}),
        ("cinder://0c1a3d52-5a7c-4bd5-9b0f-9f5a5f1d1e4b", {}),
    ],
)
def test_what_is_not_of_a_store_here_or_is_new_stays(tmp_path: Path, url: str, metadata: dict[str, object]) -> None:
    with service(tmp_path, Stores(default="a", named=True, stores=(s3("a"), RAM))) as wire:
        image_id = with_location(wire, url, metadata)
        before = record_of(wire, image_id)
        assert wire("GET", f"/v2/images/{image_id}").status == 200
        assert record_of(wire, image_id) == before


def test_a_location_that_is_not_verified_stays(tmp_path: Path) -> None:
    with service(tmp_path, Stores(default="default", stores=(s3("default"),))) as wire:
        image_id = with_location(wire, old(), mark_unverified=True)
        before = record_of(wire, image_id)
        assert shown(wire, image_id)["url"] == old()
        assert record_of(wire, image_id) == before


def test_the_option(tmp_path: Path) -> None:
    stores = Stores(default="a", named=True, rewrites_locations=False, stores=(s3("a"), RAM))
    with service(tmp_path, stores) as wire:
        image_id = with_location(wire, old())
        assert shown(wire, image_id) == {"url": old(), "metadata": {"store": "a"}}
        (location,) = record_of(wire, image_id).locations
        assert (location.url, location.metadata) == (old(), {"store": "a"})


def test_a_database_that_takes_no_changes_does_not_disturb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> bool:
        raise DatabaseUnavailable("The database is read-only.")

    with service(tmp_path, Stores(default="default", stores=(s3("default"),))) as wire:
        image_id = with_location(wire, old())
        monkeypatch.setattr(wire.service.deps.database, "rewrite_location", fail)
        assert shown(wire, image_id)["url"] == old()


FAST, DEFAULT, OTHER = (f"{number}c1a3d52-5a7c-4bd5-9b0f-9f5a5f1d1e4b" for number in range(3))


@pytest.fixture
def volumes() -> Iterator[Volumes]:
    with answering(Volumes({FAST: "fast", DEFAULT: "standard", OTHER: "slow"}, "standard")) as made:
        yield made


class _Caller:
    """The caller of a store without a login, with a token."""

    context = Context(request_id="req", user_id="u", project_id="p", token=Secret("made-up-token"))

    def get(self) -> Context:
        return self.context


@contextmanager
def with_volumes(directory: Path, volumes: Volumes, monkeypatch: pytest.MonkeyPatch) -> Iterator[Wire]:
    """A service with two stores in one Cinder. Volumes are not attached: their bytes are in memory."""
    ram = MemoryStore("copies", MemoryOptions())
    writer = ram.writer("all", len(DATA), "a")
    writer.write(DATA)
    url = writer.commit().url
    monkeypatch.setattr(CinderStore, "reader", lambda _, __, *span: ram.reader(url, *span))
    monkeypatch.setattr("glimpse.stores.cinder.credentials.CALLER", _Caller())
    stores = Stores(default="ram", named=True, stores=(cinder("plain", volumes), cinder("quick", volumes, "fast"), RAM))
    with service(directory, stores) as wire:
        yield wire


@pytest.mark.parametrize(("volume", "store"), [(FAST, "quick"), (DEFAULT, "plain"), (OTHER, None)])
def test_a_download_gives_a_volume_to_the_store_of_its_type(
    tmp_path: Path, volumes: Volumes, monkeypatch: pytest.MonkeyPatch, volume: str, store: str | None
) -> None:
    with with_volumes(tmp_path, volumes, monkeypatch) as wire:
        image_id = with_location(wire, f"cinder://{volume}")
        before = record_of(wire, image_id)
        assert shown(wire, image_id) == {"url": f"cinder://{volume}", "metadata": {}}
        assert (record_of(wire, image_id), volumes.asked) == (before, []), "a show waits for no store"
        assert wire("GET", f"/v2/images/{image_id}/file").body == DATA
        after = record_of(wire, image_id)
        assert after.updated_at == before.updated_at
        (location,) = after.locations
        if store is None:
            assert after == before
            return
        assert (location.url, location.metadata) == (f"cinder://{store}/{volume}", {"store": store})
        volumes.asked.clear()
        assert wire("GET", f"/v2/images/{image_id}/file").body == DATA
        assert volumes.asked == [], "once"


@pytest.mark.parametrize("failure", [403, 404, 500])
def test_a_cinder_that_does_not_tell_does_not_disturb(
    tmp_path: Path, volumes: Volumes, monkeypatch: pytest.MonkeyPatch, failure: int
) -> None:
    with with_volumes(tmp_path, volumes, monkeypatch) as wire:
        image_id = with_location(wire, f"cinder://{FAST}")
        before = record_of(wire, image_id)
        volumes.failure = failure
        assert wire("GET", f"/v2/images/{image_id}/file").body == DATA
        assert volumes.asked
        assert record_of(wire, image_id) == before


def test_a_volume_of_another_installation_stays(
    tmp_path: Path, volumes: Volumes, monkeypatch: pytest.MonkeyPatch
) -> None:
    with with_volumes(tmp_path, volumes, monkeypatch) as wire:
        image_id = with_location(wire, f"cinder://{FAST}", {"store": "elsewhere"})
        before = record_of(wire, image_id)
        assert wire("GET", f"/v2/images/{image_id}/file").body == DATA
        assert (record_of(wire, image_id), volumes.asked) == (before, [])


def test_an_unnamed_store_writes_volumes_without_its_id(volumes: Volumes) -> None:
    stores = StoreSet(Stores(default="default", stores=(cinder("default", volumes, "fast"),)))
    location = Location(url=f"cinder://{FAST}")
    assert not stores.asks_to_repair(location)
    assert stores.repaired(location, ask=True) is None
    assert volumes.asked == []
    stores.close()


def test_volumes_without_a_type_where_cinder_has_no_default(volumes: Volumes) -> None:
    volumes.types, volumes.default_type = {FAST: "fast", DEFAULT: None}, None
    stores = StoreSet(Stores(default="plain", named=True, stores=(cinder("plain", volumes),)))
    before = CALLER.set(_Caller.context)
    urls = [stores.repaired(Location(url=f"cinder://{volume}"), ask=True) for volume in (FAST, DEFAULT)]
    CALLER.reset(before)
    stores.close()
    assert urls == [None, f"cinder://plain/{DEFAULT}"]
