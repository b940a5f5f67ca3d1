"""What a program does with openstacksdk. Run by the clients' interpreter: ``sdk_steps.py STEP CONNECTION PLACE``.

``CONNECTION`` is a JSON object of arguments to ``openstack.connect``, ``PLACE`` a directory. A step that ends
without an exception has passed; it leaves no image behind. Nothing of this project is imported here.
"""

from __future__ import annotations

import hashlib
import json
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openstack
from keystoneauth1 import discover
from openstack import exceptions

CONTENT = random.Random(20261122).randbytes(3_000_017)
RAW = {"disk_format": "raw", "container_format": "bare"}
STEPS: dict[str, Callable[[Any, Path], None]] = {}


def step(function: Callable[[Any, Path], None]) -> Callable[[Any, Path], None]:
    """Enter a function among the steps."""
    STEPS[function.__name__] = function
    return function


def refused(status: int, call: Callable[[], object]) -> str:
    """The call must fail with an HTTP status; returns the message that a user sees."""
    try:
        call()
    except exceptions.HttpException as error:
        found = error
    else:
        raise AssertionError(f"not refused with {status}")
    assert found.status_code == status, found
    return str(found)


def put_data(cloud: Any, image: Any, data: bytes) -> Any:
    """PUT the data of an image as they are; returns the answer, whatever its status."""
    return cloud.image.put(f"/images/{image.id}/file", data=data, headers={"Content-Type": "application/octet-stream"})


def content_file(place: Path) -> Path:
    path = place / "disk.raw"
    path.write_bytes(CONTENT)
    return path


@step
def upload_from_a_file(cloud: Any, place: Path) -> None:
    image = cloud.image.create_image("from a file", filename=str(content_file(place)), wait=True, tags=["sdk"], **RAW)
    image = cloud.image.get_image(image.id)
    assert image.status == "active", image
    assert image.size == image.virtual_size == len(CONTENT)
    assert image.checksum == hashlib.md5(CONTENT).hexdigest()
    assert image.hash_algo == "sha512"
    assert image.hash_value == hashlib.sha512(CONTENT).hexdigest()
    assert image.tags == ["sdk"]
    cloud.image.delete_image(image)


@step
def upload_with_checksums_checked_by_the_client(cloud: Any, place: Path) -> None:
    path = str(content_file(place))
    image = cloud.image.create_image("validated", filename=path, wait=True, validate_checksum=True, **RAW)
    # asked for the same again, the client finds by the digests in the properties that nothing is to be done
    again = cloud.image.create_image("validated", filename=path, wait=True, validate_checksum=True, **RAW)
    assert again.id == image.id
    cloud.image.delete_image(image)


@step
def digests_in_properties_are_verified(cloud: Any, place: Path) -> None:
    path = str(content_file(place))
    right = {"md5": hashlib.md5(CONTENT).hexdigest(), "sha256": hashlib.sha256(CONTENT).hexdigest()}
    for more in ({}, {"use_import": True}):
        cloud.image.delete_image(cloud.image.create_image("right", filename=path, wait=True, **right, **more, **RAW))
        for name, value in right.items():
            wrong = {**right, name: hashlib.new(name, b"other").hexdigest()}
            # without validate_checksum the client would not notice
            reason = refused(400, lambda wrong=wrong, more=more: cloud.image.create_image(
                "wrong", filename=path, wait=True, validate_checksum=False, **wrong, **more, **RAW
            ))  # fmt: skip
            assert wrong[name] in reason, reason
            assert value in reason, reason
    # other data under the same name: a new image, not the old one
    first = cloud.image.create_image("same", data=b"first", validate_checksum=True, wait=True, **RAW)
    again = cloud.image.create_image("same", data=b"other", validate_checksum=True, wait=True, **RAW)
    twin = cloud.image.create_image("same", data=b"other", allow_duplicates=True, wait=True, **RAW)
    assert len({first.id, again.id, twin.id}) == 3
    # the properties of one image, copied to another one
    copied = {name: value for name, value in again.properties.items() if name.startswith("owner_specified.")}
    copy = cloud.image.upload_image(name="copy", data=CONTENT, **copied, **RAW)
    assert cloud.image.get_image(copy.id).checksum == right["md5"]
    for image in (first, again, twin, copy):
        cloud.image.delete_image(image)
    assert cloud.image.find_image("wrong") is None


@step
def upload_data_in_two_calls(cloud: Any, place: Path) -> None:
    image = cloud.image.create_image("two calls", **RAW)
    assert image.status == "queued"
    cloud.image.upload_image(name="other", data=CONTENT, **RAW)
    with content_file(place).open("rb") as file:
        image.data = file
        assert image.upload(cloud.image).status_code == 204
    assert cloud.image.get_image(image.id).checksum == hashlib.md5(CONTENT).hexdigest()
    for name in ("two calls", "other"):
        cloud.image.delete_image(cloud.image.find_image(name, ignore_missing=False))


@step
def page_through_60_images(cloud: Any, place: Path) -> None:
    made = [
        cloud.image.create_image(
            f"page {number:02}", tags=["paged", "even" if number % 2 == 0 else "odd"], shelf=f"{number % 3}", **RAW
        )
        for number in range(60)
    ]
    try:
        ids = {image.id for image in made}
        assert {image.id for image in cloud.image.images()} >= ids
        assert len(list(cloud.image.images(tag="paged"))) == 60
        for limit in (1, 7, 20, 60, 1000):
            found = [image.name for image in cloud.image.images(tag="paged", limit=limit, sort="name:asc")]
            assert found == [image.name for image in made], (limit, found)
        descending = [
            image.name for image in cloud.image.images(tag="paged", limit=9, sort_key="name", sort_dir="desc")
        ]
        assert descending == [image.name for image in reversed(made)]
        assert len(list(cloud.image.images(tag="odd", limit=4))) == 30
        assert [image.id for image in cloud.image.images(name="page 07")] == [made[7].id]
        assert len(cloud.image.get("/images?tag=paged&shelf=1").json()["images"]) == 20
        assert list(cloud.image.images(name="page 99")) == []
        assert list(cloud.image.images(tag="paged", status="active")) == []
        assert len(list(cloud.image.images(tag="paged", visibility="shared", disk_format="raw"))) == 60
        assert list(cloud.image.images(tag="paged", is_hidden=True)) == []
        assert cloud.image.find_image("page 33").id == made[33].id
        assert cloud.image.find_image(made[33].id).name == "page 33"
        assert cloud.image.find_image("no such image") is None
    finally:
        for image in made:
            cloud.image.delete_image(image)
    assert list(cloud.image.images(tag="paged")) == []


@step
def update(cloud: Any, place: Path) -> None:
    image = cloud.image.create_image("before", os_distro="debian", **RAW)
    time.sleep(1.1)
    changed = cloud.image.update_image(
        image, name="after", min_disk=3, min_ram=512, is_protected=True, visibility="private", os_distro="ubuntu",
        colour="blue",
    )  # fmt: skip
    for found in (changed, cloud.image.get_image(image.id)):
        assert (found.name, found.min_disk, found.min_ram) == ("after", 3, 512)
        assert (found.is_protected, found.visibility, found.os_distro) == (True, "private", "ubuntu")
        assert found.properties["colour"] == "blue"
        assert found.updated_at > found.created_at
    refused(403, lambda: cloud.image.delete_image(image.id))
    cloud.image.update_image(image.id, is_protected=False)
    cloud.image.delete_image(image)


@step
def tags(cloud: Any, place: Path) -> None:
    image = cloud.image.create_image("tagged", **RAW)
    for tag in ("one", "two", "größe", "with blank"):
        cloud.image.add_tag(image, tag)
    assert sorted(cloud.image.get_image(image.id).tags) == sorted(["one", "two", "größe", "with blank"])
    cloud.image.remove_tag(image.id, "one")
    cloud.image.remove_tag(image.id, "größe")
    assert sorted(cloud.image.get_image(image.id).tags) == ["two", "with blank"]
    refused(404, lambda: cloud.image.remove_tag(image.id, "one"))
    cloud.image.delete_image(image)


@step
def download_whole_streamed_and_to_a_file(cloud: Any, place: Path) -> None:
    image = cloud.image.create_image("to download", filename=str(content_file(place)), wait=True, **RAW)
    # the client compares the digest of what it receives with the record's, and raises when they differ
    assert cloud.image.download_image(image.id).content == CONTENT
    streamed = cloud.image.download_image(image.id, stream=True)
    assert b"".join(streamed.iter_content(70_001)) == CONTENT
    assert streamed.headers["Content-MD5"] == hashlib.md5(CONTENT).hexdigest()
    target = place / "downloaded.raw"
    cloud.image.download_image(image.id, output=str(target), chunk_size=64 << 10)
    assert target.read_bytes() == CONTENT
    part = cloud.image.get(f"/images/{image.id}/file", headers={"Range": "bytes=1000000-1000099"})
    assert (part.status_code, part.content) == (206, CONTENT[1_000_000:1_000_100])
    cloud.image.delete_image(image)


@step
def deactivate_and_reactivate(cloud: Any, place: Path) -> None:
    image = cloud.image.create_image("switched", filename=str(content_file(place)), wait=True, **RAW)
    cloud.image.deactivate_image(image)
    assert cloud.image.get_image(image.id).status == "deactivated"
    assert put_data(cloud, image, b"x").status_code == 409
    cloud.image.reactivate_image(image.id)
    assert cloud.image.get_image(image.id).status == "active"
    assert cloud.image.download_image(image.id).content == CONTENT
    cloud.image.delete_image(image)


@step
def delete(cloud: Any, place: Path) -> None:
    image = cloud.image.create_image("to delete", filename=str(content_file(place)), wait=True, **RAW)
    cloud.image.delete_image(image.id, ignore_missing=False)
    assert cloud.image.find_image(image.id) is None
    refused(404, lambda: cloud.image.get_image(image.id))
    refused(404, lambda: cloud.image.delete_image(image.id, ignore_missing=False))


@step
def messages_of_refusals_reach_the_user(cloud: Any, place: Path) -> None:
    image = cloud.image.create_image("refused", disk_format="qcow2", container_format="bare")
    hostile = bytearray(70_000)
    hostile[:4] = b"QFI\xfb"
    hostile[4:8] = (3).to_bytes(4, "big")
    hostile[8:16] = (512).to_bytes(8, "big")  # a backing file is named at offset 512
    hostile[16:20] = (11).to_bytes(4, "big")
    hostile[20:24] = (16).to_bytes(4, "big")
    hostile[24:32] = (1 << 30).to_bytes(8, "big")
    hostile[100:104] = (104).to_bytes(4, "big")
    hostile[512:523] = b"/etc/shadow"
    answer = put_data(cloud, image, bytes(hostile))
    message = refused(415, lambda: exceptions.raise_from_response(answer))
    assert "backing" in message.lower(), message
    assert cloud.image.get_image(image.id).status == "queued"
    assert "min_disk" in refused(400, lambda: cloud.image.update_image(image.id, min_disk=-1))
    cloud.image.delete_image(image)


@step
def version(cloud: Any, place: Path) -> None:
    address = cloud.config.get_auth_args()["endpoint"]
    found = discover.Discover(cloud.session, address).version_data()
    assert [entry["version"] for entry in found if entry["raw_status"] == "CURRENT"] == [(2, 17)], found


def main() -> None:
    name, connection, place = sys.argv[1:]
    openstack.enable_logging(debug=False)
    STEPS[name](openstack.connect(**json.loads(connection)), Path(place))


if __name__ == "__main__":
    main()
