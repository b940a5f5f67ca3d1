"""The stores that Glance and Glimpse serve in turn: their options, and what is really in them."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import keystoneauth1.identity.v3 as identity
from keystoneauth1.session import Session

from tests.support.needs import unavailable

Options = Mapping[str, object]
#: Segments of Swift, in units of 1,024,000 bytes, and parts of S3, in MiB, are as small as they may be.
SEGMENT, PART = 1, 5
CONTAINER, BUCKET = "both-ways", "both-ways"


@dataclass(frozen=True)
class Backend:
    """A store of some kind, by its name in the table.

    ``options`` are made in a directory of the test. ``found`` lists everything in the system that belongs to an image.
    ``ranges`` tells whether Glance reads ranges from it. ``needs`` names the variable of its server.
    """

    name: str
    kind: str
    needs: str | None
    options: Callable[[Path], Options]
    found: Callable[[Path, str], list[str]]
    ranges: bool = False

    def available(self) -> None:
        """Skip or fail the test if its server is not there."""
        if self.needs and not os.environ.get(self.needs):
            unavailable(f"{self.needs} names no server: run `dev/services stores-glance`")


def _output(*command: str) -> str:
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert ended.returncode == 0, (command, ended.stderr)
    return ended.stdout


@cache
def session(user: str, project: str) -> Session:
    """A user of the Keystone that runs."""
    return Session(
        identity.Password(
            auth_url=os.environ["GLIMPSE_TEST_KEYSTONE_URL"],
            username=user,
            password=os.environ.get("GLIMPSE_TEST_KEYSTONE_PASSWORD"),
            project_name=project,
            user_domain_id="default",
            project_domain_id="default",
        )
    )


def _of(image_id: str, names: list[str]) -> list[str]:
    return [name for name in names if image_id in name]


def _file_options(data: Path) -> Options:
    return {"filesystem_store_datadir": data}


def _files(data: Path, image_id: str) -> list[str]:
    return _of(image_id, [path.name for path in data.rglob("*")])


def _rbd_options(_: Path) -> Options:
    return {
        "rbd_store_ceph_conf": os.environ["GLIMPSE_TEST_CEPH_CONF"],
        "rbd_store_user": "glance",
        "rbd_store_pool": "images",
        "rbd_store_chunk_size": 1,
    }


def _rbd_images(_: Path, image_id: str) -> list[str]:
    rbd = ("rbd", "-c", os.environ["GLIMPSE_TEST_CEPH_CONF"], "-n", "client.glance", "-p", "images")
    return _of(image_id, [*_output(*rbd, "ls").split(), *_output(*rbd, "trash", "ls").splitlines()])


def _s3_options(_: Path) -> Options:
    return {
        "s3_store_host": os.environ["GLIMPSE_TEST_S3_URL"],
        "s3_store_access_key": "rigaccess",
        "s3_store_secret_key": "rigsecretkey",
        "s3_store_bucket": BUCKET,
        "s3_store_create_bucket_on_put": "true",
        "s3_store_bucket_url_format": "path",
        "s3_store_large_object_size": PART,
        "s3_store_large_object_chunk_size": PART,
    }


def _s3_objects(_: Path, image_id: str) -> list[str]:
    """Objects, and parts of unfinished uploads."""
    admin = ("-n", "client.admin", "-k", os.environ["GLIMPSE_TEST_CEPH_ADMIN_KEYRING"])
    command = ("radosgw-admin", "-c", os.environ["GLIMPSE_TEST_CEPH_CONF"], *admin, "bucket", "list")
    listed = json.loads(_output(*command, f"--bucket={BUCKET}", "--max-entries=10000"))
    return _of(image_id, [entry["name"] for entry in listed])


def _swift_limits() -> Options:
    return {
        "swift_store_container": CONTAINER,
        "swift_store_create_container_on_put": "true",
        "swift_store_large_object_size": SEGMENT,
        "swift_store_large_object_chunk_size": SEGMENT,
        "swift_store_region": "RegionOne",
    }


def _swift_options(data: Path) -> Options:
    reference = data / "swift-reference.conf"
    password = os.environ.get("GLIMPSE_TEST_KEYSTONE_PASSWORD")
    reference.write_text(
        f"[ref1]\nauth_address = {os.environ['GLIMPSE_TEST_KEYSTONE_URL']}\nauth_version = 3\n"
        f"user = service:glance\nkey = {password}\nuser_domain_id = default\nproject_domain_id = default\n"
    )
    return {"swift_store_config_file": reference, "default_swift_reference": "ref1", **_swift_limits()}


def _swift_direct_options(_: Path) -> Options:
    """Credentials without a reference file: they become part of the locations."""
    return {
        "swift_store_auth_version": 3,
        "swift_store_auth_address": os.environ["GLIMPSE_TEST_KEYSTONE_URL"],
        "swift_store_user": "service:glance",
        "swift_store_key": os.environ.get("GLIMPSE_TEST_KEYSTONE_PASSWORD"),
        **_swift_limits(),
    }


def _swift_tenants_options(_: Path) -> Options:
    return {
        "swift_store_multi_tenant": "true",
        "swift_store_use_trusts": "false",
        "swift_store_auth_address": os.environ["GLIMPSE_TEST_KEYSTONE_URL"],
        "swift_store_auth_version": 3,
        **_swift_limits(),
        "swift_store_container": "tenants",
    }


def _swift_names(account: Session, containers: Callable[[str], bool], image_id: str) -> list[str]:
    def listed(path: str) -> list[str]:
        endpoint = {"service_type": "object-store", "interface": "public"}
        answer = account.get(f"{path}?format=json", endpoint_filter=endpoint, raise_exc=False)
        return [entry["name"] for entry in answer.json()] if answer.status_code == 200 else []

    chosen = [name for name in listed("/") if containers(name)]
    return _of(image_id, [*chosen, *(f"{name}/{entry}" for name in chosen for entry in listed(f"/{name}"))])


def _swift_objects(_: Path, image_id: str) -> list[str]:
    return _swift_names(session("glance", "service"), lambda name: name == CONTAINER, image_id)


def _swift_tenants_objects(_: Path, image_id: str) -> list[str]:
    return _swift_names(session("demo", "demo"), lambda name: name.startswith("tenants_"), image_id)


def _cinder_options(volume_type: str) -> Callable[[Path], Options]:
    def options(data: Path) -> Options:
        return {
            "cinder_store_auth_address": os.environ["GLIMPSE_TEST_KEYSTONE_URL"],
            "cinder_store_user_name": "glance",
            "cinder_store_password": os.environ.get("GLIMPSE_TEST_KEYSTONE_PASSWORD"),
            "cinder_store_project_name": "service",
            "cinder_volume_type": volume_type,
            "cinder_mount_point_base": data / "mnt",
            "rootwrap_config": Path(os.environ["RIG_DIR"]) / "venv/glance/rootwrap.conf",
        }

    return options


def _volumes(_: Path, image_id: str) -> list[str]:
    """Volumes, and their attachments."""
    account = session("glance", "service")
    endpoint = {"service_type": "volumev3", "interface": "public"}
    answer = account.get("/volumes/detail", endpoint_filter=endpoint, headers={"OpenStack-API-Version": "volume 3.54"})
    names = [
        (volume["name"], volume["attachments"]) for volume in answer.json()["volumes"] if image_id in volume["name"]
    ]
    return [text for name, attachments in names for text in (name, *(f"{name} is attached" for _ in attachments))]


BACKENDS = {
    backend.name: backend
    for backend in (
        Backend("file", "file", None, _file_options, _files, ranges=True),
        Backend("rbd", "rbd", "GLIMPSE_TEST_CEPH_CONF", _rbd_options, _rbd_images),
        Backend("s3", "s3", "GLIMPSE_TEST_S3_URL", _s3_options, _s3_objects),
        Backend("swift", "swift", "GLIMPSE_TEST_SWIFT_AUTH_URL", _swift_options, _swift_objects),
        Backend("swift-direct", "swift", "GLIMPSE_TEST_SWIFT_AUTH_URL", _swift_direct_options, _swift_objects),
        Backend(
            "swift-tenants", "swift", "GLIMPSE_TEST_SWIFT_AUTH_URL", _swift_tenants_options, _swift_tenants_objects
        ),
        Backend("cinder-rbd", "cinder", "GLIMPSE_TEST_CINDER_URL", _cinder_options("rbd"), _volumes, ranges=True),
        Backend("cinder-loop", "cinder", "GLIMPSE_TEST_CINDER_URL", _cinder_options("loop"), _volumes, ranges=True),
        Backend("cinder-nfs", "cinder", "GLIMPSE_TEST_CINDER_URL", _cinder_options("nfs"), _volumes, ranges=True),
    )
}
