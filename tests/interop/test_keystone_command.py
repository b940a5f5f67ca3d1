"""The ``openstack`` command with users of a real Keystone, against ``glimpse serve`` with a Glance configuration
file.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.interop.keystone_rig import KeystoneRig, keystone_rig
from tests.support.clients import Client
from tests.support.images import VALID
from tests.support.service import Service

As = Callable[..., Client]


@pytest.fixture
def keystone() -> Iterator[KeystoneRig]:
    rig = keystone_rig()
    yield rig
    rig.clean()


@pytest.fixture
def service(keystone: KeystoneRig, tmp_path: Path) -> Iterator[Service]:
    """No option of ours says how callers are known: the paste flavor does (configuration 2)."""
    options: dict[str, Any] = {
        "paste_deploy": {"flavor": "keystone+cachemanagement"},
        "keystone_authtoken": {**keystone.options(), "password": "not this one"},
    }
    environment = {"OS_KEYSTONE_AUTHTOKEN__PASSWORD": keystone.password}
    with Service(tmp_path / "service", options=options, environment=environment, workers=2) as running:
        yield running


@pytest.fixture
def as_(programs: Path, keystone: KeystoneRig, service: Service, tmp_path: Path) -> As:
    """The command as a user in a project; clouds.yaml says where the image service is."""

    def client(user: str, project: str) -> Client:
        cloud = {
            "auth": {
                "auth_url": keystone.url, "username": user, "password": keystone.password, "project_name": project,
                "user_domain_id": "default", "project_domain_id": "default",
            },
            "image_endpoint_override": service.url,
            "identity_api_version": "3",
        }  # fmt: skip
        home = tmp_path / user
        home.mkdir(exist_ok=True)
        # JSON is YAML
        (home / "clouds.yaml").write_text(json.dumps({"clouds": {"rig": cloud}}), encoding="utf-8")
        return Client(programs / "openstack", home, {"OS_CLOUD": "rig"})

    return client


@pytest.mark.timeout(300)
def test_users_of_keystone(as_: As, service: Service, keystone: KeystoneRig, tmp_path: Path) -> None:
    disk = tmp_path / "disk.raw"
    disk.write_bytes(VALID["boot-disk"].build())
    member, reader = as_("demo", "demo"), as_("reader", "demo")
    other, admin = as_("alt", "alt_demo"), as_("admin", "admin")
    image = member.json("image", "create", "--disk-format", "raw", "--file", disk, "of-demo")
    assert image["owner"] == keystone.project_id("demo")
    assert [found["Name"] for found in reader.json("image", "list")] == ["of-demo"]
    assert other.json("image", "list") == []
    other.refused("image", "show", image["id"])
    assert "403" in reader.refused("image", "create", "of-reader")
    assert "403" in member.refused("image", "set", "--public", image["id"])
    admin.ok("image", "set", "--public", image["id"])
    saved = tmp_path / "saved"
    other.ok("image", "save", "--file", saved, image["id"])
    assert saved.read_bytes() == disk.read_bytes()
    member.ok("image", "delete", image["id"])
    assert keystone.password not in service.log
