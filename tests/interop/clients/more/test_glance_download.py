"""Imports of images of another region: ``openstack``, ``glance`` and openstacksdk name it in their ways."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.interop.clients.conftest import active, imported
from tests.interop.keystone_rig import KeystoneRig
from tests.support.clients import Client
from tests.support.raw_http import Api
from tests.support.service import Service


@pytest.fixture(scope="module")
def region(keystone: KeystoneRig, with_keystone: Service) -> str:
    """A region whose image service is the one that imports, by another name."""
    made = keystone.new("regions", "region", id=keystone.new_name())["id"]
    service = keystone.new("services", "service", type="image", name=keystone.new_name())["id"]
    url = f"http://localhost:{with_keystone.port}"
    keystone.new("endpoints", "endpoint", service_id=service, region_id=made, interface="public", url=url)
    return made


def test_openstack(programs: Path, clouds: Path, admin: Api, region: str, tmp_path: Path) -> None:
    source, image_id = active(admin), admin.new(disk_format="qcow2")
    settings = {"OS_CLIENT_CONFIG_FILE": str(clouds), "OS_CLOUD": "rig"}
    openstack = Client(programs / "openstack", tmp_path, settings)
    # without the interface openstacksdk sends nothing of the three
    remote = ("--remote-region", region, "--remote-image", source, "--remote-service-interface", "public")
    openstack.ok("image", "import", image_id, "--method", "glance-download", *remote, "--store", "slow", "--wait")
    assert imported(admin, image_id, "slow")["disk_format"] == "raw"


@pytest.mark.parametrize("interface", [(), ("--remote-service-interface", "public")])
def test_glance(
    programs: Path,
    with_keystone: Service,
    keystone: KeystoneRig,
    admin: Api,
    region: str,
    interface: tuple[str, ...],
    tmp_path: Path,
) -> None:
    source, image_id = active(admin), admin.new()
    settings = {"OS_IMAGE_URL": with_keystone.url, "OS_AUTH_TOKEN": keystone.token("admin", "admin")}
    glance = Client(programs / "glance", tmp_path, settings)
    remote = ("--remote-region", region, "--remote-image-id", source, *interface)
    glance.ok("image-import", "--import-method", "glance-download", *remote, image_id)
    imported(admin, image_id)
