"""The import commands of python-glanceclient."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.interop.clients.conftest import DATA, active, imported, settled, stage, tasks
from tests.support.clients import Client
from tests.support.raw_http import Api
from tests.support.web_server import WebServer

RAW = ("--disk-format", "raw", "--container-format", "bare")
ID = re.compile(r"\| id +\| ([0-9a-f-]{36})")
BOTH = ("fast", "slow")


def id_in(output: str) -> str:
    found = ID.search(output)
    assert found is not None, output
    return found[1]


@pytest.mark.parametrize(
    ("arguments", "stores"),
    [((), ("fast",)), (("--store", "slow"), ("slow",)), (("--all-stores", "True", "--allow-failure", "False"), BOTH)],
)
def test_create_via_import_from_a_file(
    glance: Client, api: Api, disk: Path, arguments: tuple[str, ...], stores: tuple[str, ...]
) -> None:
    created = glance.ok("image-create-via-import", "--name", "a file", *RAW, "--file", disk, *arguments)
    imported(api, id_in(created), *stores)


def test_create_via_import_from_standard_input(glance: Client, api: Api) -> None:
    ended = glance.run("image-create-via-import", "--name", "piped", *RAW, stdin=DATA)
    assert ended.returncode == 0, ended.stderr
    imported(api, id_in(ended.stdout))


def test_create_via_import_from_a_url(glance: Client, api: Api, web: WebServer) -> None:
    source = ("--import-method", "web-download", "--uri", web.url("files", "disk.raw"))
    created = glance.ok("image-create-via-import", "--name", "a URL", *RAW, *source, "--stores", "slow,fast")
    imported(api, id_in(created), *BOTH)


def test_stage_and_import(glance: Client, api: Api, disk: Path) -> None:
    image_id = api.new()
    glance.ok("image-stage", "--file", disk, image_id)
    assert api.show(image_id)["status"] == "uploading"
    glance.ok("image-import", "--import-method", "glance-direct", image_id)
    imported(api, image_id)


@pytest.mark.parametrize(
    ("arguments", "stores"),
    [
        (("--store", "slow"), ("slow",)),
        (("--stores", "slow,fast", "--allow-failure", "False"), BOTH),
        (("--all-stores", "True"), BOTH),
    ],
)
def test_import_to_stores(glance: Client, api: Api, arguments: tuple[str, ...], stores: tuple[str, ...]) -> None:
    image_id = api.new()
    stage(api, image_id)
    glance.ok("image-import", "--import-method", "glance-direct", *arguments, image_id)
    imported(api, image_id, *stores)


def test_web_download(glance: Client, api: Api, web: WebServer) -> None:
    image_id = api.new()
    glance.ok("image-import", "--import-method", "web-download", "--uri", web.url("files", "disk.raw"), image_id)
    imported(api, image_id)


@pytest.mark.parametrize("arguments", [("--stores", "slow"), ("--all-stores", "True")])
def test_copy_image(glance: Client, api: Api, arguments: tuple[str, ...]) -> None:
    image_id = active(api)
    glance.ok("image-import", "--import-method", "copy-image", *arguments, image_id)
    imported(api, image_id, *BOTH)


def test_tasks(glance: Client, api: Api, web: WebServer) -> None:
    image_id = api.new()
    glance.ok("image-import", "--import-method", "web-download", "--uri", web.url("files", "absent"), image_id)
    assert settled(api, image_id)["status"] == "queued"
    task_id = tasks(api, image_id)[0]["id"]
    assert task_id in glance.ok(
        "task-list", "--page-size", "1", "--sort-key", "id", "--sort-dir", "asc", "--status", "failure",
        "--type", "api_image_import",
    )  # fmt: skip
    shown = glance.ok("task-show", task_id)
    assert "failure" in shown
    assert "404" in shown
    assert "404" in glance.ok("image-tasks", image_id)


def test_discovery(glance: Client) -> None:
    assert "web-download" in glance.ok("import-info")
    stores = glance.ok("stores-info")
    assert all(store in stores for store in BOTH)
    assert "data_dir" in glance.ok("stores-info", "--detail")


def test_refusals_are_sentences(glance: Client, api: Api, web: WebServer) -> None:
    image_id = api.new()
    metadata = ("--uri", "http://169.254.169.254/latest/meta-data")
    assert "400" in glance.refused("image-import", "--import-method", "web-download", *metadata, image_id)
    source = {"import_from": web.url("files", "disk.raw"), "import_from_format": "raw"}
    assert "400" in glance.refused("task-create", "--type", "import", "--input", json.dumps(source))
    assert api.show(image_id)["status"] == "queued"
