"""The schema documents, including the operator's properties (images-api 2)."""

from __future__ import annotations

import json

import pytest

from glimpse.api.v2.schemas.catalog import SchemaCatalog, build_schemas
from glimpse.api.v2.schemas.custom import CustomSchemaError
from glimpse.errors import Invalid
from glimpse.settings.model import Formats

UUID = "^([0-9a-fA-F]){8}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){12}$"
TEXT, MAYBE_TEXT = {"type": "string"}, {"type": ["null", "string"]}
READ_ONLY = {"readOnly": True}

IMAGE = {
    "id": {**TEXT, "pattern": UUID},
    "name": {**MAYBE_TEXT, "maxLength": 255},
    "status": {
        **TEXT,
        **READ_ONLY,
        "enum": [
            "queued", "saving", "active", "killed", "deleted", "uploading", "importing", "pending_delete",
            "deactivated",
        ],
    },
    "visibility": {**TEXT, "enum": ["community", "public", "private", "shared"]},
    "protected": {"type": "boolean"},
    "os_hidden": {"type": "boolean"},
    "checksum": {**MAYBE_TEXT, **READ_ONLY, "maxLength": 32},
    "os_hash_algo": {**MAYBE_TEXT, **READ_ONLY, "maxLength": 64},
    "os_hash_value": {**MAYBE_TEXT, **READ_ONLY, "maxLength": 128},
    "owner": {**MAYBE_TEXT, "maxLength": 255},
    "size": {"type": ["null", "integer"], **READ_ONLY},
    "virtual_size": {"type": ["null", "integer"], **READ_ONLY},
    "container_format": {
        **MAYBE_TEXT, "enum": [None, "ami", "ari", "aki", "bare", "ovf", "ova", "docker", "compressed"],
    },
    "disk_format": {
        **MAYBE_TEXT,
        "enum": [None, "ami", "ari", "aki", "vhd", "vhdx", "vmdk", "raw", "qcow2", "vdi", "iso", "ploop"],
    },
    "created_at": {**TEXT, **READ_ONLY},
    "updated_at": {**TEXT, **READ_ONLY},
    "tags": {"type": "array", "items": {**TEXT, "maxLength": 255}},
    "direct_url": {**TEXT, **READ_ONLY},
    "min_ram": {"type": "integer"},
    "min_disk": {"type": "integer"},
    "self": {**TEXT, **READ_ONLY},
    "file": {**TEXT, **READ_ONLY},
    "stores": {**TEXT, **READ_ONLY},
    "schema": {**TEXT, **READ_ONLY},
    "locations": {
        "type": "array",
        "items": {
            "type": "object",
            "properties": {
                "url": {**TEXT, "maxLength": 255},
                "metadata": {"type": "object"},
                "validation_data": {
                    "type": "object",
                    "writeOnly": True,
                    "additionalProperties": False,
                    "properties": {
                        "checksum": {**TEXT, "minLength": 32, "maxLength": 32},
                        "os_hash_algo": {**TEXT, "maxLength": 64},
                        "os_hash_value": {**TEXT, "maxLength": 128},
                    },
                    "required": ["os_hash_algo", "os_hash_value"],
                },
            },
            "required": ["url", "metadata"],
        },
    },
}  # fmt: skip


def catalog(custom: dict[str, object] | None = None) -> SchemaCatalog:
    formats = Formats()
    return build_schemas(container_formats=formats.container_formats, disk_formats=formats.disk_formats, custom=custom)


def document(name: str, custom: dict[str, object] | None = None) -> dict:
    return undescribed(json.loads(catalog(custom).bodies[name]))


def undescribed(node):
    """Without descriptions, which are free text."""
    if isinstance(node, dict):
        kept = {key: value for key, value in node.items() if key != "description" or not isinstance(value, str)}
        return {key: undescribed(value) for key, value in kept.items()}
    return [undescribed(item) for item in node] if isinstance(node, list) else node


def test_names() -> None:
    assert set(catalog().bodies) == {"image", "images", "member", "members", "task", "tasks"}
    for name in catalog().bodies:
        assert document(name)["name"] == name


def test_image() -> None:
    schema = document("image")
    assert list(schema) == ["name", "properties", "additionalProperties", "links"]
    assert schema["properties"] == IMAGE
    assert list(schema["properties"]) == list(IMAGE)
    assert schema["additionalProperties"] == {"type": "string"}
    assert schema["links"] == [
        {"rel": "self", "href": "{self}"},
        {"rel": "enclosure", "href": "{file}"},
        {"rel": "describedby", "href": "{schema}"},
    ]


def test_images() -> None:
    schema = document("images")
    assert list(schema) == ["name", "properties", "links"]
    assert schema["properties"] == {
        "images": {"type": "array", "items": document("image")}, "first": TEXT, "next": TEXT, "schema": TEXT,
    }  # fmt: skip
    assert schema["links"] == [
        {"rel": "first", "href": "{first}"},
        {"rel": "next", "href": "{next}"},
        {"rel": "describedby", "href": "{schema}"},
    ]


def test_member_and_members() -> None:
    member = document("member")
    assert list(member) == ["name", "properties"]
    assert list(member["properties"].items()) == [
        ("member_id", TEXT),
        ("image_id", {**TEXT, "pattern": UUID}),
        ("created_at", TEXT),
        ("updated_at", TEXT),
        ("status", {**TEXT, "enum": ["pending", "accepted", "rejected"]}),
        ("schema", {**TEXT, **READ_ONLY}),
    ]
    assert document("members") == {
        "name": "members",
        "properties": {"members": {"type": "array", "items": member}, "schema": TEXT},
        "links": [{"rel": "describedby", "href": "{schema}"}],
    }


def test_task_and_tasks() -> None:
    task = document("task")
    maybe_object = {"type": ["null", "object"]}
    assert list(task) == ["name", "properties"]
    assert list(task["properties"].items()) == [
        ("id", {**TEXT, "pattern": UUID}),
        ("type", {**TEXT, "enum": ["import", "api_image_import", "location_import"]}),
        ("status", {**TEXT, "enum": ["pending", "processing", "success", "failure"]}),
        ("input", maybe_object),
        ("result", maybe_object),
        *[(name, TEXT) for name in ("owner", "message")],
        ("progress", maybe_object),
        *[(name, TEXT) for name in ("image_id", "request_id", "user_id")],
        ("expires_at", MAYBE_TEXT),
        ("created_at", TEXT),
        ("updated_at", TEXT),
        ("self", {**TEXT, **READ_ONLY}),
        ("schema", {**TEXT, **READ_ONLY}),
    ]
    brief = {
        name: value
        for name, value in task["properties"].items()
        if name not in {"input", "result", "message", "progress"}
    }
    assert document("tasks") == {
        "name": "tasks",
        "properties": {"tasks": {"type": "array", "items": {"name": "task", "properties": brief}}, "schema": TEXT},
        "links": [{"rel": "describedby", "href": "{schema}"}],
    }


def test_everything_is_described() -> None:
    for name in ("image", "member", "task"):
        for definition in json.loads(catalog().bodies[name])["properties"].values():
            assert definition["description"]


KERNEL = {"type": ["null", "string"], "pattern": UUID, "description": "Kernel of the image"}


def test_the_flat_form() -> None:
    custom: dict[str, object] = {"ramdisk_id": KERNEL, "architecture": {"type": "string"}}
    schema = json.loads(catalog(custom).bodies["image"])
    assert "required" not in schema
    assert list(schema["properties"])[:25] == list(IMAGE)
    assert list(schema["properties"].items())[25:] == [
        ("ramdisk_id", {**KERNEL, "is_base": False}),
        ("architecture", {"type": "string", "is_base": False}),
    ]
    assert not any("is_base" in schema["properties"][name] for name in IMAGE)
    assert json.loads(catalog(custom).bodies["images"])["properties"]["images"]["items"] == schema


@pytest.mark.parametrize("required", [["name", "architecture"], [], None])
def test_the_extended_form(required: list[str] | None) -> None:
    custom: dict[str, object] = {"properties": {"architecture": {"type": "string"}}}
    if required is not None:
        custom["required"] = required
    built = catalog(custom)
    schema = json.loads(built.bodies["image"])
    assert schema.get("required", []) == (required or [])
    assert list(schema) == [
        "name", "properties", "additionalProperties", *(["required"] if required else []), "links",
    ]  # fmt: skip
    assert built.checker.required == frozenset(required or ())


def test_names_for_the_view() -> None:
    built = catalog({
        "kernel_id": KERNEL, "cores": {"type": "integer"}, "on": {"type": ["null", "boolean"]}, "any": {},
        "level": {"enum": [1, 2]}, "mode": {"enum": ["a", 1]}, "text": {"type": ["string", "integer"]},
    })  # fmt: skip
    assert built.custom_names == {"kernel_id", "cores", "on", "any", "level", "mode", "text"}
    assert built.typed_names == {"cores", "on", "level"}
    assert catalog().custom_names == frozenset()


def test_a_base_property_may_be_repeated_but_not_changed() -> None:
    same = {"description": "another description", "type": ["null", "string"], "maxLength": 255}
    assert document("image", {"name": same}) == document("image")
    with pytest.raises(CustomSchemaError, match="'name'"):
        catalog({"name": {**same, "maxLength": 10}})
    with pytest.raises(CustomSchemaError, match="'status'"):
        catalog({"properties": {"status": {"type": "string"}}})


@pytest.mark.parametrize(
    "custom",
    [
        {"x": 5},
        {"x": None},
        {"properties": []},
        {"properties": {}, "required": "name"},
        {"properties": {}, "required": [5]},
        {"x": {"type": "strin"}},
        {"x": {"pattern": "("}},
        {"x": {"$ref": "#/nowhere"}},
        {"x": {"$ref": "http://192.0.2.1/schema.json"}},
    ],
)
def test_files_that_keep_the_service_from_starting(custom: dict[str, object]) -> None:
    with pytest.raises(CustomSchemaError, match=r"schema-image\.json") as caught:
        catalog(custom)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("name", 5, "The property 'name' must be of type null or string."),
        ("name", "x" * 300, "The property 'name' must not be longer than 255 characters."),
        ("visibility", "x", "The property 'visibility' must be one of community, public, private, shared."),
        ("protected", "x", "The property 'protected' must be of type boolean."),
        ("id", "x", f"The property 'id' must match the pattern {UUID}."),
        ("tags", ["ok", 5], "The property 'tags', item '1', must be of type string."),
        ("locations", [{"url": "u"}], "The property 'locations', item '0', lacks the required property 'metadata'."),
        ("custom", 5, "The property 'custom' must be of type string."),
        ("c" * 200, 5, f"The property '{'c' * 80}…' must be of type string."),
        ("cores", 0, "The property 'cores' does not match the schema: The value is less than the minimum of 1."),
        ("code", "", "The property 'code' must not be shorter than 2 characters."),
    ],
)  # fmt: skip
def test_refusals_in_plain_words(name: str, value: object, words: str) -> None:
    checker = catalog({"cores": {"type": "integer", "minimum": 1}, "code": {"type": "string", "minLength": 2}}).checker
    with pytest.raises(Invalid) as by_value:
        checker.check_value(name, value)
    assert str(by_value.value) == words
    with pytest.raises(Invalid) as by_document:
        checker.check_document({"os_distro": "debian", name: value})
    assert str(by_document.value) == words


def test_required_names_count_for_documents_only() -> None:
    checker = catalog({"properties": {"licence": {"type": "string"}}, "required": ["licence"]}).checker
    checker.check_value("name", "x")
    checker.check_document({"licence": "x"})
    with pytest.raises(Invalid) as caught:
        checker.check_document({"name": "x"})
    assert str(caught.value) == "The image lacks the required property 'licence'."


def test_values_that_cannot_be_checked_are_refused() -> None:
    deep: dict[str, object] = {}
    for _ in range(400):
        deep = {"x": deep}
    for name, value in [("custom", deep), ("\ud800", "x")]:
        with pytest.raises(Invalid, match="cannot be validated"):
            catalog().checker.check_value(name, value)


def test_formats_of_the_operator() -> None:
    built = build_schemas(container_formats=["box"], disk_formats=["floppy"], custom=None)
    built.checker.check_document({"container_format": "box", "disk_format": "floppy"})
    with pytest.raises(Invalid, match="one of null, floppy"):
        built.checker.check_value("disk_format", "raw")
