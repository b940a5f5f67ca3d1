"""Downloads through the API: HEAD, conditions, lost data, and stores that do not answer."""

from __future__ import annotations

import asyncio
import hashlib
import os
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from glimpse.db.sql.tables import images
from glimpse.errors import DataNotFound
from glimpse.services.image_source import DataFound, ImageSource, StoredData
from glimpse.settings.model import DataSources, Listen
from glimpse.stores.base import Reader, Writer
from glimpse.stores.memory import MemoryOptions, MemoryStore
from glimpse.stores.multi import StoreSet
from tests.support.located import DATA, Located, located
from tests.support.wire import ADMIN, OTHER, READER, Answer, Wire, settings_in, wired

TAG = f'"{hashlib.sha512(DATA).hexdigest()}"'
NOT_TEXT = {"content-type", "content-length", "x-openstack-request-id"}


@pytest.fixture
def image(wire: Wire) -> str:
    image_id = str(wire.create()["id"])
    assert wire.upload(image_id, DATA).status == 204
    return image_id


@pytest.fixture
def at(tmp_path: Path) -> Iterator[Located]:
    listen = Listen(request_threads=2, transfer_threads=4, max_downloads=8, max_downloads_per_project=4)
    with located(tmp_path, listen=listen) as made:
        yield made


class TestHead:
    def test_the_head_is_that_of_a_download(self, wire: Wire, image: str) -> None:
        got, head = wire("GET", f"/v2/images/{image}/file"), wire("HEAD", f"/v2/images/{image}/file")
        assert (head.status, head.body, head.complete) == (200, b"", True)
        for answer in (got, head):
            answer.headers.pop("x-openstack-request-id")
        assert head.headers == got.headers
        assert head.headers["content-length"] == str(len(DATA))
        assert head.headers["accept-ranges"] == "bytes"
        assert head.headers["etag"] == TAG

    def test_a_range_of_it_is_ignored(self, wire: Wire, image: str) -> None:
        head = wire("HEAD", f"/v2/images/{image}/file", headers={"Range": "bytes=5-9"})
        assert (head.status, head.headers["content-length"]) == (200, str(len(DATA)))

    def test_no_store_is_asked(self, wire: Wire, image: str) -> None:
        (wire.settings.data_dir / "images" / image).unlink()
        assert wire("HEAD", f"/v2/images/{image}/file").status == 200

    def test_who_may_not_download_may_not_ask(self, wire: Wire, image: str) -> None:
        assert wire.as_(READER)("HEAD", f"/v2/images/{image}/file").status == 403
        assert wire.as_(OTHER)("HEAD", f"/v2/images/{image}/file").status == 404
        assert wire("HEAD", "/v2/images/nothing/file").status == 404
        assert wire.as_(ADMIN)("POST", f"/v2/images/{image}/actions/deactivate").status == 204
        refused = wire("HEAD", f"/v2/images/{image}/file")
        assert (refused.status, refused.body) == (403, b"")

    def test_an_image_that_never_had_data_has_none(self, wire: Wire) -> None:
        head = wire("HEAD", f"/v2/images/{wire.create()['id']}/file")
        assert (head.status, head.body) == (204, b"")

    def test_a_body_is_refused(self, wire: Wire, image: str) -> None:
        assert wire("HEAD", f"/v2/images/{image}/file", b"x").status == 400


class TestConditions:
    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    @pytest.mark.parametrize(
        ("headers", "status"),
        [
            ({"If-None-Match": TAG}, 304),
            ({"If-None-Match": "*"}, 304),
            ({"If-None-Match": f'W/{TAG}, "x"'}, 304),
            ({"If-None-Match": TAG, "Range": "bytes=0-4"}, 304),
            ({"If-None-Match": '"x"'}, 200),
            ({"If-Match": TAG}, 200),
            ({"If-Match": "*"}, 200),
            ({"If-Match": '"x"'}, 412),
            ({"If-Match": '"x"', "If-None-Match": TAG}, 412),
        ],
    )
    def test_they_decide(self, wire: Wire, image: str, method: str, headers: dict[str, str], status: int) -> None:
        answer = wire(method, f"/v2/images/{image}/file", headers=headers)
        assert (answer.status, answer.complete) == (status, True)
        if status == 304:
            assert (answer.body, answer.headers["etag"]) == (b"", TAG)
            assert not {"content-length", "content-md5"} & answer.headers.keys()
        if status == 412 and method == "GET":
            assert b"If-Match" in answer.body

    def test_a_range_on_condition(self, wire: Wire, image: str) -> None:
        answer = wire("GET", f"/v2/images/{image}/file", headers={"If-Match": TAG, "Range": "bytes=5-9"})
        assert (answer.status, answer.body) == (206, DATA[5:10])

    def test_who_may_not_download_learns_no_digest(self, wire: Wire, image: str) -> None:
        for condition in ({"If-None-Match": TAG}, {"If-Match": '"x"'}):
            assert wire.as_(READER)("GET", f"/v2/images/{image}/file", headers=condition).status == 403
            assert wire.as_(OTHER)("GET", f"/v2/images/{image}/file", headers=condition).status == 404


class TestLostData:
    @pytest.mark.parametrize("headers", [{}, {"Range": "bytes=0-9"}])
    def test_the_reason_is_told(self, wire: Wire, image: str, headers: dict[str, str]) -> None:
        (wire.settings.data_dir / "images" / image).unlink()
        answer = wire("GET", f"/v2/images/{image}/file", headers=headers)
        assert answer.status == 503
        assert f"The data of image {image} are missing from their store.".encode() in answer.body

    def test_another_location_serves(self, at: Located) -> None:
        image_id = at.with_locations(lost := at.another(), at.in_memory())
        at.run_jobs()  # they are looked at before they serve
        at.web.files.pop(lost.rpartition("/")[2])
        assert at.wire("GET", f"/v2/images/{image_id}/file").body == DATA

    def test_a_location_that_is_refused_is_passed_over(self, at: Located) -> None:
        image_id = at.with_locations(refused := at.another(), at.in_memory())
        at.run_jobs()
        at.web.forbidden.add(refused.rpartition("/")[2])
        assert at.wire("GET", f"/v2/images/{image_id}/file").body == DATA

    @pytest.mark.parametrize("url", ["http://localhost/refused", "memory://other/image", "nonsense"])
    def test_where_all_are_refused_it_is_no_fault_of_the_client(self, at: Located, url: str) -> None:
        image_id = at.with_locations(at.url)
        at.run_jobs()
        with at.wire.rows() as connection:
            connection.exec_driver_sql(
                "UPDATE image_locations SET value = ? WHERE image_id = ?",
                (url.replace("localhost", f"localhost:{at.web.port}"), image_id),
            )
        at.web.files["refused"] = DATA
        for method in ("GET", "HEAD"):
            with at.wire.rows() as connection:
                connection.execute(images.update().where(images.c.id == image_id).values(size=None))
            assert at.wire(method, f"/v2/images/{image_id}/file").status == 503

    def test_an_image_that_never_had_data_is_204(self, wire: Wire) -> None:
        assert wire("GET", f"/v2/images/{wire.create()['id']}/file").status == 204


class TestUnknownSize:
    """Rows that another service left without a size."""

    def forgotten(self, at: Located, url: str) -> str:
        image_id = at.with_locations(url)
        at.run_jobs()
        with at.wire.rows() as connection:
            connection.execute(images.update().where(images.c.id == image_id).values(size=None))
        return image_id

    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    def test_the_store_is_asked(self, at: Located, method: str) -> None:
        answer = at.wire(method, f"/v2/images/{self.forgotten(at, at.url)}/file")
        assert (answer.status, answer.headers["content-length"]) == (200, str(len(DATA)))
        assert answer.body == (DATA if method == "GET" else b"")

    def of_unknown_length(self, at: Located, kind: str) -> str:
        """An image whose data come from a server that does not say how many there are."""
        image_id = self.forgotten(at, at.url)
        with at.wire.rows() as connection:
            connection.exec_driver_sql(
                "UPDATE image_locations SET value = ? WHERE image_id = ?", (at.web.url(kind, "a"), image_id)
            )
        return image_id

    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    @pytest.mark.parametrize("headers", [{}, {"Range": "bytes=5-9"}, {"Content-Range": "bytes 5-9/*"}])
    def test_data_of_unknown_length_go_out_to_their_end(
        self, at: Located, method: str, headers: dict[str, str]
    ) -> None:
        image_id = self.of_unknown_length(at, "chunked")
        answer = at.wire(method, f"/v2/images/{image_id}/file", headers=headers)
        assert (answer.status, answer.complete) == (200, True)
        assert answer.body == (DATA if method == "GET" else b"")
        assert "content-length" not in answer.headers
        assert answer.headers["accept-ranges"] == "none"

    def test_data_of_unknown_length_that_break_off_are_not_complete(self, at: Located) -> None:
        image_id = self.of_unknown_length(at, "cutchunked")
        answer = at.wire("GET", f"/v2/images/{image_id}/file")
        assert (answer.status, answer.complete) == (200, False)

    def test_data_without_length_and_end_are_refused_with_the_reason(self, at: Located) -> None:
        image_id = self.of_unknown_length(at, "unmarked")
        answer = at.wire("GET", f"/v2/images/{image_id}/file")
        assert answer.status == 503
        assert b"says neither how long the data are nor where they end" in answer.body
        assert at.wire("HEAD", f"/v2/images/{image_id}/file").status == 503


def silent(at: Located, kind: str, count: int) -> list[str]:
    """Images whose data were looked at, and of which no more come until the server speaks."""
    image_ids = [at.with_locations(at.web.url(kind, "a")) for _ in range(count)]
    at.run_jobs()
    at.web.hush()
    return image_ids


def meanwhile(at: Located, held: list[Awaitable[Answer]], ask: Callable[[], Awaitable[list[Answer]]]) -> list[Answer]:
    """What ``ask`` is answered while the held requests wait for the web server; these are answered at the end."""

    async def main() -> list[Answer]:
        before = len(at.web.requests)
        waiting = [asyncio.ensure_future(one) for one in held]
        while len(at.web.requests) == before:
            assert not all(one.done() for one in waiting), [one.result() for one in waiting]
            await asyncio.sleep(0.01)
        answers = await ask()
        assert not any(one.done() for one in waiting[:1])
        at.web.speak()
        await asyncio.gather(*waiting)
        return answers

    return at.wire.loop.run_until_complete(main())


async def metadata(wire: Wire, image_id: str) -> list[Answer]:
    return [
        await wire.ask("GET", "/v2/images"),
        await wire.ask("GET", f"/v2/images/{image_id}"),
        await wire.ask("POST", "/v2/images", json_body={"name": "meanwhile"}),
    ]


class TestSilentStores:
    def test_downloads_that_wait_hold_up_no_metadata_and_no_other_project(self, at: Located) -> None:
        held = silent(at, "silent", 4)
        other = at.as_(OTHER)
        theirs = other.wire.create(visibility="private")["id"]
        assert other.wire.upload(theirs, DATA).status == 204

        async def ask() -> list[Answer]:
            answers = await metadata(at.wire, held[0])
            created = await other.wire.ask(
                "POST", "/v2/images", json_body={"disk_format": "raw", "container_format": "bare"}
            )
            octets = {"Content-Type": "application/octet-stream"}
            sent = await other.wire.ask("PUT", f"/v2/images/{created.json['id']}/file", DATA, octets)
            got = await other.wire.ask("GET", f"/v2/images/{theirs}/file")
            assert got.body == DATA
            return [*answers, sent, got]

        waiting: list[Awaitable[Answer]] = [at.wire.ask("GET", f"/v2/images/{one}/file") for one in held]
        assert [answer.status for answer in meanwhile(at, waiting, ask)] == [200, 200, 201, 204, 200]

    def test_changes_of_locations_that_wait_hold_up_no_metadata(self, at: Located) -> None:
        created = [str(at.wire.create()["id"]) for _ in range(4)]
        at.web.hush()
        operation = [{"op": "add", "path": "/locations/-", "value": {"url": at.web.url("mute", "a"), "metadata": {}}}]
        headers = {"Content-Type": "application/openstack-images-v2.1-json-patch"}
        waiting: list[Awaitable[Answer]] = [
            at.wire.ask("PATCH", f"/v2/images/{one}", json_body=operation, headers=headers) for one in created
        ]
        answers = meanwhile(at, waiting, lambda: metadata(at.wire, created[0]))
        assert [answer.status for answer in answers] == [200, 200, 201]

    def test_sizes_that_are_waited_for_hold_up_no_metadata(self, at: Located) -> None:
        image_ids = silent(at, "files", 4)
        with at.wire.rows() as connection:
            connection.execute(images.update().values(size=None))
            connection.exec_driver_sql("UPDATE image_locations SET value = ?", (at.web.url("mute", "a"),))
        waiting: list[Awaitable[Answer]] = [at.wire.ask("HEAD", f"/v2/images/{one}/file") for one in image_ids]
        answers = meanwhile(at, waiting, lambda: metadata(at.wire, image_ids[0]))
        assert [answer.status for answer in answers] == [200, 200, 201]

    def test_deletions_that_wait_for_a_store_hold_up_no_metadata(self, tmp_path: Path) -> None:
        with wired(settings_in(tmp_path, listen=Listen(request_threads=2, transfer_threads=4))) as wire:
            image_ids = [str(wire.create()["id"]) for _ in range(4)]
            for one in image_ids:
                assert wire.upload(one, DATA).status == 204
            threads = wire.service.application._app_state.store_threads  # type: ignore[attr-defined]
            goes_on = asyncio.Event()

            async def main() -> list[Answer]:
                store = wire.service.deps.stores.default
                delete, loop = store.delete, asyncio.get_running_loop()

                def waiting(url: str) -> None:
                    asyncio.run_coroutine_threadsafe(goes_on.wait(), loop).result(60)
                    delete(url)

                store.delete = waiting  # type: ignore[method-assign]
                deletions = [asyncio.ensure_future(wire.ask("DELETE", f"/v2/images/{one}")) for one in image_ids]
                await asyncio.sleep(0)
                answers = await metadata(wire, image_ids[0])
                assert threads is not None
                goes_on.set()
                return [*answers, *await asyncio.gather(*deletions)]

            answers = wire.loop.run_until_complete(main())
            assert [answer.status for answer in answers] == [200, 200, 201, 204, 204, 204, 204]

    def test_uploads_that_wait_for_a_store_hold_up_no_metadata(self, tmp_path: Path) -> None:
        with wired(settings_in(tmp_path, listen=Listen(request_threads=2, transfer_threads=4))) as wire:
            image_ids = [str(wire.create()["id"]) for _ in range(4)]
            store = wire.service.deps.stores.default
            begun, goes_on = threading.Semaphore(0), threading.Event()
            writer = store.writer

            def waiting(image_id: str, size: int | None, attempt: str) -> Writer:
                begun.release()
                goes_on.wait(60)
                return writer(image_id, size, attempt)

            store.writer = waiting  # type: ignore[method-assign]
            octets = {"Content-Type": "application/octet-stream"}

            async def main() -> list[Answer]:
                uploads = [
                    asyncio.ensure_future(wire.ask("PUT", f"/v2/images/{one}/file", DATA, octets)) for one in image_ids
                ]
                for _ in uploads:
                    while not begun.acquire(blocking=False):
                        await asyncio.sleep(0.01)
                answers = await metadata(wire, image_ids[0])
                assert not any(upload.done() for upload in uploads)
                goes_on.set()
                return [*answers, *await asyncio.gather(*uploads)]

            answers = wire.loop.run_until_complete(main())
            assert [answer.status for answer in answers] == [200, 200, 201, 204, 204, 204, 204]

    def test_a_store_that_does_not_open_in_time_is_503(self, tmp_path: Path) -> None:
        with located(tmp_path, data_sources=DataSources(open_timeout=0.2)) as at:
            (image_id,) = silent(at, "silent", 1)
            answer = at.wire("GET", f"/v2/images/{image_id}/file")
            assert answer.status == 503
            assert b"The server localhost did not answer" in answer.body
            at.web.speak()


class TestConcurrency:
    def test_a_project_has_a_limit_of_downloads_and_others_go_on(self, at: Located) -> None:
        held = silent(at, "silent", 4)
        other = at.as_(OTHER)
        theirs = other.wire.create()["id"]
        assert other.wire.upload(theirs, DATA).status == 204

        downloads = at.wire.service.application._app_state.downloads  # type: ignore[attr-defined]

        async def ask() -> list[Answer]:
            while downloads.running < len(held):
                await asyncio.sleep(0.01)
            return [
                await at.wire.ask("GET", f"/v2/images/{held[0]}/file"),
                await other.wire.ask("GET", f"/v2/images/{theirs}/file"),
            ]

        waiting: list[Awaitable[Answer]] = [at.wire.ask("GET", f"/v2/images/{one}/file") for one in held]
        refused, served = meanwhile(at, waiting, ask)
        assert (refused.status, refused.headers["retry-after"]) == (503, "10")
        assert b"already has the maximum of 4 running downloads" in refused.body
        assert (served.status, served.body) == (200, DATA)
        assert at.wire("GET", f"/v2/images/{held[0]}/file").status == 200


class TestReaders:
    """No answer leaves its reader open, however it ends."""

    @pytest.fixture
    def open_files(self, wire: Wire) -> Callable[[], list[str]]:
        place = str(wire.settings.data_dir / "images")

        def found() -> list[str]:
            names: list[str] = []
            for descriptor in os.listdir("/proc/self/fd"):
                try:
                    names.append(os.readlink(f"/proc/self/fd/{descriptor}"))
                except FileNotFoundError:
                    continue
            return [name for name in names if name.startswith(place)]

        return found

    @pytest.mark.parametrize("failing", ["http.response.start", "http.response.body"])
    def test_a_message_that_cannot_be_sent(
        self, wire: Wire, image: str, open_files: Callable[[], list[str]], failing: str
    ) -> None:
        fields = {**wire.caller.headers(), "Host": "img.example.net"}
        scope: dict[str, Any] = {
            "type": "http", "http_version": "1.1", "method": "GET", "scheme": "http", "root_path": "",
            "path": f"/v2/images/{image}/file", "raw_path": b"", "query_string": b"",
            "headers": [(name.lower().encode(), value.encode()) for name, value in fields.items()],
            "client": ("127.0.0.1", 50000), "server": ("127.0.0.1", 9292),
        }  # fmt: skip
        sent: list[str] = []

        async def send(message: Any) -> None:
            sent.append(message["type"])
            if message["type"] == failing:
                raise OSError("wire cut")

        async def receive() -> Any:
            await asyncio.Event().wait()

        async def main() -> None:
            await wire.service.application(scope, receive, send)
            for _ in range(1000):
                if not open_files():
                    return
                await asyncio.sleep(0.01)

        wire.loop.run_until_complete(main())
        assert sent[-1] == failing
        assert open_files() == []


class KeptData:
    """What a cache will be: it keeps whole images and has them read from itself; the rest goes to the stores."""

    def __init__(self, source: ImageSource) -> None:
        self._source = source
        self._kept = MemoryStore("kept", MemoryOptions())
        self.asked: list[tuple[str, int, int | None]] = []

    def size(self, found: DataFound) -> int | None:
        return self._source.size(found)

    def open(self, found: DataFound, offset: int, length: int | None) -> Reader:
        try:
            return self._kept.reader(f"memory://kept/{found.image.id}", offset, length)
        except DataNotFound:
            self.asked.append((found.image.id, offset, length))
            reader = self._source.open(found, 0, None)
        writer = self._kept.writer(found.image.id, None, "fill")
        while part := reader.read(1 << 20):
            writer.write(part)
        reader.close()
        writer.commit()
        return self._kept.reader(f"memory://kept/{found.image.id}", offset, length)


def test_a_cache_stands_between_downloads_and_stores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that reads an image for a client goes through the one source that the service was built with."""
    caches: list[KeptData] = []

    def with_cache(stores: StoreSet, _metrics: object) -> ImageSource:
        caches.append(KeptData(StoredData(stores)))
        return caches[-1]

    monkeypatch.setattr("glimpse.app._image_source", with_cache)
    with located(tmp_path) as at:
        image_id = at.with_locations(at.url)
        at.run_jobs()
        at.web.requests.clear()
        ranged = at.wire("GET", f"/v2/images/{image_id}/file", headers={"Range": "bytes=5-9"})
        assert (ranged.status, ranged.body) == (206, DATA[5:10])
        assert len(at.web.requests) == 1
        # from now on the web server is not needed
        at.web.files.clear()
        assert at.wire("GET", f"/v2/images/{image_id}/file").body == DATA
        assert at.wire("HEAD", f"/v2/images/{image_id}/file").headers["content-length"] == str(len(DATA))
        assert len(at.web.requests) == 1
        assert caches[0].asked == [(image_id, 5, 5)]
