"""HTTP behaviour of clients: expectations, keep-alive, early responses, ranges, concurrent requests."""

from __future__ import annotations

import hashlib
import http.client
import os
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.footprint import assert_untouched, eventually, stored_files
from tests.support.images import HOSTILE, noise
from tests.support.raw_http import OCTETS, Answer, Api, RawConnection, exchange, zeros
from tests.support.service import Service

DATA = noise(3_000_017, "connections")
NO_IMAGE = "ac9e5a10-6a5a-4b2f-b8a3-0a5a3a3a3a3a"
EXPECTING = {**OCTETS, "Expect": "100-continue", "Content-Length": len(DATA)}


@pytest.fixture(scope="module")
def image_id(service: Service) -> str:
    """An image that has ``DATA``."""
    api = Api(service.port)
    image_id = api.new()
    assert api.upload(image_id, DATA).status == 204
    return image_id


def test_an_upload_that_is_welcome_is_told_to_continue(service: Service, api: Api) -> None:
    image_id = api.new()
    with RawConnection(service.port) as connection:
        connection.head("PUT", f"/v2/images/{image_id}/file", EXPECTING)
        assert connection.interim().startswith(b"HTTP/1.1 100 ")
        connection.send(DATA)
        assert connection.answer("PUT").status == 204
    assert api.download(image_id).body == DATA


@pytest.mark.parametrize("case", ["unknown image", "image with data", "media type"])
def test_an_upload_that_is_not_welcome_is_refused_before_its_data(service: Service, image_id: str, case: str) -> None:
    target = NO_IMAGE if case == "unknown image" else image_id
    headers = {**EXPECTING, "Content-Type": "text/plain"} if case == "media type" else EXPECTING
    with RawConnection(service.port) as connection:
        connection.head("PUT", f"/v2/images/{target}/file", headers)
        expected = {"unknown image": 404, "image with data": 409, "media type": 415}[case]
        assert connection.answer("PUT").status == expected


def test_a_connection_survives_errors(service: Service, api: Api) -> None:
    connection = api.connect()
    image_id = api.new()
    refused = api.new(disk_format="qcow2")
    connection.connect()
    opened = connection.sock
    hostile = HOSTILE["qcow2-backing-file"].build()
    for method, path, body, headers, status in (
        ("POST", "/v2/images", b"{", {}, 400),
        ("POST", "/v2/images", b'{"status": "active"}', {}, 403),
        ("GET", f"/v2/images/{NO_IMAGE}", None, {}, 404),
        ("HEAD", f"/v2/images/{image_id}/file", None, {}, 204),
        ("DELETE", "/v2/images", None, {}, 405),
        ("GET", f"/v2/images/{image_id}/file", None, {}, 204),
        ("PUT", f"/v2/images/{refused}/file", hostile, OCTETS, 415),
        ("PUT", f"/v2/images/{image_id}/file", DATA[:5000], {**OCTETS, "x-openstack-image-size": "7"}, 400),
        ("PUT", f"/v2/images/{image_id}/file", DATA[:5000], OCTETS, 204),
        ("PUT", f"/v2/images/{image_id}/file", DATA[:5000], OCTETS, 409),
        ("GET", f"/v2/images/{image_id}/file", None, {"Range": "bytes=9000-"}, 416),
        ("HEAD", f"/v2/images/{image_id}/file", None, {}, 200),
        ("GET", f"/v2/images/{image_id}/file", None, {}, 200),
        ("GET", "/", None, {}, 300),
    ):
        answer = exchange(connection, method, path, body, headers)
        assert answer.status == status, (method, path, answer.status, answer.text)
        if method == "GET" and status == 200:
            assert answer.body == DATA[:5000]
        assert connection.sock is opened, f"closed after {method} {path} {status}"
    connection.close()
    assert_untouched(service, api, refused)


@pytest.mark.parametrize("size", [8 << 20, 40 << 20, 200 << 20], ids=["8 MiB", "40 MiB", "200 MiB"])
@pytest.mark.parametrize("case", ["unknown image", "image with data", "media type", "hostile"])
def test_an_early_refusal_of_a_large_body_reaches_the_client(api: Api, image_id: str, case: str, size: int) -> None:
    target = {"unknown image": NO_IMAGE, "hostile": api.new(disk_format="qcow2")}.get(case, image_id)
    head = HOSTILE["qcow2-backing-file"].build() if case == "hostile" else b""
    headers = {"Content-Type": "text/plain"} if case == "media type" else OCTETS

    def body() -> object:
        yield head
        yield from zeros(size)

    answer = api.call("PUT", f"/v2/images/{target}/file", body(), headers)  # type: ignore[arg-type]
    expected = {"unknown image": 404, "image with data": 409, "media type": 415, "hostile": 415}[case]
    assert answer.status == expected, answer.text
    assert len(answer.body) == int(answer.headers["content-length"])


def test_a_refused_body_never_leaves_its_connection_hanging(api: Api) -> None:
    """Whatever still refers to a refused request, its unread body must go, or the client waits for ever."""

    def refused(_: int) -> int:
        return api.call("PUT", f"/v2/images/{NO_IMAGE}/file", zeros(100 << 20), OCTETS, timeout=10).status

    with ThreadPoolExecutor(3) as pool:
        assert set(pool.map(refused, range(24))) == {404}


def test_pipelined_requests_are_answered_in_order(service: Service, image_id: str) -> None:
    with RawConnection(service.port) as connection:
        for first, last in ((0, 9), (10, 99_999), (100_000, 2_999_999)):
            connection.head("GET", f"/v2/images/{image_id}/file", {"Range": f"bytes={first}-{last}"})
        received = connection.socket.makefile("rb")
        for first, last in ((0, 9), (10, 99_999), (100_000, 2_999_999)):
            assert received.readline().startswith(b"HTTP/1.1 206 ")
            while received.readline().strip():
                pass
            assert received.read(last - first + 1) == DATA[first : last + 1]


def test_parallel_downloads_do_not_mix(api: Api) -> None:
    contents = [noise(4_000_000 + number, str(number)) for number in range(6)]
    images = [api.new() for _ in contents]
    with ThreadPoolExecutor(12) as pool:
        statuses = pool.map(lambda pair: api.upload(*pair).status, zip(images, contents, strict=True))
        assert set(statuses) == {204}
        downloads = [
            (pool.submit(api.download, image_id), data) for image_id, data in [*zip(images, contents, strict=True)] * 2
        ]
        for download, data in downloads:
            assert hashlib.sha256(download.result().body).digest() == hashlib.sha256(data).digest()


def test_a_download_has_its_length_and_its_digest(api: Api, image_id: str) -> None:
    answer = api.download(image_id)
    assert answer.status == 200
    assert answer.body == DATA
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-length"] == str(len(DATA))
    assert answer.headers["content-md5"] == hashlib.md5(DATA).hexdigest()
    assert answer.headers["transfer-encoding"] is None


SIZE = len(DATA)
RANGES = {
    "bytes=0-0": (0, 0),
    "bytes=0-": (0, SIZE - 1),
    "bytes=1-1000000": (1, 1_000_000),
    "bytes=2999999-99999999": (2_999_999, SIZE - 1),
    f"bytes={SIZE - 1}-": (SIZE - 1, SIZE - 1),
    "bytes=-1": (SIZE - 1, SIZE - 1),
    "bytes=-1000000": (SIZE - 1_000_000, SIZE - 1),
    "bytes=-99999999": (0, SIZE - 1),
    "bytes=-0": (0, SIZE - 1),
}


@pytest.mark.parametrize(("header", "span"), RANGES.items(), ids=RANGES.keys())
def test_a_range_is_206(api: Api, image_id: str, header: str, span: tuple[int, int]) -> None:
    first, last = span
    answer = api.download(image_id, {"Range": header})
    assert answer.status == 206, answer.text
    assert answer.body == DATA[first : last + 1]
    assert answer.headers["content-range"] == f"bytes {first}-{last}/{SIZE}"
    assert answer.headers["content-length"] == str(last - first + 1)
    assert answer.headers["content-md5"] == hashlib.md5(DATA).hexdigest()


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (f"bytes={SIZE}-", 416),
        ("bytes=5-4", 416),
        ("bytes=a-b", 416),
        ("bytes=-", 416),
        ("bytes", 416),
        ("lines=0-1", 416),
        ("bytes=0-1,5-6", 400),
    ],
)
def test_a_range_that_cannot_be_given_is_refused(api: Api, image_id: str, header: str, status: int) -> None:
    assert api.download(image_id, {"Range": header}).status == status


def test_if_range_decides_between_the_part_and_the_whole(api: Api, image_id: str) -> None:
    whole = api.download(image_id)
    tag = whole.headers["etag"]
    assert tag.startswith('"')
    assert whole.headers["accept-ranges"] == "bytes"

    def resumed(validator: str) -> Answer:
        return api.download(image_id, {"Range": "bytes=2000000-", "If-Range": validator})

    part = resumed(tag)
    assert part.status == 206
    assert whole.body[:2_000_000] + part.body == DATA
    for other in ('"0123456789abcdef"', f"W/{tag}", "Sun, 22 Nov 2026 12:00:00 GMT"):
        answer = resumed(other)
        assert answer.status == 200
        assert answer.body == DATA


def test_a_range_of_an_image_without_data_is_204(api: Api) -> None:
    answer = api.download(api.new(), {"Range": "bytes=0-10"})
    assert (answer.status, answer.body) == (204, b"")


def test_an_empty_image_is_an_image(api: Api) -> None:
    image_id = api.new()
    assert api.upload(image_id, b"").status == 204
    shown = api.show(image_id)
    assert (shown["status"], shown["size"], shown["virtual_size"]) == ("active", 0, None)
    assert shown["checksum"] == hashlib.md5(b"").hexdigest()
    answer = api.download(image_id)
    assert (answer.status, answer.body, answer.headers["content-length"]) == (200, b"", "0")


def test_a_body_in_chunks_is_json_too(api: Api) -> None:
    answer = api.call("POST", "/v2/images", iter([b'{"na', b'me": "in ch', b'unks"}']))
    assert answer.status == 201
    assert answer.json["name"] == "in chunks"


def test_a_client_that_leaves_during_a_download_keeps_nothing_open(service: Service, api: Api) -> None:
    image_id = api.new()
    assert api.upload(image_id, zeros(64 << 20)).status == 204
    for _ in range(5):
        with RawConnection(service.port, receive_buffer=65536) as connection:
            connection.head("GET", f"/v2/images/{image_id}/file")
            assert connection.socket.recv(12) == b"HTTP/1.1 200"
    assert eventually(lambda: open_data_files(service) == [], 10), open_data_files(service)
    assert api.call("GET", "/v2/images?limit=1").status == 200


def test_data_that_vanished_from_the_store_are_503_with_the_reason(service: Service, api: Api) -> None:
    """A 204 would make clients believe in an empty image."""
    image_id = api.new()
    assert api.upload(image_id, DATA).status == 204
    (service.images_dir / image_id).unlink()
    answer = api.download(image_id)
    assert answer.status == 503
    assert "missing from their store" in answer.text
    assert api.download(image_id, {"Range": "bytes=0-9"}).status == 503
    assert api.delete(image_id).status == 204


def test_damaged_data_are_not_given_out(service: Service, api: Api) -> None:
    image_id = api.new()
    assert api.upload(image_id, DATA).status == 204
    os.truncate(service.images_dir / image_id, 1_000_000)
    assert api.download(image_id).status == 503
    assert api.download(image_id, {"Range": "bytes=2000000-2000009"}).status == 503
    assert api.delete(image_id).status == 204


def test_data_that_break_off_never_look_complete(service: Service, api: Api) -> None:
    image_id = api.new()
    assert api.upload(image_id, zeros(64 << 20)).status == 204
    with RawConnection(service.port, receive_buffer=65536) as connection:
        connection.head("GET", f"/v2/images/{image_id}/file")
        assert connection.socket.recv(12, socket.MSG_PEEK) == b"HTTP/1.1 200"
        os.truncate(service.images_dir / image_id, 1_000)
        with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
            connection.answer()
    assert api.delete(image_id).status == 204


def test_a_deletion_during_a_download_lets_it_end(service: Service, api: Api) -> None:
    image_id = api.new()
    data = noise(30_000_000, "deleted meanwhile")
    assert api.upload(image_id, data).status == 204
    with RawConnection(service.port, receive_buffer=65536) as connection:
        connection.head("GET", f"/v2/images/{image_id}/file")
        assert connection.socket.recv(12, socket.MSG_PEEK) == b"HTTP/1.1 200"
        assert api.delete(image_id).status == 204
        assert api.call("GET", f"/v2/images/{image_id}").status == 404
        assert connection.answer().body == data
    assert not [name for name in stored_files(service) if image_id in name]
    assert eventually(lambda: open_data_files(service) == [], 10), open_data_files(service)


def test_waiting_uploads_do_not_hold_up_anything_else(service: Service, api: Api) -> None:
    images = [api.new() for _ in range(20)]
    connections = [RawConnection(service.port) for _ in images]
    try:
        for image_id, connection in zip(images, connections, strict=True):
            connection.head("PUT", f"/v2/images/{image_id}/file", {**OCTETS, "Content-Length": 10})
            connection.send(b"01234")
        assert eventually(lambda: all(api.show(image_id)["status"] == "saving" for image_id in images))
        quick = api.new()
        assert api.upload(quick, DATA).status == 204
        assert api.download(quick).body == DATA
        for connection in connections:
            connection.send(b"56789")
            assert connection.answer("PUT").status == 204
    finally:
        for connection in connections:
            connection.socket.close()
    assert {api.show(image_id)["checksum"] for image_id in images} == {hashlib.md5(b"0123456789").hexdigest()}


def test_many_small_requests_on_many_connections(api: Api) -> None:
    image = api.create(name="asked for often")
    wrong: list[object] = []

    def ask() -> None:
        connection = api.connect()
        for _ in range(40):
            answer = exchange(connection, "GET", f"/v2/images/{image['id']}")
            if answer.status != 200 or answer.json != image:
                wrong.append((answer.status, answer.text))
        connection.close()

    threads = [threading.Thread(target=ask) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_long_header_lines_are_taken(api: Api) -> None:
    assert api.call("GET", "/v2/images?limit=1", headers={"X-Auth-Token": "t" * 16_384}).status == 200
    many = ",".join(f"{number:032x}" for number in range(480))
    assert api.call("GET", f"/v2/images?id=in:{many}").json["images"] == []


def open_data_files(service: Service) -> list[str]:
    """Files of the store that the service has open."""
    found: list[str] = []
    for pid in service.workers():
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            try:
                target = os.readlink(descriptor)
            except FileNotFoundError:
                continue
            if target.startswith(str(service.images_dir)):
                found.append(target)
    return found
