"""Upload and download through the API (images-api 4)."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path

import pytest

from glimpse.api.app import Application
from glimpse.context import Context
from glimpse.domain.job_kinds import UPLOAD, NoInput
from glimpse.errors import Gone
from glimpse.settings.model import Listen
from tests.support.images import HOSTILE, VALID, Sample
from tests.support.images.attacks import ATTACKS
from tests.support.wire import OTHER, READER, Wire, settings_in, wired

DATA = bytes(range(256)) * 41 + b"tail"


@pytest.fixture
def image(wire: Wire) -> str:
    return str(wire.create()["id"])


def assert_clean(wire: Wire, image_id: str) -> None:
    """The image is queued without a trace of data, and takes data."""
    shown = wire("GET", f"/v2/images/{image_id}").json
    assert (shown["status"], shown["size"], shown["checksum"], shown["os_hash_value"]) == ("queued", None, None, None)
    assert wire("GET", f"/v2/images/{image_id}/file").status == 204
    assert wire.stored() == []
    assert wire.service.deps.database.count_jobs() == {}


def test_upload_and_download(wire: Wire, image: str) -> None:
    assert wire("GET", f"/v2/images/{image}/file").status == 204
    assert wire.upload(image, DATA).status == 204
    shown = wire("GET", f"/v2/images/{image}").json
    assert (shown["status"], shown["size"], shown["virtual_size"]) == ("active", len(DATA), len(DATA))
    assert shown["checksum"] == hashlib.md5(DATA).hexdigest()
    assert (shown["os_hash_algo"], shown["os_hash_value"]) == ("sha512", hashlib.sha512(DATA).hexdigest())
    answer = wire("GET", f"/v2/images/{image}/file")
    assert (answer.status, answer.body, answer.complete) == (200, DATA, True)
    assert answer.headers["content-length"] == str(len(DATA))
    assert answer.headers["content-md5"] == shown["checksum"]
    assert answer.headers["etag"] == f'"{shown["os_hash_value"]}"'
    assert wire.stored() == [image]


@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [("bytes=0-0", 0, 1), ("bytes=5-9", 5, 10), ("bytes=10490-", 10490, None), ("bytes=-3", -3, None)],
)
def test_ranges(wire: Wire, image: str, asked: str, start: int, stop: int | None) -> None:
    wire.upload(image, DATA)
    answer = wire("GET", f"/v2/images/{image}/file", headers={"Range": asked})
    assert (answer.status, answer.body) == (206, DATA[start:stop])
    first = start % len(DATA)
    assert answer.headers["content-range"] == f"bytes {first}-{first + len(answer.body) - 1}/{len(DATA)}"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Range": "bytes=0-1,4-5"}, 400),
        ({"Range": "bytes=99999-"}, 416),
        ({"Range": "lines=1-2"}, 416),
        ({"Range": "bytes=9-5"}, 416),
        ({"Content-Range": "bytes 0-4/*"}, 206),
        ({"Content-Range": "bytes */5"}, 416),
        ({"Range": "bytes=0-4", "If-Range": '"other"'}, 200),
    ],
)
def test_range_corner_cases(wire: Wire, image: str, headers: dict[str, str], status: int) -> None:
    wire.upload(image, DATA)
    answer = wire("GET", f"/v2/images/{image}/file", headers=headers)
    assert answer.status == status
    assert answer.headers.get("content-range") == (
        {206: f"bytes 0-4/{len(DATA)}", 416: f"bytes */{len(DATA)}"}.get(status)
    )


def test_a_resumed_download_names_what_it_resumes(wire: Wire, image: str) -> None:
    wire.upload(image, DATA)
    tag = wire("GET", f"/v2/images/{image}/file").headers["etag"]
    answer = wire("GET", f"/v2/images/{image}/file", headers={"Range": "bytes=10-", "If-Range": tag})
    assert (answer.status, answer.body) == (206, DATA[10:])


def test_an_empty_body_is_an_image(wire: Wire, image: str) -> None:
    assert wire.upload(image, b"").status == 204
    shown = wire("GET", f"/v2/images/{image}").json
    assert (shown["status"], shown["size"], shown["virtual_size"]) == ("active", 0, None)
    answer = wire("GET", f"/v2/images/{image}/file")
    assert (answer.status, answer.body) == (200, b"")


def test_chunked_uploads(wire: Wire, image: str) -> None:
    answer = wire(
        "PUT", f"/v2/images/{image}/file", iter([DATA, b"", DATA]), {"Content-Type": "application/octet-stream"}
    )
    assert answer.status == 204
    assert wire("GET", f"/v2/images/{image}/file").body == DATA * 2


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": ""}, 415),
        ({"x-openstack-image-size": "x"}, 400),
        ({"x-openstack-image-size": ""}, 400),
        ({"x-openstack-image-size": "-1"}, 400),
        ({"x-openstack-image-size": str(len(DATA) - 1)}, 400),
        ({"x-openstack-image-size": str(len(DATA) + 1)}, 400),
        ({"x-openstack-image-size": str(1 << 41)}, 413),
    ],
)
def test_refused_uploads_leave_the_image_queued(wire: Wire, image: str, headers: dict[str, str], status: int) -> None:
    assert wire.upload(image, DATA, headers).status == status
    assert_clean(wire, image)
    assert wire.upload(image, DATA).status == 204


@pytest.mark.parametrize("parts", [[], [DATA], [DATA * 200, DATA]])
def test_a_client_that_goes_away_leaves_nothing(wire: Wire, image: str, parts: list[bytes]) -> None:
    headers = {"Content-Type": "application/octet-stream"}
    wire("PUT", f"/v2/images/{image}/file", iter(parts), headers, cut=True)
    assert_clean(wire, image)
    headers["Content-Length"] = "5000000"
    wire("PUT", f"/v2/images/{image}/file", iter(parts), headers, cut=True)
    assert_clean(wire, image)
    assert wire.upload(image, DATA).status == 204


def test_readers_that_wait_to_be_closed_when_the_service_ends_are_closed(tmp_path: Path) -> None:
    go_on = threading.Event()
    with wired(settings_in(tmp_path, listen=Listen(transfer_threads=1))) as wire:
        application = wire.service.application
        assert isinstance(application, Application)
        threads = application._app_state.reading_threads  # pyright: ignore[reportPrivateUsage]
        threads.submit(go_on.wait)
        last = threads.lane(project="p1").submit(int)
        threading.Timer(0.1, go_on.set).start()
    assert last.result(0) == 0


def test_only_queued_images_with_formats_take_data(wire: Wire, image: str) -> None:
    wire.upload(image, DATA)
    assert wire.upload(image, DATA).status == 409
    assert wire("GET", f"/v2/images/{image}/file").body == DATA
    bare = wire("POST", "/v2/images", json_body={}).json["id"]
    assert wire.upload(bare, DATA).status == 400
    assert wire.upload("nothing", DATA).status == 404


def test_who_may_move_bytes(wire: Wire, image: str) -> None:
    assert wire.as_(READER).upload(image, DATA).status == 403
    assert wire.as_(OTHER).upload(image, DATA).status == 404
    wire.upload(image, DATA)
    assert wire.as_(READER)("GET", f"/v2/images/{image}/file").status == 403


def test_deletion_during_an_upload_ends_it(wire: Wire, image: str) -> None:
    deps = wire.service.deps
    with deps.heartbeat.attend(Context(request_id="req-1"), UPLOAD, NoInput(), image_id=image) as run:
        deps.database.begin_upload(run.job, 30.0)
        deps.heartbeat.begun(run)
        assert wire("DELETE", f"/v2/images/{image}").status == 204
        deps.heartbeat.renew()
        with pytest.raises(Gone, match="deleted"):
            run.check()
        assert not deps.database.cancel_upload(run.job)
    assert deps.database.count_jobs() == {}


@pytest.mark.parametrize("sample", VALID.values(), ids=VALID)
def test_valid_formats_become_active(wire: Wire, sample: Sample) -> None:
    image_id = wire.create(disk_format=sample.disk_format)["id"]
    answer = wire.upload(image_id, sample.build())
    assert answer.status == 204, answer.body
    shown = wire("GET", f"/v2/images/{image_id}").json
    assert (shown["status"], shown["virtual_size"]) == ("active", sample.recorded_virtual_size or None)


@pytest.mark.parametrize("sample", HOSTILE.values(), ids=HOSTILE)
def test_hostile_images_are_refused_and_leave_nothing(wire: Wire, sample: Sample) -> None:
    image_id = wire.create(disk_format=sample.disk_format)["id"]
    answer = wire.upload(image_id, sample.build())
    assert answer.status == 415, answer.body
    assert_clean(wire, image_id)


@pytest.mark.parametrize("disk_format", ["raw", "vmdk", "qcow2", "iso"])
@pytest.mark.parametrize(
    "name", ["vmdk-text-beyond-ascii", "vmdk-capacity-0", "vmdk-hint-in-a-comment", "qcow2-shorter-than-a-sector"]
)
def test_images_that_name_another_file_are_refused_under_every_format(wire: Wire, name: str, disk_format: str) -> None:
    image_id = wire.create(disk_format=disk_format)["id"]
    answer = wire.upload(image_id, ATTACKS[name].build())
    assert answer.status == 415, answer.body
    if disk_format == "raw":
        assert f"unsafe: {ATTACKS[name].check}: " in answer.body.decode()
    assert_clean(wire, image_id)
    good = {"raw": "raw", "vmdk": "vmdk-sparse", "qcow2": "qcow2-v3", "iso": "iso"}[disk_format]
    assert wire.upload(image_id, VALID[good].build()).status == 204


def test_a_refused_image_takes_other_data(wire: Wire) -> None:
    image_id = wire.create(disk_format="qcow2")["id"]
    wire.upload(image_id, HOSTILE["qcow2-backing-file"].build())
    assert wire.upload(image_id, VALID["qcow2-v3"].build()).status == 204


def test_inspection_is_for_bare_containers(wire: Wire) -> None:
    image_id = wire.create(disk_format="qcow2", container_format="ovf")["id"]
    assert wire.upload(image_id, DATA).status == 204
    assert wire("GET", f"/v2/images/{image_id}").json["virtual_size"] is None
