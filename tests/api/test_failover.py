"""A download goes on with another copy of the image when one fails before it or during it."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from glimpse.db.records import Viewer
from glimpse.errors import StoreUnavailable
from glimpse.services.image_source import DataFound, StoredData
from glimpse.settings.model import Stores, StoreSettings
from glimpse.stores.base import Reader
from glimpse.stores.memory import MemoryOptions
from tests.support.copies import add_copy, file_store
from tests.support.relayed_s3 import relayed_s3
from tests.support.wire import MEMBER, Wire, settings_in, wired

MIB = 1 << 20
DATA = random.Random(11).randbytes(24 * MIB)
SUM = hashlib.sha512(DATA).hexdigest()


@pytest.fixture
def wire(tmp_path: Path) -> Iterator[Wire]:
    """``fast`` is read first, then ``cheap``, then ``ram``."""
    ram = StoreSettings(id="ram", kind="memory", options=MemoryOptions())
    stores = Stores(
        default="fast", named=True, stores=(file_store(tmp_path, "cheap", 5), file_store(tmp_path, "fast", 10), ram)
    )
    with wired(settings_in(tmp_path, stores=stores)) as made:
        yield made


@pytest.fixture
def failovers(wire: Wire) -> list[tuple[str, str]]:
    """The failovers that the metrics would count."""
    counted: list[tuple[str, str]] = []
    source = wire.service.deps.source
    assert isinstance(source, StoredData)

    def count(store: str, moment: str) -> None:
        counted.append((store, moment))

    source.on_failover = count
    return counted


def copied(wire: Wire, *stores: str, data: bytes = DATA) -> str:
    """An image in the store ``fast`` with further copies in ``stores``."""
    image_id: str = wire.create()["id"]
    assert wire.upload(image_id, DATA).status == 204
    for store_id in stores:
        add_copy(wire, image_id, store_id, data)
    return image_id


def download(
    wire: Wire, image_id: str, hook: Callable[[int], None], headers: dict[str, str] | None = None, query: str = ""
) -> tuple[int, bytes, bool]:
    """Download; ``hook`` is called with the bytes received so far. Returns status, body, and whether it is complete."""
    fields = {**MEMBER.headers(), "Host": "img", **(headers or {})}
    path = f"/v2/images/{image_id}/file"
    scope: dict[str, Any] = {
        "type": "http", "http_version": "1.1", "method": "GET", "scheme": "http", "path": path,
        "raw_path": path.encode(), "query_string": query.encode(), "root_path": "",
        "headers": [(name.lower().encode(), value.encode()) for name, value in fields.items()],
        "client": ("127.0.0.1", 50000), "server": ("127.0.0.1", 9292),
    }  # fmt: skip
    status, body, complete = 0, bytearray(), False

    async def send(message: Any) -> None:
        nonlocal status, complete
        if message["type"] == "http.response.start":
            status = message["status"]
            return
        body.extend(message.get("body", b""))
        complete = not message.get("more_body", False)
        hook(len(body))

    async def receive() -> Any:
        await asyncio.Event().wait()

    async def main() -> None:
        await wire.service.application(scope, receive, send)

    wire.loop.run_until_complete(main())
    return status, bytes(body), complete


def read_all(reader: Reader) -> None:
    while reader.read(MIB):
        pass


def truncating(path: Path, at: int, left: int = 0) -> Callable[[int], None]:
    """Cut the file to ``left`` bytes once ``at`` bytes were received."""

    def cut(received: int) -> None:
        if received >= at and path.stat().st_size > left:
            os.truncate(path, left)

    return cut


def test_during_a_download(wire: Wire, tmp_path: Path, failovers: list[tuple[str, str]]) -> None:
    image_id = copied(wire, "cheap")
    status, body, complete = download(wire, image_id, truncating(tmp_path / "fast" / image_id, 3 * MIB))
    assert (status, complete, len(body)) == (200, True, len(DATA))
    assert hashlib.sha512(body).hexdigest() == SUM
    assert failovers == [("fast", "read")]


def test_twice_during_a_download(wire: Wire, tmp_path: Path, failovers: list[tuple[str, str]]) -> None:
    image_id = copied(wire, "cheap", "ram")
    first = truncating(tmp_path / "fast" / image_id, 3 * MIB)
    second = truncating(tmp_path / "cheap" / image_id, 10 * MIB)
    status, body, complete = download(wire, image_id, lambda received: (first(received), second(received))[0])
    assert (status, complete) == (200, True)
    assert body == DATA
    assert failovers == [("fast", "read"), ("cheap", "read")]


def test_during_a_range(wire: Wire, tmp_path: Path, failovers: list[tuple[str, str]]) -> None:
    image_id = copied(wire, "cheap")
    cut = truncating(tmp_path / "fast" / image_id, 2 * MIB)
    headers = {"Range": f"bytes={5 * MIB + 7}-{20 * MIB}"}
    status, body, complete = download(wire, image_id, cut, headers)
    assert (status, complete) == (206, True)
    assert body == DATA[5 * MIB + 7 : 20 * MIB + 1]
    assert failovers == [("fast", "read")]


def test_before_a_download(wire: Wire, tmp_path: Path, failovers: list[tuple[str, str]]) -> None:
    image_id = copied(wire, "cheap")
    (tmp_path / "fast" / image_id).unlink()
    assert download(wire, image_id, lambda _: None) == (200, DATA, True)
    assert failovers == [("fast", "open")]


def test_a_preferred_store_is_read_first(wire: Wire, tmp_path: Path, failovers: list[tuple[str, str]]) -> None:
    image_id = copied(wire, "cheap")
    cut = truncating(tmp_path / "cheap" / image_id, 3 * MIB)
    assert download(wire, image_id, cut, query="prefer=cheap")[1] == DATA
    assert failovers == [("cheap", "read")]


def test_a_store_that_is_down_does_not_hide_another_one_that_has_the_object(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For locations that name no store and have the prefix of none, several stores are tried."""
    image_id = copied(wire)
    stores = wire.service.deps.stores
    down, holding = stores.by_id("cheap"), stores.by_id("fast")

    def unavailable(url: str, offset: int = 0, length: int | None = None) -> Reader:
        raise StoreUnavailable("Store cheap is down.")

    monkeypatch.setattr(stores, "candidates", lambda _location: (down, holding))
    monkeypatch.setattr(down, "reader", unavailable)
    assert download(wire, image_id, lambda _: None) == (200, DATA, True)


def test_a_copy_of_another_size_is_not_read_on(wire: Wire, tmp_path: Path) -> None:
    image_id = copied(wire, "cheap", data=DATA + b"more")
    status, body, complete = download(wire, image_id, truncating(tmp_path / "fast" / image_id, 3 * MIB))
    assert (status, complete) == (200, False)
    assert DATA.startswith(body)


def test_without_another_copy_the_download_breaks_off(
    wire: Wire, tmp_path: Path, failovers: list[tuple[str, str]]
) -> None:
    image_id = copied(wire)
    status, body, complete = download(wire, image_id, truncating(tmp_path / "fast" / image_id, 3 * MIB))
    assert (status, complete) == (200, False)
    assert DATA.startswith(body)
    assert failovers == []


def test_the_last_failure_is_reported_again(wire: Wire, tmp_path: Path) -> None:
    image_id = copied(wire, "cheap")
    image = wire.service.deps.database.get_image(image_id, Viewer(None, is_admin=True))
    reader = wire.service.deps.source.open(DataFound(image, image.locations), 0, len(DATA))
    for store in ("fast", "cheap"):
        os.truncate(tmp_path / store / image_id, 0)
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="too early"):
            read_all(reader)
    reader.close()


@pytest.mark.interop
def test_from_a_real_object_store_that_goes_away_to_a_file(tmp_path: Path) -> None:
    """All connections to radosgw break in the middle of the download, and no new one is accepted."""
    with relayed_s3("fast", weight=10) as (relay, fast):
        stores = Stores(default="fast", named=True, stores=(fast, file_store(tmp_path, "cheap")))
        with wired(settings_in(tmp_path, stores=stores)) as wire:
            image_id = copied(wire, "cheap")

            def cut(received: int) -> None:
                if received >= 3 * MIB:
                    relay.down()

            status, body, complete = download(wire, image_id, cut)
            assert (status, complete) == (200, True)
            assert hashlib.sha512(body).hexdigest() == SUM
            relay.up()
            assert wire("DELETE", f"/v2/images/{image_id}").status == 204
