"""``openstack image metadef``, one test for each command; results are checked over HTTP."""

from __future__ import annotations

import json

import pytest

from tests.interop.metadef_requests import Definitions
from tests.support.clients import Client


@pytest.fixture
def metadef(openstack: Client):
    """``openstack image metadef`` with these arguments; with ``-f json`` the result is decoded."""

    def run(*arguments: str) -> object:
        output = openstack.ok("image", "metadef", *arguments)
        return json.loads(output) if "json" in arguments else output

    return run


JSON = ("-f", "json")


def test_every_command_of_the_client_has_a_test(openstack: Client) -> None:
    listed = openstack.json("command", "list", "--group", "openstack.image.v2")
    commands = {
        command.removeprefix("image metadef ")
        for group in listed
        for command in group["Commands"]
        if command.startswith("image metadef ")
    }
    tested = {name.removeprefix("test_").replace("_", " ") for name in globals() if name.startswith("test_")}
    assert len(commands) >= 21
    assert commands <= tested


def test_namespace_create(metadef, rack: Definitions) -> None:
    assert rack("DELETE").status == 204
    made = metadef(
        "namespace", "create", *JSON, rack.name, "--display-name", "Rack", "--description", "D", "--public",
        "--protected",
    )  # fmt: skip
    assert (made["namespace"], made["display_name"], made["description"]) == (rack.name, "Rack", "D")
    assert (made["visibility"], made["protected"]) == ("public", True)
    stored = rack.show()
    assert (stored["display_name"], stored["visibility"], stored["protected"]) == ("Rack", "public", True)


def test_namespace_create_with_a_name_that_is_taken(openstack: Client, rack: Definitions) -> None:
    told = openstack.refused("image", "metadef", "namespace", "create", rack.name)
    assert "409" in told
    assert rack.name in told


def test_namespace_delete(metadef, openstack: Client, rack: Definitions) -> None:
    assert rack("PUT", "", {"namespace": rack.name, "visibility": "public", "protected": True}).status == 200
    told = openstack.refused("image", "metadef", "namespace", "delete", rack.name)
    assert "1 of 1" in told
    assert rack.status() == 200
    rack.unprotect()
    metadef("namespace", "delete", rack.name)
    assert rack.status() == 404
    assert "404" in openstack.refused("image", "metadef", "namespace", "show", rack.name)


def test_namespace_list(metadef, rack: Definitions) -> None:
    listed = {entry["namespace"] for entry in metadef("namespace", "list", *JSON)}
    assert listed == rack.names()
    assert len(listed) > 20, "more than a page of the catalog"
    of_flavors = metadef("namespace", "list", *JSON, "--resource-types", "OS::Nova::Flavor", "--visibility", "public")
    assert rack.name in {entry["namespace"] for entry in of_flavors}
    assert len(of_flavors) < len(listed)
    assert metadef("namespace", "list", *JSON, "--visibility", "private") == []


def test_namespace_set(metadef, rack: Definitions) -> None:
    metadef(
        "namespace", "set", rack.name, "--display-name", "Changed", "--description", "E", "--public", "--protected",
        "--tag", "one", "--tag", "two",
    )  # fmt: skip
    stored = rack.show()
    assert (stored["display_name"], stored["description"]) == ("Changed", "E")
    assert (stored["visibility"], stored["protected"]) == ("public", True)
    assert rack.tags() >= {"one", "two"}


def test_namespace_set_resets_what_it_does_not_name(metadef, rack: Definitions) -> None:
    """The command sends only what it was given, and the whole namespace is replaced (metadefs 14, quirk 1)."""
    metadef("namespace", "set", rack.name, "--description", "E")
    stored = rack.show()
    assert (stored["description"], stored["visibility"]) == ("E", "private")
    assert stored.get("display_name") is None
    assert len(stored["properties"]) == 2, "what is in it stays"


def test_namespace_show(metadef, rack: Definitions) -> None:
    shown = metadef("namespace", "show", *JSON, rack.name)
    assert (shown["namespace"], shown["display_name"]) == (rack.name, "Rack hints")
    assert (shown["visibility"], shown["protected"], shown["owner"]) == ("public", False, rack.show()["owner"])
    assert {tag["name"] for tag in shown["tags"]} == {"dc", "rack"}


def test_namespace_unset(metadef, rack: Definitions) -> None:
    metadef("namespace", "unset", rack.name, "--tag", "dc")
    assert rack.tags() == {"rack"}
    metadef("namespace", "unset", rack.name, "--all-tags")
    assert rack.tags() == set()


def test_object_create(metadef, rack: Definitions) -> None:
    made = metadef("object", "create", *JSON, "--namespace", rack.name, "Doors")
    assert (made["name"], made["namespace_name"]) == ("Doors", rack.name)
    assert rack.show("/objects/Doors")["properties"] == {}


def test_object_delete(metadef, rack: Definitions) -> None:
    metadef("object", "delete", rack.name, "Power")
    assert [found["name"] for found in rack.show("/objects")["objects"]] == ["Cooling"]
    metadef("object", "delete", rack.name)
    assert rack.show("/objects")["objects"] == []


def test_object_list(metadef, rack: Definitions) -> None:
    listed = metadef("object", "list", *JSON, rack.name)
    assert {found["name"]: found["description"] for found in listed} == {"Power": "Feeds", "Cooling": None}


def test_object_property_show(metadef, openstack: Client, rack: Definitions) -> None:
    shown = metadef("object", "property", "show", *JSON, rack.name, "Power", "feed")
    assert {name: shown[name] for name in ("title", "type", "minimum", "maximum")} == {
        "title": "Feed", "type": "integer", "minimum": 1, "maximum": 2,
    }  # fmt: skip
    assert "not found" in openstack.refused("image", "metadef", "object", "property", "show", rack.name, "Power", "x")


def test_object_show(metadef, rack: Definitions) -> None:
    shown = metadef("object", "show", *JSON, rack.name, "Power")
    assert (shown["name"], shown["description"], shown["required"]) == ("Power", "Feeds", ["feed"])
    assert list(shown["properties"]) == ["feed"]


def test_object_update(metadef, rack: Definitions) -> None:
    metadef("object", "update", rack.name, "Power", "--name", "Feeds")
    assert rack.status("/objects/Power") == 404
    assert rack.show("/objects/Feeds")["name"] == "Feeds"


def test_property_create(metadef, rack: Definitions) -> None:
    schema = '{"enum": ["a", "b"], "description": "D"}'
    made = metadef(
        "property", "create", *JSON, "--name", "row", "--title", "Row", "--type", "string", "--schema", schema,
        rack.name,
    )  # fmt: skip
    assert (made["name"], made["title"], made["enum"]) == ("row", "Row", ["a", "b"])
    stored = rack.show("/properties/row")
    assert (stored["type"], stored["enum"], stored["description"]) == ("string", ["a", "b"], "D")


def test_property_delete(metadef, rack: Definitions) -> None:
    metadef("property", "delete", rack.name, "zone")
    assert list(rack.show("/properties")["properties"]) == ["spare"]
    metadef("property", "delete", rack.name)
    assert rack.show("/properties")["properties"] == {}


def test_property_list(metadef, rack: Definitions) -> None:
    listed = metadef("property", "list", *JSON, rack.name)
    assert {(found["name"], found["title"], found["type"]) for found in listed} == {
        ("zone", "Zone", "string"), ("spare", "Spare", "boolean"),
    }  # fmt: skip


def test_property_set(metadef, rack: Definitions) -> None:
    metadef(
        "property", "set", "--name", "area", "--title", "Area", "--type", "string", "--schema", '{"enum": ["c"]}',
        rack.name, "zone",
    )  # fmt: skip
    assert rack.status("/properties/zone") == 404
    stored = rack.show("/properties/area")
    assert (stored["title"], stored["enum"]) == ("Area", ["c"])


def test_property_show(metadef, openstack: Client, rack: Definitions) -> None:
    shown = metadef("property", "show", *JSON, rack.name, "zone")
    assert (shown["name"], shown["title"], shown["type"]) == ("zone", "Zone", "string")
    assert (shown["enum"], shown["default"]) == (["a", "b"], "a")
    openstack.refused("image", "metadef", "property", "show", rack.name, "nothing")


def test_resource_type_association_create(metadef, rack: Definitions) -> None:
    arguments = ("--properties-target", "metadata", rack.name, "OS::Nova::Server")
    made = metadef("resource", "type", "association", "create", *JSON, *arguments)
    assert (made["name"], made["properties_target"]) == ("OS::Nova::Server", "metadata")
    stored = rack.show("/resource_types")["resource_type_associations"]
    assert {found["name"] for found in stored} == {"OS::Nova::Flavor", "OS::Cinder::Volume", "OS::Nova::Server"}


def test_resource_type_association_delete(metadef, rack: Definitions) -> None:
    def associated() -> set[str]:
        return {found["name"] for found in rack.show("/resource_types")["resource_type_associations"]}

    metadef("resource", "type", "association", "delete", rack.name, "OS::Nova::Flavor")
    assert associated() == {"OS::Cinder::Volume"}
    assert rack("PUT", "", {"namespace": rack.name, "visibility": "public", "protected": True}).status == 200
    metadef("resource", "type", "association", "delete", "--force", rack.name, "OS::Cinder::Volume")
    assert associated() == set()
    assert rack.show()["protected"] is True, "the command protects it again when it is done"


def test_resource_type_association_list(metadef, rack: Definitions) -> None:
    listed = metadef("resource", "type", "association", "list", *JSON, rack.name)
    assert {found["Name"] for found in listed} == {"OS::Nova::Flavor", "OS::Cinder::Volume"}


def test_resource_type_list(metadef, rack: Definitions) -> None:
    assert rack("POST", "/resource_types", {"name": "Acme::Shelf"}).status == 201
    listed = {found["Name"] for found in metadef("resource", "type", "list", *JSON)}
    assert listed >= {"OS::Nova::Flavor", "OS::Cinder::Volume", "OS::Glance::Image", "Acme::Shelf"}
