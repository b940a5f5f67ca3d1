"""Callers cannot tell hidden from missing resources on any path of the API, byte for byte."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from glimpse.api.routes import TABLE
from glimpse.settings.model import Api, PolicySettings, Stores, StoreSettings
from glimpse.stores.filesystem.options import FilesystemOptions
from tests.api.metadefs.examples import RACK
from tests.support.wire import ADMIN, MEMBER, PATCH, PATCH_20, Answer, Caller, Wire, settings_in, wired

#: In another project, with all roles that rules name.
STRANGER = Caller(project="p2", roles="member,reader,service", user="u9")
#: In the project of the images, without a role.
POWERLESS = Caller(project="p1", roles="guest", user="u8")
MISSING = "11111111-1111-4111-8111-111111111111"

_UNLESS_SECRET = "(not 'secret':%(name)s or project_id:%(project_id)s)"
#: Hides public images named so from everybody but their project.
POLICY = f"""
get_image: "rule:context_is_admin or (role:reader and {_UNLESS_SECRET})"
download_image: "rule:context_is_admin or (role:member and {_UNLESS_SECRET})"
fetch_image_location: "role:service and {_UNLESS_SECRET}"
"""

#: Bodies that get as far as the look-up, by method and path.
BODIES: dict[tuple[str, str], tuple[bytes, str]] = {
    ("PATCH", "/images/{image_id}"): (b'[{"op": "replace", "path": "/name", "value": "x"}]', PATCH),
    ("PUT", "/images/{image_id}/file"): (b"data", "application/octet-stream"),
    ("PUT", "/images/{image_id}/stage"): (b"data", "application/octet-stream"),
    ("POST", "/images/{image_id}/import"): (b'{"method": {"name": "glance-direct"}}', "application/json"),
    ("POST", "/images/{image_id}/members"): (b'{"member": "p2"}', "application/json"),
    ("PUT", "/images/{image_id}/members/{member_id}"): (b'{"status": "accepted"}', "application/json"),
    ("POST", "/images/{image_id}/locations"): (b'{"url": "http://192.0.2.1/x"}', "application/json"),
}

#: Bodies of metadata definitions, by method and end of the path.
METADEF_BODIES: dict[tuple[str, str], dict[str, Any]] = {
    ("PUT", "{namespace}"): {"namespace": "other"},
    ("POST", "properties"): {"name": "x", "title": "X", "type": "string"},
    ("PUT", "{property_name}"): {"name": "x", "title": "X", "type": "string"},
    ("POST", "objects"): {"name": "x"},
    ("PUT", "{object_name}"): {"name": "x"},
    ("POST", "tags"): {"tags": [{"name": "x"}]},
    ("PUT", "{tag_name}"): {"name": "x"},
    ("POST", "resource_types"): {"name": "OS::Nova::Server"},
}

IMAGE_PATHS = [
    (method, path)
    for path, handlers, _ in TABLE
    if "{image_id}" in path
    for method in handlers
]  # fmt: skip
NAMESPACE_PATHS = [(method, path) for path, handlers, _ in TABLE if "{namespace}" in path for method in handlers]


def files(directory: Path, store_id: str) -> StoreSettings:
    options = FilesystemOptions(filesystem_store_datadir=str(directory / store_id))
    return StoreSettings(id=store_id, kind="file", options=options)


@pytest.fixture(scope="module")
def wire(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wire]:
    directory = tmp_path_factory.mktemp("oracles")
    (directory / "policy.yaml").write_text(POLICY)
    settings = settings_in(
        directory,
        api=Api(show_multiple_locations=True, show_image_direct_url=True),
        policy=PolicySettings(config_dirs=(directory,)),
        stores=Stores(default="one", named=True, stores=(files(directory, "one"), files(directory, "two"))),
    )
    with wired(settings) as connection:
        yield connection


@pytest.fixture(scope="module")
def images(wire: Wire) -> dict[str, str]:
    """Images that the stranger does not see, by what they are."""
    owner, admin = wire.as_(MEMBER), wire.as_(ADMIN)
    made = {
        "queued": owner.create(visibility="private", tags=["t"])["id"],
        "active": owner.create(visibility="private", tags=["t"])["id"],
        "protected": owner.create(visibility="private", protected=True)["id"],
        "deactivated": owner.create(visibility="private")["id"],
        "shared with others": owner.create(visibility="shared")["id"],
        "hidden by policy": admin.create(visibility="public", name="secret", tags=["t"], owner="p1")["id"],
    }
    for name in ("active", "deactivated", "hidden by policy"):
        assert admin.upload(made[name], b"data").status == 204
    assert owner("POST", f"/v2/images/{made['deactivated']}/actions/deactivate").status == 204
    assert owner("POST", f"/v2/images/{made['shared with others']}/members", json_body={"member": "p3"}).status == 200
    return made


def without(answer: Answer, name: str) -> tuple[int, bytes, dict[str, str]]:
    """An answer with its own name for the resource left out, and without what differs between any two answers."""
    varying = {"x-openstack-request-id", "content-length", "date"}
    headers = {key: value.replace(name, "NAME") for key, value in answer.headers.items() if key not in varying}
    return answer.status, answer.body.replace(name.encode(), b"NAME"), headers


def ask_about_image(wire: Wire, method: str, path: str, image_id: str) -> Answer:
    target = path.format(image_id=image_id, tag="t", member_id="p3", store_id="one", task_id=MISSING)
    body, media_type = BODIES.get((method, path), (None, ""))
    return wire(method, f"/v2{target}", body, {"Content-Type": media_type} if body is not None else {})


@pytest.mark.parametrize(("method", "path"), IMAGE_PATHS)
@pytest.mark.parametrize("caller", [STRANGER, POWERLESS], ids=["stranger", "powerless"])
def test_images(wire: Wire, images: dict[str, str], caller: Caller, method: str, path: str) -> None:
    asked = wire.as_(caller)
    missing = ask_about_image(asked, method, path, MISSING)
    assert missing.status == 404, missing.body
    expected = without(missing, MISSING)
    for name, image_id in images.items():
        assert without(ask_about_image(asked, method, path, image_id), image_id) == expected, name


def test_deleted_images(wire: Wire) -> None:
    owner = wire.as_(MEMBER)
    image_id = owner.create()["id"]
    assert owner("DELETE", f"/v2/images/{image_id}").status == 204
    for method, path in IMAGE_PATHS:
        gone = without(ask_about_image(owner, method, path, image_id), image_id)
        assert gone == without(ask_about_image(owner, method, path, MISSING), MISSING), (method, path)


def test_markers(wire: Wire, images: dict[str, str]) -> None:
    """images-api 3.4: an unknown marker is 400, one of an image that the caller does not see 403; no more."""
    stranger = wire.as_(STRANGER)
    answers = {
        name: without(stranger("GET", f"/v2/images?marker={image_id}"), image_id) for name, image_id in images.items()
    }
    assert len({str(answer) for answer in answers.values()}) == 1, answers
    assert {status for status, _, _ in answers.values()} == {403}
    assert stranger("GET", f"/v2/images?marker={MISSING}").status == 400


@pytest.fixture(scope="module")
def namespace(wire: Wire) -> str:
    """A namespace with everything in it, which only its own project sees."""
    document = {**RACK, "namespace": "hidden", "visibility": "private", "owner": "p1"}
    assert wire.as_(ADMIN)("POST", "/v2/metadefs/namespaces", json_body=document).status == 201
    return "hidden"


@pytest.mark.parametrize(("method", "path"), NAMESPACE_PATHS)
@pytest.mark.parametrize("caller", [STRANGER, POWERLESS], ids=["stranger", "powerless"])
def test_namespaces(wire: Wire, namespace: str, caller: Caller, method: str, path: str) -> None:
    asked = wire.as_(caller)
    document = METADEF_BODIES.get((method, path.rpartition("/")[2]))

    def ask(name: str) -> tuple[int, bytes, dict[str, str]]:
        target = path.format(
            namespace=name, property_name="zone", object_name="Power", tag_name="dc", resource_type="OS::Nova::Flavor"
        )
        return without(asked(method, f"/v2{target}", json_body=document), name)

    missing = ask("absent")
    assert missing[0] == 404, missing
    assert ask(namespace) == missing


PROTECTIONS = """
[^blind$]
create = member
read = admin
update = admin
delete = admin
[^hidden$]
create = admin
read = admin
update = member
delete = admin
[^both$]
create = member
read = admin
update = member
delete = admin
[.*]
create = @
read = @
update = @
delete = @
"""


@pytest.mark.parametrize("media_type", [PATCH, PATCH_20])
@pytest.mark.parametrize("op", ["add", "replace", "remove"])
@pytest.mark.parametrize("name", ["blind", "hidden", "both"])
def test_properties_that_the_caller_may_not_read(tmp_path: Path, name: str, op: str, media_type: str) -> None:
    (tmp_path / "protections.conf").write_text(PROTECTIONS)
    policy = PolicySettings(config_dirs=(tmp_path,), property_protection_file="protections.conf")
    operation = {"value": "x", **({"op": op, "path": f"/{name}"} if media_type == PATCH else {op: f"/{name}"})}
    if op == "remove":
        del operation["value"]
    with wired(settings_in(tmp_path, policy=policy)) as wire:
        admin = wire.as_(ADMIN)
        has = admin.create(name="n", owner="p1", blind="1", hidden="1", both="1")["id"]
        lacks = admin.create(name="n", owner="p1")["id"]
        answers = [
            wire("PATCH", f"/v2/images/{one}", json.dumps([operation]).encode(), {"Content-Type": media_type})
            for one in (has, lacks)
        ]
    statuses = [answer.status for answer in answers]
    assert statuses[0] == statuses[1] == (200 if (op, name) == ("add", "both") else 403 if op == "add" else 409)
    if statuses[0] != 200:
        assert answers[0].body == answers[1].body
