"""``glance md-*``, one test for each command; results are checked over HTTP."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.interop.metadef_requests import RACK, Definitions
from tests.support.clients import Client
from tests.support.service import Service


@pytest.fixture
def glance(programs: Path, service: Service, tmp_path: Path) -> Client:
    """The command with nothing but the address of the service."""
    return Client(programs / "glance", tmp_path, {"OS_IMAGE_URL": service.url, "OS_AUTH_TOKEN": "none"})


def rows(output: str) -> list[list[str]]:
    """The cells of a printed table, without its head."""
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in output.splitlines() if line[:1] == "|"][
        1:
    ]


def fields(output: str) -> dict[str, str]:
    """A printed table of properties and values."""
    return {row[0]: row[1] for row in rows(output)}


def test_every_command_of_the_client_has_a_test(glance: Client) -> None:
    commands = set(re.findall(r"^ {4}(md-[a-z-]+)", glance.ok("help"), re.MULTILINE))
    tested = {name.removeprefix("test_").replace("_", "-") for name in globals() if name.startswith("test_")}
    assert len(commands) >= 30
    assert commands <= tested


def test_md_namespace_create(glance: Client, rack: Definitions) -> None:
    assert rack("DELETE").status == 204
    made = fields(
        glance.ok(
            "md-namespace-create", rack.name, "--display-name", "Rack", "--description", "D", "--visibility", "public",
            "--protected", "True", "--owner", "operators",
        )
    )  # fmt: skip
    assert (made["namespace"], made["visibility"], made["protected"]) == (rack.name, "public", "True")
    stored = rack.show()
    assert (stored["display_name"], stored["description"], stored["owner"]) == ("Rack", "D", "operators")
    assert "409" in glance.refused("md-namespace-create", rack.name)


def test_md_namespace_delete(glance: Client, rack: Definitions) -> None:
    assert rack("PUT", "", {"namespace": rack.name, "visibility": "public", "protected": True}).status == 200
    assert "403" in glance.refused("md-namespace-delete", rack.name)
    rack.unprotect()
    glance.ok("md-namespace-delete", rack.name)
    assert rack.status() == 404
    assert "404" in glance.refused("md-namespace-delete", rack.name)


def test_md_namespace_import(glance: Client, rack: Definitions, tmp_path: Path) -> None:
    assert rack("DELETE").status == 204
    file = tmp_path / "rack.json"
    file.write_text(json.dumps({**RACK, "namespace": rack.name}))
    made = fields(glance.ok("md-namespace-import", "--file", file))
    assert set(json.loads(made["properties"])) == {"zone", "spare"}
    stored = rack.show()
    assert {found["name"] for found in stored["objects"]} == {"Power", "Cooling"}
    assert stored["properties"]["zone"] == RACK["properties"]["zone"]
    assert {found["name"] for found in stored["resource_type_associations"]} == {
        "OS::Nova::Flavor",
        "OS::Cinder::Volume",
    }
    assert rack.tags() == {"dc", "rack"}


def test_md_namespace_list(glance: Client, rack: Definitions) -> None:
    listed = {row[0] for row in rows(glance.ok("md-namespace-list", "--page-size", "7"))}
    assert listed == rack.names()
    assert len(listed) > 20
    arguments = ("--resource-types", "OS::Nova::Flavor", "--visibility", "public")
    of_flavors = {row[0] for row in rows(glance.ok("md-namespace-list", *arguments))}
    assert rack.name in of_flavors
    assert of_flavors < listed


def test_md_namespace_objects_delete(glance: Client, rack: Definitions) -> None:
    glance.ok("md-namespace-objects-delete", rack.name)
    assert rack.show("/objects")["objects"] == []


def test_md_namespace_properties_delete(glance: Client, rack: Definitions) -> None:
    glance.ok("md-namespace-properties-delete", rack.name)
    assert rack.show("/properties")["properties"] == {}


def test_md_namespace_resource_type_list(glance: Client, rack: Definitions) -> None:
    assert sorted(rows(glance.ok("md-namespace-resource-type-list", rack.name))) == [
        ["OS::Cinder::Volume", "", "image"],
        ["OS::Nova::Flavor", "rack:", ""],
    ]


def test_md_namespace_show(glance: Client, rack: Definitions) -> None:
    shown = fields(glance.ok("md-namespace-show", rack.name))
    assert shown["display_name"] == "Rack hints"
    assert set(json.loads(shown["properties"])) == {"zone", "spare"}
    assert set(json.loads(shown["objects"])) == {"Power", "Cooling"}
    assert set(json.loads(shown["tags"])) == {"dc", "rack"}
    prefixed = fields(glance.ok("md-namespace-show", "--resource-type", "OS::Nova::Flavor", rack.name))
    assert set(json.loads(prefixed["properties"])) == {"rack:zone", "rack:spare"}


def test_md_namespace_tags_delete(glance: Client, rack: Definitions) -> None:
    glance.ok("md-namespace-tags-delete", rack.name)
    assert rack.tags() == set()


def test_md_namespace_update(glance: Client, rack: Definitions) -> None:
    """The command reads, changes and writes back the whole namespace, so what it does not name stays."""
    renamed = Definitions(rack.api, f"{rack.name}::Renamed")
    told = glance.ok(
        "md-namespace-update", rack.name, "--namespace", renamed.name, "--description", "E", "--protected", "True"
    )
    assert fields(told)["namespace"] == renamed.name
    assert rack.status() == 404
    stored = renamed.show()
    assert (stored["display_name"], stored["description"]) == ("Rack hints", "E")
    assert (stored["visibility"], stored["protected"]) == ("public", True)
    assert set(stored["properties"]) == {"zone", "spare"}
    renamed.unprotect()
    assert renamed("DELETE").status == 204


def test_md_object_create(glance: Client, rack: Definitions) -> None:
    schema = '{"required": ["key"], "properties": {"key": {"title": "Key", "type": "string"}}}'
    made = fields(glance.ok("md-object-create", "--name", "Doors", "--schema", schema, rack.name))
    assert (made["name"], json.loads(made["required"])) == ("Doors", ["key"])
    assert rack.show("/objects/Doors")["properties"]["key"]["title"] == "Key"


def test_md_object_delete(glance: Client, rack: Definitions) -> None:
    glance.ok("md-object-delete", rack.name, "Power")
    assert rack.status("/objects/Power") == 404
    assert "404" in glance.refused("md-object-delete", rack.name, "Power")


def test_md_object_list(glance: Client, rack: Definitions) -> None:
    assert {row[0] for row in rows(glance.ok("md-object-list", rack.name))} == {"Power", "Cooling"}


def test_md_object_property_show(glance: Client, rack: Definitions) -> None:
    shown = fields(glance.ok("md-object-property-show", rack.name, "Power", "feed"))
    assert (shown["name"], shown["type"], shown["minimum"]) == ("feed", "integer", "1")


def test_md_object_show(glance: Client, rack: Definitions) -> None:
    shown = fields(glance.ok("md-object-show", rack.name, "Power"))
    assert (shown["description"], json.loads(shown["properties"])) == ("Feeds", ["feed"])


def test_md_object_update(glance: Client, rack: Definitions) -> None:
    told = glance.ok("md-object-update", "--name", "Feeds", "--schema", '{"description": "X"}', rack.name, "Power")
    assert fields(told)["name"] == "Feeds"
    stored = rack.show("/objects/Feeds")
    assert (stored["description"], stored["required"], list(stored["properties"])) == ("X", ["feed"], ["feed"])
    assert rack.status("/objects/Power") == 404


def test_md_property_create(glance: Client, rack: Definitions) -> None:
    arguments = ("--name", "row", "--title", "Row", "--type", "string", "--schema", '{"enum": ["a", "b"]}')
    assert fields(glance.ok("md-property-create", *arguments, rack.name))["title"] == "Row"
    assert rack.show("/properties/row")["enum"] == ["a", "b"]


def test_md_property_delete(glance: Client, rack: Definitions) -> None:
    glance.ok("md-property-delete", rack.name, "zone")
    assert list(rack.show("/properties")["properties"]) == ["spare"]


def test_md_property_list(glance: Client, rack: Definitions) -> None:
    listed = rows(glance.ok("md-property-list", rack.name))
    assert sorted(listed) == [["spare", "Spare", "boolean"], ["zone", "Zone", "string"]]


def test_md_property_show(glance: Client, rack: Definitions) -> None:
    shown = fields(glance.ok("md-property-show", rack.name, "zone"))
    assert (shown["name"], shown["default"], json.loads(shown["enum"])) == ("zone", "a", ["a", "b"])


def test_md_property_update(glance: Client, rack: Definitions) -> None:
    arguments = ("--name", "area", "--title", "Area", "--schema", '{"enum": ["c"]}')
    assert fields(glance.ok("md-property-update", *arguments, rack.name, "zone"))["name"] == "area"
    stored = rack.show("/properties/area")
    assert (stored["title"], stored["enum"], stored["default"]) == ("Area", ["c"], "a")
    assert rack.status("/properties/zone") == 404


def test_md_resource_type_associate(glance: Client, rack: Definitions) -> None:
    arguments = ("--name", "OS::Nova::Server", "--prefix", "r:", "--properties-target", "metadata")
    made = fields(glance.ok("md-resource-type-associate", *arguments, rack.name))
    assert (made["name"], made["prefix"], made["properties_target"]) == ("OS::Nova::Server", "r:", "metadata")
    assert len(rack.show("/resource_types")["resource_type_associations"]) == 3
    assert "409" in glance.refused("md-resource-type-associate", *arguments, rack.name)


def test_md_resource_type_deassociate(glance: Client, rack: Definitions) -> None:
    glance.ok("md-resource-type-deassociate", rack.name, "OS::Nova::Flavor")
    stored = rack.show("/resource_types")["resource_type_associations"]
    assert [found["name"] for found in stored] == ["OS::Cinder::Volume"]


def test_md_resource_type_list(glance: Client, rack: Definitions) -> None:
    listed = {row[0] for row in rows(glance.ok("md-resource-type-list"))}
    assert listed >= {"OS::Nova::Flavor", "OS::Cinder::Volume", "OS::Glance::Image"}


def test_md_tag_create(glance: Client, rack: Definitions) -> None:
    assert fields(glance.ok("md-tag-create", "--name", "größe", rack.name))["name"] == "größe"
    assert rack.tags() == {"dc", "rack", "größe"}
    assert "409" in glance.refused("md-tag-create", "--name", "dc", rack.name)


def test_md_tag_create_multiple(glance: Client, rack: Definitions) -> None:
    made = glance.ok("md-tag-create-multiple", "--names", "one;two", "--delim", ";", rack.name)
    assert {row[0] for row in rows(made)} == {"one", "two"}
    assert rack.tags() == {"one", "two"}, "the new tags take the place of the old ones"


def test_md_tag_create_multiple_appending(glance: Client, rack: Definitions) -> None:
    """glanceclient 4.13 fails at encoding its own header, and asks the service for nothing."""
    ended = glance.run("md-tag-create-multiple", "--names", "one", "--append", rack.name)
    if ended.returncode:
        assert rack.tags() == {"dc", "rack"}
        answer = rack("POST", "/tags", {"tags": [{"name": "one"}]}, {"X-Openstack-Append": "True"})
        assert answer.status == 201, answer.text
    assert rack.tags() == {"dc", "rack", "one"}


def test_md_tag_delete(glance: Client, rack: Definitions) -> None:
    glance.ok("md-tag-delete", rack.name, "dc")
    assert rack.tags() == {"rack"}


def test_md_tag_list(glance: Client, rack: Definitions) -> None:
    assert {row[0] for row in rows(glance.ok("md-tag-list", rack.name))} == {"dc", "rack"}


def test_md_tag_show(glance: Client, rack: Definitions) -> None:
    assert fields(glance.ok("md-tag-show", rack.name, "dc"))["name"] == "dc"
    assert "404" in glance.refused("md-tag-show", rack.name, "nothing")


def test_md_tag_update(glance: Client, rack: Definitions) -> None:
    assert fields(glance.ok("md-tag-update", "--name", "hall", rack.name, "dc"))["name"] == "hall"
    assert rack.tags() == {"hall", "rack"}
