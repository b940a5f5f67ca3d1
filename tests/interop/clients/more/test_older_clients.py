"""Clients of 2022 (python-glanceclient 3.6, openstacksdk 0.61) and 2024 (4.6 and 3.3), with the tests of today's."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.interop.clients.more.conftest import environment
from tests.interop.clients.test_glance_imports import (
    test_copy_image,
    test_create_via_import_from_a_file,
    test_create_via_import_from_a_url,
    test_create_via_import_from_standard_input,
    test_import_to_stores,
    test_refusals_are_sentences,
    test_stage_and_import,
    test_web_download,
)
from tests.interop.clients.test_openstack_imports import test_create_with_import
from tests.interop.clients.test_sdk_imports import SCRIPT
from tests.interop.test_sdk import run_step, steps_of
from tests.support.clients import Client
from tests.support.service import Service
from tests.support.web_server import WebServer

__all__ = [
    "test_copy_image",
    "test_create_via_import_from_a_file",
    "test_create_via_import_from_a_url",
    "test_create_via_import_from_standard_input",
    "test_create_with_import",
    "test_import_to_stores",
    "test_refusals_are_sentences",
    "test_stage_and_import",
    "test_web_download",
]

RELEASES = ("clients-2022", "clients-2024")
#: What these releases of openstacksdk cannot do with any service: create_image() takes no stores in 0.61 and does not
#: send them in 3.3; get_import_info() of 0.61 wants an id.
TOO_OLD = {
    ("clients-2022", "create_with_import_into_stores"),
    ("clients-2022", "discovery"),
    ("clients-2024", "create_with_import_into_stores"),
}


class Forgetful(Client):
    """Without the cache of schemas: with one python-glanceclient 3.6 makes options of what is only read, and ends
    with "conflicting option string" where a service has several stores.
    """

    def run(self, *arguments: str | Path, stdin: bytes | None = None) -> subprocess.CompletedProcess[str]:
        shutil.rmtree(self.home / ".glanceclient", ignore_errors=True)
        return super().run(*arguments, stdin=stdin)


@pytest.fixture(scope="module", params=RELEASES)
def programs(request: pytest.FixtureRequest) -> Path:
    return environment(request.param)


@pytest.fixture
def glance(programs: Path, importing: Service, tmp_path: Path) -> Client:
    return Forgetful(programs / "glance", tmp_path, {"OS_IMAGE_URL": importing.url, "OS_AUTH_TOKEN": "none"})


@pytest.fixture
def openstack(programs: Path, importing: Service, tmp_path: Path) -> Client:
    return Client(programs / "openstack", tmp_path, {"OS_AUTH_TYPE": "none", "OS_ENDPOINT": importing.url})


@pytest.mark.parametrize(
    ("programs", "step"),
    [(release, step) for release in RELEASES for step in steps_of(SCRIPT) if (release, step) not in TOO_OLD],
    indirect=["programs"],
)
def test_sdk(programs: Path, importing: Service, web: WebServer, disk: Path, step: str) -> None:
    connection: dict[str, object] = {"auth_type": "none", "auth": {"endpoint": importing.url}}
    run_step(programs, step, connection, disk.parent, SCRIPT, web.url("files", "disk.raw"))
