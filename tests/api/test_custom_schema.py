"""An operator's schema-image.json beside the configuration file, from start to response (images-api 2.3)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest

from glimpse.settings.load import Sources, load
from glimpse.settings.model import Auth
from glimpse.stores.all import DRIVERS
from tests.support.service import run_to_the_end
from tests.support.wire import PATCH_20, Wire, settings_in, wired

UUID = "^([0-9a-fA-F]){8}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){12}$"
KERNEL = {"type": ["null", "string"], "pattern": UUID, "description": "Kernel of the image"}

#: In the manner of what distributions ship, and some properties that are no text.
PROPERTIES = {
    "kernel_id": KERNEL,
    "architecture": {"type": "string", "description": "Architecture of the machine"},
    "cinder_encryption_key_deletion_policy": {"type": "string", "enum": ["on_image_deletion", "do_not_delete"]},
    "cores": {"type": "integer", "minimum": 1},
    "ratio": {"type": "number"},
    "secure": {"type": "boolean"},
    "features": {"type": "array", "items": {"type": "string"}},
    "limits": {"type": ["null", "object"]},
}
EXTENDED = {"properties": PROPERTIES, "required": ["architecture"]}

TYPED: dict[str, Any] = {
    "kernel_id": None, "cores": 4, "ratio": 1.5, "secure": True, "features": ["a", "b"], "limits": {"a": [1, None]},
}  # fmt: skip

Start = Callable[[object], Wire]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """A service whose configuration directory holds this schema-image.json."""
    with ExitStack() as stack:

        def enter(content: object) -> Wire:
            file = write(tmp_path, content)
            sources = Sources(config_files=(file,), environ={"HOME": str(tmp_path)})
            loaded = load(sources, DRIVERS).settings
            assert loaded.custom_schema == content
            base = settings_in(tmp_path, auth=Auth(kind="headers"))
            return stack.enter_context(wired(msgspec.structs.replace(base, custom_schema=loaded.custom_schema)))

        yield enter


def write(directory: Path, content: object) -> Path:
    (directory / "schema-image.json").write_text(json.dumps(content))
    file = directory / "glance-api.conf"
    file.write_text(f"[glimpse]\ndata_dir = {directory}/data\nauth = none\n")
    return file


@pytest.mark.parametrize("content", [PROPERTIES, EXTENDED], ids=["flat", "extended"])
def test_the_schema_shows_the_properties(start: Start, content: dict[str, object]) -> None:
    schema = start(content)("GET", "/v2/schemas/image").json
    shown = list(schema["properties"].items())[25:]
    assert shown == [(name, {**fragment, "is_base": False}) for name, fragment in PROPERTIES.items()]
    assert schema.get("required") == (["architecture"] if content is EXTENDED else None)
    assert not any("is_base" in fragment for fragment in list(schema["properties"].values())[:25])


def test_values_come_back_as_they_are(start: Start) -> None:
    wire = start(PROPERTIES)
    image = wire.create(**TYPED, os_distro="debian")
    assert {name: image[name] for name in TYPED} == TYPED
    assert wire("GET", f"/v2/images/{image['id']}").json == image
    assert wire("GET", "/v2/images").json["images"] == [image]
    changed = wire.patch(
        image["id"],
        {"op": "replace", "path": "/cores", "value": 8},
        {"op": "replace", "path": "/kernel_id", "value": image["id"]},
        {"op": "replace", "path": "/features", "value": []},
        {"op": "remove", "path": "/secure"},
    )
    assert (changed.status, changed.json["cores"], changed.json["features"]) == (200, 8, [])
    assert [one["id"] for one in wire("GET", "/v2/images?cores=8").json["images"]] == [image["id"]]
    shown = wire("GET", f"/v2/images/{image['id']}").json
    assert (shown["cores"], shown["kernel_id"], shown["features"]) == (8, image["id"], [])
    assert "secure" not in shown


def test_properties_are_not_added_by_themselves(start: Start) -> None:
    assert not set(PROPERTIES) & set(start(PROPERTIES).create())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("kernel_id", "vmlinuz"), ("kernel_id", 5), ("architecture", None), ("architecture", 64), ("cores", "4"),
        ("cores", 0), ("cores", 1.5), ("secure", "true"), ("features", ["a", 1]), ("limits", []),
        ("cinder_encryption_key_deletion_policy", "later"), ("other", 5), ("other", None),
    ],
)  # fmt: skip
def test_values_that_do_not_fit_are_400(start: Start, name: str, value: object) -> None:
    wire = start(PROPERTIES)
    assert wire("POST", "/v2/images", json_body={name: value}).status == 400
    image = wire.create()
    assert wire.patch(image["id"], {"op": "add", "path": f"/{name}", "value": value}).status == 400
    assert wire("GET", f"/v2/images/{image['id']}").json == image
    assert len(wire("GET", "/v2/images").json["images"]) == 1


def test_what_is_required_is_required_at_creation(start: Start) -> None:
    wire = start(EXTENDED)
    refused = wire("POST", "/v2/images", json_body={"name": "x"}, headers={"Accept": "application/json"})
    assert refused.status == 400
    assert "'architecture'" in refused.json["message"]
    assert wire("GET", "/v2/images").json["images"] == []
    assert wire.create(architecture="x86_64")["architecture"] == "x86_64"


def test_what_is_required_blocks_no_patch_of_anything_else(start: Start) -> None:
    """images-api 2.3: Glance refuses every other change with 400."""
    wire = start(EXTENDED)
    image = wire.create(architecture="x86_64")
    for operations in (
        [{"op": "replace", "path": "/name", "value": "new"}],
        [{"op": "add", "path": "/os_distro", "value": "debian"}, {"op": "remove", "path": "/os_distro"}],
        [{"op": "replace", "path": "/architecture", "value": "aarch64"}],
    ):
        assert wire.patch(image["id"], *operations).status == 200
    assert wire("GET", f"/v2/images/{image['id']}").json["architecture"] == "aarch64"


def test_what_is_required_cannot_be_removed(start: Start) -> None:
    """images-api 2.3: Glance lets the property go."""
    wire = start(EXTENDED)
    image = wire.create(architecture="x86_64")
    assert wire.patch(image["id"], {"op": "remove", "path": "/architecture"}).status == 403
    assert wire.patch(image["id"], {"remove": "/architecture"}, media_type=PATCH_20).status == 403
    assert wire("GET", f"/v2/images/{image['id']}").json == image


def test_an_empty_list_of_required_names_is_none(start: Start) -> None:
    wire = start({"properties": PROPERTIES, "required": []})
    assert "required" not in wire("GET", "/v2/schemas/image").json
    wire.create()


@pytest.mark.parametrize("content", [{"status": {"type": "integer"}}, {"properties": {"name": {"type": "string"}}}])
def test_a_base_property_defined_anew_prevents_the_start(tmp_path: Path, content: dict[str, object]) -> None:
    ended = run_to_the_end(["serve", "--config-file", str(write(tmp_path, content))])
    name = "status" if "status" in content else "name"
    assert ended.returncode == 1
    assert ended.stderr == f"Error: schema-image.json: '{name}' is a base property and cannot be redefined.\n"


def test_a_file_that_is_no_json_prevents_the_start(tmp_path: Path) -> None:
    file = write(tmp_path, {})
    (tmp_path / "schema-image.json").write_text('{"kernel_id": ')
    ended = run_to_the_end(["serve", "--config-file", str(file)])
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"Error: The file {tmp_path}/schema-image.json is not JSON: ")
    assert ended.stderr.count("\n") == 1
