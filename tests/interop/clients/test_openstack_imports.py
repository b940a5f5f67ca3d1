"""``openstack image create --import``, ``image stage``, ``image import``, ``image task`` and what goes with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.interop.clients.conftest import DATA, active, imported, settled, stage, tasks
from tests.support.clients import Client
from tests.support.raw_http import Api
from tests.support.web_server import WebServer

BOTH = ("fast", "slow")


def test_create_with_import(openstack: Client, api: Api, disk: Path) -> None:
    image_id = openstack.json("image", "create", "--import", "--disk-format", "raw", "--file", disk, "whole")["id"]
    imported(api, image_id)
    assert [task["status"] for task in tasks(api, image_id)] == ["success"]


def test_stage_and_import(openstack: Client, api: Api, disk: Path) -> None:
    image_id = api.new()
    openstack.ok("image", "stage", "--file", disk, image_id)
    assert api.show(image_id)["status"] == "uploading"
    openstack.ok("image", "import", image_id)  # the default method
    imported(api, image_id)


def test_stage_from_standard_input(openstack: Client, api: Api) -> None:
    image_id = api.new()
    ended = openstack.run("image", "stage", image_id, stdin=DATA)
    assert ended.returncode == 0, ended.stderr
    assert (api.show(image_id)["status"], api.show(image_id)["size"]) == ("uploading", len(DATA))


@pytest.mark.parametrize(
    ("arguments", "stores"),
    [
        (["--store", "slow"], ["slow"]),
        (["--store", "slow", "fast", "--disallow-failure"], BOTH),
        (["--all-stores", "--allow-failure"], BOTH),
    ],
)
def test_glance_direct_to_stores(openstack: Client, api: Api, arguments: list[str], stores: list[str]) -> None:
    image_id = api.new()
    stage(api, image_id)
    openstack.ok("image", "import", image_id, "--method", "glance-direct", *arguments)
    imported(api, image_id, *stores)


@pytest.mark.parametrize(
    ("arguments", "stores"),
    [
        (["--wait"], ["fast"]),
        (["--store", "slow", "--allow-failure"], ["slow"]),
        (["--all-stores", "--disallow-failure", "--wait"], BOTH),
    ],
)
def test_web_download(openstack: Client, api: Api, web: WebServer, arguments: list[str], stores: list[str]) -> None:
    image_id, uri = api.new(), web.url("files", "disk.raw")
    openstack.ok("image", "import", image_id, "--method", "web-download", "--uri", uri, *arguments)
    imported(api, image_id, *stores)


@pytest.mark.parametrize("arguments", [["--store", "slow"], ["--all-stores", "--allow-failure"]])
def test_copy_image(openstack: Client, api: Api, arguments: list[str]) -> None:
    image_id = active(api)
    openstack.ok("image", "import", image_id, "--method", "copy-image", *arguments)
    imported(api, image_id, *BOTH)


def test_tasks(openstack: Client, api: Api, web: WebServer) -> None:
    image_id, uri = api.new(), web.url("files", "absent.raw")
    openstack.ok("image", "import", image_id, "--method", "web-download", "--uri", uri)
    assert settled(api, image_id)["status"] == "queued"
    task_id = tasks(api, image_id)[0]["id"]
    listed = openstack.json("image", "task", "list", "--status", "failure", "--max-items", "100")
    assert [task["Status"] for task in listed if task["ID"] == task_id] == ["failure"]
    shown = openstack.json("image", "task", "show", task_id)
    assert (shown["status"], bool(shown["expires_at"])) == ("failure", True)
    assert shown["input"]["import_req"]["method"]["uri"] == uri
    assert "404" in shown["message"]


def test_discovery(openstack: Client) -> None:
    methods = openstack.json("image", "import", "info")["import-methods"]
    assert methods == ["glance-direct", "web-download", "copy-image"]
    stores = openstack.json("image", "stores", "list")
    assert [(store["ID"], bool(store["Default"])) for store in stores] == [("fast", True), ("slow", False)]
    detailed = openstack.json("image", "stores", "list", "--detail")
    assert "data_dir" in str(detailed)
