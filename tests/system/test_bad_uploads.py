"""Invalid uploads: they get the status of images-api 4.2 and leave nothing behind."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable

import pytest

from tests.support.footprint import assert_untouched, eventually, leases, stored_files
from tests.support.images import HOSTILE, VALID, Sample
from tests.support.raw_http import OCTETS, Api, RawConnection
from tests.support.service import Service
from tests.system.conftest import StartService

DATA = VALID["boot-disk"].build()
PART = DATA[: 1 << 20]
CHUNKED = {**OCTETS, "Transfer-Encoding": "chunked"}


def with_length(sent: int) -> Callable[[RawConnection, str], None]:
    """A body of which only the first ``sent`` bytes of a whole disk come."""

    def send(connection: RawConnection, path: str) -> None:
        connection.head("PUT", path, {**OCTETS, "Content-Length": len(DATA)})
        connection.send(DATA[:sent])

    return send


def in_chunks(tail: bytes) -> Callable[[RawConnection, str], None]:
    """A body in chunks whose last bytes are ``tail``, which is not the proper end."""

    def send(connection: RawConnection, path: str) -> None:
        connection.head("PUT", path, CHUNKED)
        connection.chunk(PART)
        connection.send(tail)

    return send


TRUNCATED = {
    "length, nothing sent": with_length(0),
    "length, one byte": with_length(1),
    "length, a part": with_length(1_500_000),
    "length, all but one byte": with_length(len(DATA) - 1),
    "chunks, between two": in_chunks(b""),
    "chunks, inside one": in_chunks(b"ffff\r\n" + PART[:100]),
    "chunks, inside a size": in_chunks(b"ff"),
    "chunks, before the last line": in_chunks(b"0\r\n"),
}


@pytest.mark.parametrize("ending", ["close", "reset", "half close"])
@pytest.mark.parametrize("send", TRUNCATED.values(), ids=TRUNCATED.keys())
def test_a_truncated_body_leaves_nothing(
    service: Service, api: Api, send: Callable[[RawConnection, str], None], ending: str
) -> None:
    image_id = api.new()
    with RawConnection(service.port) as connection:
        send(connection, f"/v2/images/{image_id}/file")
        assert eventually(lambda: api.show(image_id)["status"] == "saving")
        if ending == "reset":
            connection.reset()
        elif ending == "half close":
            connection.half_close()
            answered = connection.socket.recv(12)
            assert answered in (b"", b"HTTP/1.1 400"), answered
    assert_untouched(service, api, image_id)


def test_the_image_can_be_uploaded_again(service: Service, api: Api) -> None:
    image_id = api.new()
    with RawConnection(service.port) as connection:
        with_length(1_500_000)(connection, f"/v2/images/{image_id}/file")
        assert eventually(lambda: api.show(image_id)["status"] == "saving")
    assert_untouched(service, api, image_id)
    assert api.upload(image_id, DATA).status == 204
    assert api.download(image_id).body == DATA


@pytest.mark.parametrize("chunk", [b"zz\r\nabc\r\n", b"-5\r\nabcde\r\n", b"3\r\nabcdef\r\n0\r\n\r\n"])
def test_malformed_chunks_leave_nothing(service: Service, api: Api, chunk: bytes) -> None:
    image_id = api.new()
    with RawConnection(service.port) as connection:
        connection.head("PUT", f"/v2/images/{image_id}/file", CHUNKED)
        connection.send(chunk)
        connection.half_close()
        answered = connection.socket.recv(12)
        assert answered in (b"", b"HTTP/1.1 400"), answered
    assert eventually(lambda: f'"PUT /v2/images/{image_id}/file"' in service.log), "the request never ended"
    assert_untouched(service, api, image_id)


@pytest.mark.parametrize("framing", ["length", "chunks"])
@pytest.mark.parametrize(
    "announced",
    [str(len(PART) - 1), str(len(PART) + 1), "1", str(1 << 30), "-5"],
    ids=["one less", "one more", "one byte", "a GiB", "negative"],
)
def test_a_size_that_differs_from_the_announced_one_is_400(
    service: Service, api: Api, announced: str, framing: str
) -> None:
    image_id = api.new()
    body = PART if framing == "length" else iter([PART[:70_000], PART[70_000:]])
    answer = api.upload(image_id, body, {"x-openstack-image-size": announced})
    assert answer.status == 400, answer.text
    assert_untouched(service, api, image_id)


@pytest.mark.parametrize("announced", ["", "abc", "1.5", "0x10", "1 000", "١٢"])
def test_a_size_that_is_no_integer_is_400(service: Service, api: Api, announced: str) -> None:
    image_id = api.new()
    answer = api.upload(image_id, PART, {"x-openstack-image-size": announced.encode().decode("latin-1")})
    assert answer.status == 400, answer.text
    assert_untouched(service, api, image_id)


def test_the_announced_size_beats_the_length_of_the_body(service: Service, api: Api) -> None:
    image_id = api.new()
    assert api.upload(image_id, PART, {"x-openstack-image-size": str(len(PART))}).status == 204
    assert api.show(image_id)["size"] == len(PART)


@pytest.mark.parametrize(
    "media_type",
    [None, "", "text/plain", "application/json", "APPLICATION/OCTET-STREAM", "application/octet-streams", "*/*"],
)
def test_other_media_types_are_415(service: Service, api: Api, media_type: str | None) -> None:
    image_id = api.new()
    headers = {} if media_type is None else {"Content-Type": media_type}
    answer = api.call("PUT", f"/v2/images/{image_id}/file", PART, headers)
    assert answer.status == 415, answer.text
    assert_untouched(service, api, image_id)


def test_parameters_of_the_media_type_are_ignored(api: Api) -> None:
    assert api.upload(api.new(), PART, {"Content-Type": "application/octet-stream; charset=binary"}).status == 204


@pytest.mark.parametrize("image_id", ["ac9e5a10-6a5a-4b2f-b8a3-0a5a3a3a3a3a", "no-uuid", "x" * 300, "..", "%00"])
def test_an_unknown_image_is_404(service: Service, api: Api, image_id: str) -> None:
    before = stored_files(service)
    assert api.upload(image_id, PART).status == 404
    assert stored_files(service) == before


@pytest.mark.parametrize("missing", ["disk_format", "container_format"])
def test_an_image_without_formats_is_400(service: Service, api: Api, missing: str) -> None:
    image_id = api.new(**{missing: None})
    assert api.upload(image_id, PART).status == 400
    assert_untouched(service, api, image_id)


def test_an_image_with_data_is_409_and_keeps_them(service: Service, api: Api) -> None:
    image_id = api.new()
    assert api.upload(image_id, PART).status == 204
    before = api.show(image_id)
    assert api.upload(image_id, DATA).status == 409
    assert api.show(image_id) == before
    assert api.download(image_id).body == PART
    assert {name for name in stored_files(service) if image_id in name} == {image_id}


def test_a_second_upload_at_the_same_time_is_409(service: Service, api: Api) -> None:
    image_id = api.new()
    with RawConnection(service.port) as connection:
        connection.head("PUT", f"/v2/images/{image_id}/file", {**OCTETS, "Content-Length": len(DATA)})
        connection.send(DATA[:1000])
        assert eventually(lambda: api.show(image_id)["status"] == "saving")
        assert api.upload(image_id, PART).status == 409
        connection.send(DATA[1000:])
        assert connection.answer("PUT").status == 204
    assert api.download(image_id).body == DATA


def test_an_image_deleted_during_its_upload_is_410_and_leaves_nothing(service: Service, api: Api) -> None:
    image_id = api.new()
    with RawConnection(service.port) as connection:
        connection.head("PUT", f"/v2/images/{image_id}/file", {**OCTETS, "Content-Length": len(DATA)})
        connection.send(DATA[:1_500_000])
        assert eventually(lambda: api.show(image_id)["status"] == "saving")
        assert api.delete(image_id).status == 204
        connection.send(DATA[1_500_000:])
        assert connection.answer("PUT").status == 410
    assert api.call("GET", f"/v2/images/{image_id}").status == 404
    assert eventually(lambda: not leases(service))
    assert not [name for name in stored_files(service) if image_id in name]


@pytest.mark.parametrize("sample", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_content_is_415_with_its_reason_and_leaves_nothing(service: Service, api: Api, sample: Sample) -> None:
    image_id = api.new(disk_format=sample.disk_format)
    answer = api.upload(image_id, sample.build())
    assert answer.status == 415, answer.text
    assert len(answer.text.splitlines()) > 2, answer.text
    assert_untouched(service, api, image_id)
    assert api.patch(image_id, [{"op": "replace", "path": "/disk_format", "value": "raw"}]).status == 200
    assert api.upload(image_id, DATA).status == 204
    assert api.download(image_id).body == DATA
    assert api.delete(image_id).status == 204


@pytest.mark.parametrize("name", ["qcow2-backing-file", "qcow2-data-file"])
def test_hostile_qcow2_is_refused_however_it_is_cut(service: Service, api: Api, name: str) -> None:
    image = HOSTILE[name].build()
    image_id = api.new(disk_format="qcow2")
    for parts in ([image], [image[:3], image[3:]], [image[:511], image[511:]], [image[i : i + 1] for i in range(2048)]):
        assert api.upload(image_id, iter([*parts, b"\0" * 100_000])).status == 415
        assert_untouched(service, api, image_id)


def test_hostile_content_is_refused_in_every_container(service: Service, api: Api) -> None:
    image_id = api.new(disk_format="qcow2", container_format="ovf")
    assert api.upload(image_id, HOSTILE["qcow2-backing-file"].build()).status == 415
    assert_untouched(service, api, image_id)


@pytest.mark.parametrize("framing", ["length", "chunks"])
def test_more_than_the_store_can_hold_is_413(service: Service, api: Api, framing: str) -> None:
    """The announced size is believed where it is too large, so that nothing is moved in vain."""
    image_id = api.new()
    body = PART if framing == "length" else iter([PART[:70_000], PART[70_000:]])
    answer = api.upload(image_id, body, {"x-openstack-image-size": str(shutil.disk_usage(service.place).total)})
    assert answer.status == 413, answer.text
    assert_untouched(service, api, image_id)


@pytest.mark.parametrize("framing", ["length", "chunks"])
def test_more_than_the_size_cap_is_413(start_service: StartService, framing: str) -> None:
    service = start_service(options={"DEFAULT": {"image_size_cap": 1 << 20}})
    api = Api(service.port)
    image_id = api.new()
    body = DATA if framing == "length" else iter([DATA[:1_000_000], DATA[1_000_000:]])
    answer = api.upload(image_id, body)
    assert answer.status == 413, answer.text
    assert_untouched(service, api, image_id)
    assert api.upload(image_id, PART).status == 204


def test_a_silent_sender_is_given_up(start_service: StartService) -> None:
    service = start_service(options={"glimpse": {"body_timeout": 0.5}})
    api = Api(service.port)
    image_id = api.new()
    with RawConnection(service.port) as connection:
        connection.head("PUT", f"/v2/images/{image_id}/file", {**OCTETS, "Content-Length": len(DATA)})
        connection.send(DATA[:100_000])
        assert connection.answer("PUT").status == 408
    assert_untouched(service, api, image_id)


def test_many_refused_uploads_at_the_same_time_leave_nothing(service: Service, api: Api) -> None:
    hostile = HOSTILE["qcow2-backing-file"].build() + bytes(300_000)
    images = [api.new(disk_format="qcow2") for _ in range(12)]
    statuses: list[int] = []

    def send(image_id: str) -> None:
        statuses.append(api.upload(image_id, hostile).status)

    threads = [threading.Thread(target=send, args=(image_id,)) for image_id in images]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [415] * 12
    for image_id in images:
        assert_untouched(service, api, image_id)


def test_refused_uploads_cost_no_memory(service: Service, api: Api) -> None:
    hostile = HOSTILE["qcow2-backing-file"].build() + bytes(2 << 20)
    image_id = api.new(disk_format="qcow2")

    def refuse(times: int) -> None:
        for _ in range(times):
            assert api.upload(image_id, hostile).status == 415
            with RawConnection(service.port) as connection:
                with_length(1_500_000)(connection, f"/v2/images/{image_id}/file")
                assert eventually(lambda: api.show(image_id)["status"] == "saving")
            assert eventually(lambda: api.show(image_id)["status"] == "queued" and not leases(service))
            assert api.call("POST", "/v2/images", json.dumps({"name": "x" * 2_000_000}).encode()).status == 400

    refuse(10)
    before = service.resident_bytes()
    refuse(30)
    assert service.resident_bytes() - before < 16 << 20
    assert_untouched(service, api, image_id)
