"""The module ``openstack.cloud.image`` of Ansible."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import pytest

from tests.interop.clients.conftest import imported
from tests.interop.clients.more.conftest import environment
from tests.support.clients import Client
from tests.support.raw_http import Api
from tests.support.web_server import WebServer


@pytest.fixture
def ansible(clouds: Path, tmp_path: Path) -> Client:
    settings = {"OS_CLIENT_CONFIG_FILE": str(clouds), "ANSIBLE_LOCALHOST_WARNING": "false", "LC_ALL": "C.UTF-8"}
    return Client(environment("ansible") / "ansible-playbook", tmp_path, settings)


def play(ansible: Client, place: Path, **image: Any) -> str:
    """Run a play with one task of the module. Returns the id of the image."""
    module = {"cloud": "rig", "disk_format": "raw", "container_format": "bare", **image}
    step = {"openstack.cloud.image": module, "register": "made"}
    save = {"ansible.builtin.copy": {"content": "{{ made | to_json }}", "dest": str(place / "made.json")}}
    playbook = place / "play.yml"
    hosts = {"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": [step, save]}
    playbook.write_text(json.dumps([hosts]))
    interpreter = f"ansible_python_interpreter={ansible.program.with_name('python')}"
    ansible.ok("-i", "localhost,", "-e", interpreter, playbook)
    made = json.loads((place / "made.json").read_text())
    assert made["changed"] is True, made
    return made["image"]["id"]


@pytest.mark.parametrize("use_import", [True, False])
def test_a_file(ansible: Client, admin: Api, disk: Path, use_import: bool) -> None:
    name = f"by ansible {uuid.uuid4()}"
    image_id = play(ansible, disk.parent, name=name, filename=str(disk), use_import=use_import, tags=["ansible"])
    assert imported(admin, image_id)["tags"] == ["ansible"]


def test_a_url(ansible: Client, admin: Api, web: WebServer, tmp_path: Path) -> None:
    source = {"use_import": True, "import_method": "web-download", "uri": web.url("files", "disk.raw")}
    imported(admin, play(ansible, tmp_path, name=f"by ansible {uuid.uuid4()}", **source))
