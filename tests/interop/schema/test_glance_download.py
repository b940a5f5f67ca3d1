"""``glance-download`` from a real Glance, whose endpoint is in the catalog of a real Keystone."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from glimpse.domain.job import JobStatus
from glimpse.jobs.steps.import_glance import GlanceSource
from glimpse.settings.model import Auth, Imports, Secret, UriFilter
from tests.interop.keystone_rig import KeystoneRig, keystone_rig
from tests.support.glance_rig import installation
from tests.support.images.content import noise
from tests.support.imports import run_imports
from tests.support.relay import HOST, Relay
from tests.support.wire import Answer, Wire, settings_in, wired

#: More than the buffers of connections hold.
DATA = noise(24 << 20)
NO_IMAGE = "3d1f1a5c-1b0e-4a5e-9a52-0f4a1d2f6b11"
OWN = {"hw_vif_model": "e1000", "hw_own": "mine"}


@pytest.fixture
def keystone() -> Iterator[KeystoneRig]:
    rig = keystone_rig()
    yield rig
    rig.clean()


def region_with(keystone: KeystoneRig, url: str) -> str:
    """A new region with an image service at ``url``."""
    region: str = keystone.new("regions", "region", id=keystone.new_name())["id"]
    service = keystone.new("services", "service", type="image", name=keystone.new_name())["id"]
    keystone.new("endpoints", "endpoint", service_id=service, region_id=region, interface="public", url=url)
    return region


@pytest.fixture
def target(keystone: KeystoneRig, tmp_path: Path) -> Iterator[Wire]:
    """The Glimpse that imports."""
    options = {name: Secret(text) for name, text in keystone.options().items()}
    settings = settings_in(
        tmp_path,
        auth=Auth(kind="keystone", keystone={"keystone_authtoken": options}),
        uri_filter=UriFilter(allowed_hosts=(HOST,), allowed_ports=()),
        imports=Imports(enabled_import_methods=("glance-download",)),
    )
    with wired(settings) as wire:
        yield wire


def ask(wire: Wire, token: str, method: str, path: str, body: Any = None) -> Answer:
    return wire(method, path, json_body=body, headers={"X-Auth-Token": token}, identity=False)


def imported(wire: Wire, token: str, region: str, source_id: str) -> tuple[JobStatus, dict[str, Any]]:
    """How the import into a new image ended, and the image."""
    new = {"disk_format": "qcow2", "container_format": "bare", **OWN}
    image_id = ask(wire, token, "POST", "/v2/images", new).json["id"]
    method = {"name": "glance-download", "glance_region": region, "glance_image_id": source_id}
    assert ask(wire, token, "POST", f"/v2/images/{image_id}/import", {"method": method}).status == 202
    [task] = ask(wire, token, "GET", f"/v2/images/{image_id}/tasks").json["tasks"]
    job = run_imports(wire, wire.service.deps.database.get_job(task["id"]))
    return job.status, ask(wire, token, "GET", f"/v2/images/{image_id}").json


@pytest.mark.timeout(600)
def test_an_image_of_a_glance(keystone: KeystoneRig, target: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        installation("postgresql", token=keystone.token("demo", "demo")) as place,
        Relay((HOST, place.port)) as relay,
    ):
        place.make_tables()
        region = region_with(keystone, f"http://{HOST}:{relay.port}")
        token = keystone.token("demo", "demo")
        batches: list[bytes] = []
        next_batch = GlanceSource.next_batch

        def breaking(source: GlanceSource) -> bytes | None:
            batch = next_batch(source)
            batches.append(batch or b"")
            if len(batches) == 2:
                relay.down()
                relay.up()
            return batch

        monkeypatch.setattr(GlanceSource, "next_batch", breaking)
        with place.glance() as glance:
            source_id = glance.new(name="source", hw_vif_model="virtio", os_distro="debian", other="x")
            assert glance.upload(source_id, DATA).status == 204
            status, shown = imported(target, token, region.upper(), source_id)
            assert status is JobStatus.SUCCEEDED, shown
            assert (shown["status"], shown["size"], shown["disk_format"]) == ("active", len(DATA), "raw")
            assert shown["os_hash_value"] == hashlib.sha512(DATA).hexdigest()
            assert (shown["hw_vif_model"], shown["os_distro"], shown["hw_own"]) == ("virtio", "debian", "mine")
            assert "other" not in shown
            assert b"".join(batches) == DATA

            for where, what in ((region, NO_IMAGE), ("nowhere", source_id)):
                status, shown = imported(target, token, where, what)
                assert (status, shown["status"], shown["disk_format"]) == (JobStatus.FAILED, "queued", "qcow2")
                assert {name: shown[name] for name in OWN} == OWN
                assert shown["os_glance_failed_upload"]
