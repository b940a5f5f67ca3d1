"""How a program imports with openstacksdk 0.61 and later. Run by the clients' interpreter, as ``sdk_steps.py``.

``import_sdk_steps.py STEP CONNECTION PLACE URL``: ``URL`` is where a web server has the data, and PLACE/disk.raw
contains them. Nothing of this project is imported here.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openstack

RAW = {"disk_format": "raw", "container_format": "bare"}
STEPS: dict[str, Callable[[Any, Path, str], None]] = {}


def step(function: Callable[[Any, Path, str], None]) -> Callable[[Any, Path, str], None]:
    """Enter a function among the steps."""
    STEPS[function.__name__] = function
    return function


def wait(cloud: Any, image: Any, *stores: str) -> None:
    """The image becomes active, in these stores, with the data."""
    deadline = time.monotonic() + 45
    while True:
        found = cloud.image.get("/images/" + image.id).json()
        if found["status"] == "active" and "os_glance_import_task" not in found:
            break
        assert time.monotonic() < deadline, found
        time.sleep(0.1)
    assert sorted(found["stores"].split(",")) == sorted(stores), found
    data = cloud.image.get("/images/" + image.id + "/file").content
    assert hashlib.sha512(data).hexdigest() == found["os_hash_value"]
    cloud.image.delete_image(image.id)


@step
def create_with_import(cloud: Any, place: Path, url: str) -> None:
    image = cloud.image.create_image("used import", filename=str(place / "disk.raw"), use_import=True, wait=True, **RAW)
    wait(cloud, image, "fast")


@step
def create_with_import_in_the_cloud_layer(cloud: Any, place: Path, url: str) -> None:
    image = cloud.create_image("cloud layer", filename=str(place / "disk.raw"), use_import=True, wait=True, **RAW)
    wait(cloud, image, "fast")


@step
def create_with_import_into_stores(cloud: Any, place: Path, url: str) -> None:
    path = str(place / "disk.raw")
    image = cloud.image.create_image("stores", filename=path, use_import=True, wait=True, stores=["slow"], **RAW)
    wait(cloud, image, "slow")
    image = cloud.image.create_image("all stores", filename=path, use_import=True, wait=True, all_stores=True, **RAW)
    wait(cloud, image, "fast", "slow")


@step
def stage_and_import(cloud: Any, place: Path, url: str) -> None:
    image = cloud.image.create_image("staged", **RAW)
    cloud.image.stage_image(image, data=(place / "disk.raw").read_bytes())
    assert cloud.image.get_image(image.id).status == "uploading"
    cloud.image.import_image(cloud.image.get_image(image.id), "glance-direct")
    wait(cloud, image, "fast")


@step
def web_download(cloud: Any, place: Path, url: str) -> None:
    for arguments, stores in (
        ({}, ["fast"]),
        ({"stores": ["slow"]}, ["slow"]),
        ({"store": "slow"}, ["slow"]),
        ({"all_stores": True}, ["fast", "slow"]),
        ({"all_stores": True, "all_stores_must_succeed": False}, ["fast", "slow"]),
    ):
        image = cloud.image.create_image("downloaded", **RAW)
        answer = cloud.image.import_image(image, method="web-download", uri=url, **arguments)
        assert answer is None or answer.status_code == 202, answer
        wait(cloud, image, *stores)


@step
def copy_image(cloud: Any, place: Path, url: str) -> None:
    image = cloud.image.create_image("copied", filename=str(place / "disk.raw"), wait=True, **RAW)
    cloud.image.import_image(cloud.image.get_image(image.id), method="copy-image", stores=["slow"])
    wait(cloud, image, "fast", "slow")


@step
def tasks(cloud: Any, place: Path, url: str) -> None:
    image = cloud.image.create_image("fails", **RAW)
    cloud.image.import_image(image, method="web-download", uri=url + ".absent")
    deadline = time.monotonic() + 45
    while not (found := [task for task in cloud.image.tasks(status="failure") if of_image(cloud, task, image)]):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    task = cloud.image.get_task(found[0].id)
    assert (task.type, task.status) == ("api_image_import", "failure"), task
    assert "404" in task.message, task
    cloud.image.delete_image(image)


def of_image(cloud: Any, task: Any, image: Any) -> bool:
    return cloud.image.get_task(task.id).input["image_id"] == image.id


@step
def discovery(cloud: Any, place: Path, url: str) -> None:
    assert cloud.image.get_import_info().import_methods["value"] == ["glance-direct", "web-download", "copy-image"]
    assert {"fast", "slow"} <= {store.id for store in cloud.image.stores()}


def main() -> None:
    name, connection, place, url = sys.argv[1:]
    STEPS[name](openstack.connect(**json.loads(connection)), Path(place), url)


if __name__ == "__main__":
    main()
