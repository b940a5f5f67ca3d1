"""Properties, objects, tags and associations of one namespace (metadefs 3.3 to 3.6, 5.2 to 5.5, 8 and 9)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from glimpse.db.sql.metadef_tables import metadef_objects, metadef_properties, metadef_tags
from tests.api.metadefs.examples import FULL_PROPERTY, Metadefs, prop


def rows(metadefs: Metadefs, table: Any) -> list[Any]:
    with metadefs.wire.rows() as connection:
        return connection.execute(table.select()).fetchall()


def change_rows(metadefs: Metadefs, statement: Any) -> None:
    with metadefs.wire.rows() as connection:
        connection.execute(statement)


def tags(rack: Metadefs, query: str = "") -> list[str]:
    return [tag["name"] for tag in rack.made("GET", f"/tags{query}")["tags"]]


def test_the_life_of_a_property(rack: Metadefs) -> None:
    answer = rack("POST", "/properties", FULL_PROPERTY)
    assert answer.status == 201
    assert list(answer.json.items()) == list(FULL_PROPERTY.items())
    assert rack.made("GET", "/properties/p") == FULL_PROPERTY
    # the inner name is that of metadefs 14, quirk 12
    assert rack.made("GET", "/properties") == {"properties": {"p": FULL_PROPERTY}}
    assert rack.status("POST", "/properties", FULL_PROPERTY) == 409
    assert rack.made("PUT", "/properties/p", prop(name="q")) == {"name": "q", "type": "string", "title": "T"}
    assert rack.status("GET", "/properties/p") == 404
    assert rack.status("PUT", "/properties/p", prop(name="p")) == 404
    assert rack.status("DELETE", "/properties/q") == 204
    assert rack.status("DELETE", "/properties/q") == 404
    assert rack.made("GET", "/properties") == {"properties": {}}
    assert rack.status("DELETE", "/properties") == 204


@pytest.mark.parametrize("path", ["/properties", "/objects"])
def test_renaming_onto_another_is_a_conflict(rack: Metadefs, path: str) -> None:
    """metadefs 14, quirk 18: Glance answers 500."""
    for name in ("a", "b"):
        rack.made("POST", path, prop(name=name) if path == "/properties" else {"name": name})
    document = prop(name="b") if path == "/properties" else {"name": "b"}
    assert rack.status("PUT", f"{path}/a", document) == 409
    assert rack.status("PUT", f"{path}/b", document) == 200


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ({"default": True}, {"default": "True"}), ({"default": False}, {"default": "False"}),
        ({"default": 5}, {"default": "5"}), ({"default": 1.5}, {"default": "1.5"}), ({"default": 0}, {"default": "0"}),
        ({"default": None}, {"default": None}), ({"default": [1]}, {"default": None}),
        ({"default": {"a": 1}}, {"default": None}), ({"default": "text"}, {"default": "text"}),
        ({"minimum": 1.5, "maximum": -1.5}, {"minimum": 1, "maximum": -1}), ({"maximum": 1e10}, {"maximum": 10**10}),
        ({"minLength": 1.0}, {"minLength": 1}), ({"enum": ["a", "a"]}, {"enum": ["a", "a"]}),
        ({"enum": []}, {"enum": []}),
        ({"pattern": "("}, {"pattern": "("}), ({"maximum": 10**30}, {"maximum": 10**30}),
    ],
)  # fmt: skip
def test_values_are_converted(rack: Metadefs, sent: dict[str, Any], shown: dict[str, Any]) -> None:
    """metadefs 3.6, wherever a definition can be."""
    base = {"type": "string", "title": "T"}
    assert rack.made("POST", "/properties", prop(name="p", **sent)) == {"name": "p", **base, **shown}
    assert rack.made("GET", "/properties/p") == {"name": "p", **base, **shown}
    made = rack.made("POST", "/objects", {"name": "o", "properties": {"p": prop(**sent)}})
    assert made["properties"]["p"] == {**base, **shown}
    assert rack.made("GET", "/objects/o")["properties"]["p"] == {**base, **shown}


@pytest.mark.parametrize(
    "wrong",
    [
        {"enum": [1, "a"]}, {"enum": [None]}, {"operators": [1]}, {"items": {}}, {"items": {"enum": ["a"]}},
        {"items": {"type": "string", "x": 1}}, {"items": []}, {"items": {"type": "string", "enum": [1]}},
        {"required": ["a"]}, {"required": []}, {"default": "ü"}, {"type": "null"}, {"type": None}, {"title": None},
        {"readonly": "true"}, {"minLength": -1}, {"minLength": 1.5}, {"maximum": "1"}, {"format": "x"},
        {"confidential": True}, {"self": "x"}, {"description": "\U0001f600"}, {"name": "n" * 81}, {"minimum": True},
        {"uniqueItems": 1}, {"additionalProperties": False},
    ],
)  # fmt: skip
def test_definitions_that_are_refused(rack: Metadefs, wrong: dict[str, Any]) -> None:
    """metadefs 3.4 and 3.6: Glance answers 500 to some of them."""
    assert rack.status("POST", "/properties", {**prop(name="p"), **wrong}) == 400
    assert rack.status("POST", "/objects", {"name": "o", "properties": {"p": {**prop(), **wrong}}}) == 400
    assert rack.made("GET", "/properties") == {"properties": {}}


def test_what_a_property_needs(rack: Metadefs) -> None:
    for missing in ("name", "title", "type"):
        document = {key: value for key, value in prop(name="p").items() if key != missing}
        assert rack.status("POST", "/properties", document) == 400
        assert rack.status("PUT", "/properties/p", document) == 400
    for key in ("created_at", "updated_at"):
        assert rack.status("POST", "/properties", {key: "x"}) == 403
        assert rack.status("POST", "/resource_types", {key: "x"}) == 403
        assert rack.status("PUT", "/tags/t", {key: "x"}) == 403
        assert rack.status("POST", "/tags", {key: "x"}) == 403
    for key in ("self", "schema", "created_at", "updated_at"):
        assert rack.status("POST", "/objects", {key: "x"}) == 403
    # these are no keys there at all (metadefs 14, quirk 4)
    assert rack.status("PUT", "/tags/t", {"name": "t", "self": "x"}) == 400
    assert rack.status("POST", "/resource_types", {"name": "t", "schema": "x"}) == 400


def test_confidential_gets_in_where_glance_lets_it(rack: Metadefs) -> None:
    """metadefs 3.4."""
    secret = prop(confidential=True)
    rack.made("POST", "/objects", {"name": "o"})
    made = rack.made("PUT", "/objects/o", {"name": "o", "properties": {"p": secret}})
    assert made["properties"]["p"]["confidential"] is True
    nested = Metadefs(rack.wire, "/v2/metadefs/namespaces").made(
        "POST", "", {"namespace": "m", "properties": {"p": secret}}
    )
    assert nested["properties"]["p"]["confidential"] is True


def test_what_glance_stored_is_shown(rack: Metadefs) -> None:
    """metadefs 3.6, 12.3 and 15: Glance crashes on some of its own rows."""
    rack.made("POST", "/properties", prop(name="p"))
    rack.made("POST", "/objects", {"name": "o"})
    raw = {"type": "boolean", "title": "T", "default": True, "minimum": 1.5, "enum": [1], "unknown": 1, "name": "other"}
    change_rows(rack, metadef_properties.update().values(json_schema=json.dumps(raw)))
    change_rows(rack, metadef_objects.update().values(json_schema="null", updated_at=None))
    expected = {"type": "boolean", "title": "T", "default": "True", "minimum": 1, "enum": ["1"]}
    assert rack.made("GET", "/properties/p") == {"name": "p", **expected}
    assert rack.made("GET", "/properties") == {"properties": {"p": {"name": "other", **expected}}}
    [found] = rack.made("GET", "/objects")["objects"]
    assert (found["properties"], found["required"], "updated_at" in found) == ({}, [], False)
    change_rows(rack, metadef_properties.update().values(json_schema=json.dumps({**raw, "default": "ü"})))
    assert rack.made("GET")["properties"]["p"]["default"] == "ü"
    assert rack.status("GET", "/objects/o") == 200


def test_a_property_by_its_name_on_a_resource_type(rack: Metadefs) -> None:
    """metadefs 8."""
    rack.made("POST", "/properties", prop(name="p"))
    rack.made("POST", "/resource_types", {"name": "OS::A", "prefix": "hw:"})
    rack.made("POST", "/resource_types", {"name": "OS::B"})
    assert rack.made("GET", "/properties/hw:p?resource_type=OS::A")["name"] == "p"
    assert rack.made("GET", "/properties/p?resource_type=")["name"] == "p"
    for missing in (
        "p?resource_type=OS::A",
        "hw:q?resource_type=OS::A",
        "p?resource_type=OS::B",
        "p?resource_type=none",
    ):
        assert rack.status("GET", f"/properties/{missing}") == 404
    # a 500 of Glance (metadefs 5.3)
    assert rack.status("GET", "/properties/p?foo=1") == 200


def test_the_life_of_an_object(rack: Metadefs) -> None:
    document = {"name": "o", "description": "d", "required": ["b", "a,c"], "properties": {"b": prop()}}
    made = rack.made("POST", "/objects", document)
    assert list(made) == ["name", "description", "required", "properties", "created_at", "updated_at", "self", "schema"]
    assert {key: made[key] for key in document} == {**document, "properties": {"b": {"type": "string", "title": "T"}}}
    assert made["self"] == "/v2/metadefs/namespaces/Acme::Rack/objects/o"
    # joined by commas in the row
    assert rack.made("GET", "/objects/o") == {**made, "required": ["b", "a", "c"]}
    assert rack.status("POST", "/objects", {"name": "o"}) == 409
    assert set(rack.made("POST", "/objects", {"name": "bare"})) == {
        "name",
        "created_at",
        "updated_at",
        "self",
        "schema",
    }
    listed = rack.made("GET", "/objects")
    assert listed["schema"] == "v2/schemas/metadefs/objects"
    assert [one["name"] for one in listed["objects"]] == ["o", "bare"]
    changed = rack.made("PUT", "/objects/o", {"name": "new"})
    assert (changed["self"], changed["updated_at"]) == (
        "/v2/metadefs/namespaces/Acme::Rack/objects/new",
        made["updated_at"],
    )
    assert rack.made("GET", "/objects/new") == {**changed, "required": [], "properties": {}} | {
        "updated_at": rack.made("GET", "/objects/new")["updated_at"]
    }
    assert rack.status("GET", "/objects/o") == 404
    assert rack.status("PUT", "/objects/o", {"name": "o"}) == 404
    assert rack.status("DELETE", "/objects/new") == 204
    assert rack.status("DELETE", "/objects") == 204
    assert rack.made("GET", "/objects")["objects"] == []


@pytest.mark.parametrize(
    "wrong",
    [
        {}, {"name": "o", "required": ["a", "a"]}, {"name": "o", "required": "a"}, {"name": "o", "properties": []},
        {"name": "o", "required": ["\U0001f600"]}, {"name": "o", "properties": {"\U0001f600": prop()}},
        {"name": "o", "properties": {"p": {"unknown": 1, **prop()}}}, {"name": "o" * 81}, {"name": "o", "x": 1},
        {"name": "o", "description": "x" * 70000},
    ],
)  # fmt: skip
def test_objects_that_are_refused(rack: Metadefs, wrong: dict[str, Any]) -> None:
    """metadefs 2.1, 3.5 and 5.2: Glance answers 500 to unknown keys in a PUT."""
    rack.made("POST", "/objects", {"name": "there"})
    assert rack.status("POST", "/objects", wrong) == 400
    assert rack.status("PUT", "/objects/there", wrong) == 400


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("limit=1", 200), ("marker=x&sort_key=y", 200), ("limit=0", 400), ("limit=x", 400), ("sort_dir=up", 400),
        ("visibility=shared", 200), ("visibility=x", 400),
    ],
)  # fmt: skip
def test_parameters_of_an_object_list_have_no_effect(rack: Metadefs, query: str, status: int) -> None:
    """metadefs 6.2."""
    for name in ("a", "b"):
        rack.made("POST", "/objects", {"name": name})
    answer = rack("GET", f"/objects?{query}")
    assert answer.status == status
    if status == 200:
        assert [one["name"] for one in answer.json["objects"]] == ["a", "b"]


def test_the_life_of_a_tag(rack: Metadefs) -> None:
    made = rack.made("POST", "/tags/t")
    assert list(made) == ["name", "created_at", "updated_at"]
    assert rack.status("POST", "/tags/t") == 409
    assert rack.made("GET", "/tags/t") == made
    assert rack.made("PUT", "/tags/t", {"name": "u"}) == {**made, "name": "u"}
    assert rack.status("GET", "/tags/t") == 404
    rack.made("POST", "/tags/v")
    assert rack.status("PUT", "/tags/v", {"name": "u"}) == 409
    assert rack.status("POST", "/tags/" + "t" * 81) == 400
    assert rack.status("DELETE", "/tags/u") == 204
    assert rack.status("DELETE", "/tags/u") == 404
    assert rack.made("POST", "/tags/ü")["name"] == "ü"
    assert rack.made("GET", "/tags/ü")["name"] == "ü"
    assert rack.status("DELETE", "/tags") == 204
    assert tags(rack) == []


def test_many_tags_at_once(rack: Metadefs) -> None:
    """metadefs 9."""
    append = {"X-Openstack-Append": "True"}

    def send(*names: str, headers: dict[str, str] | None = None) -> int:
        return rack("POST", "/tags", {"tags": [{"name": name} for name in names]}, headers).status

    assert rack.made("POST", "/tags", {"tags": [{"name": "a"}, {"name": "b"}]}) == {
        "tags": [{"name": "a"}, {"name": "b"}]
    }
    assert tags(rack) == ["b", "a"]
    assert send("c", headers=append) == 201
    assert tags(rack) == ["c", "b", "a"]
    assert send("d", "d") == 409
    assert send("d", "a", headers=append) == 409
    assert send() == 201
    assert send("x" * 81) == 400
    assert send("\U0001f600", headers=append) == 400
    assert tags(rack) == ["c", "b", "a"]
    assert send("z", headers={"X-Openstack-Append": "False"}) == 201
    assert tags(rack) == ["z"]
    # the empty document is a 500 of Glance
    for wrong in ({}, {"tags": [{}]}, {"tags": [{"name": "n", "x": 1}]}, {"tags": {}}, {"tags": [], "x": 1}):
        assert rack.status("POST", "/tags", wrong) == 400


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", "cba"), ("?limit=2", "cb"), ("?limit=", "cba"), ("?limit=0", ""), ("?marker=c", "ba"), ("?marker=", "cba"),
        ("?sort_key=name&sort_dir=asc", "abc"), ("?sort_key=name&sort_dir=asc&marker=a&limit=1", "b"),
        ("?visibility=shared", "cba"), ("?sort_key=namespace_id&sort_dir=asc", "abc"),
    ],
)  # fmt: skip
def test_pages_of_tags(rack: Metadefs, query: str, found: str) -> None:
    """metadefs 6.3."""
    rack.made("POST", "/tags", {"tags": [{"name": name} for name in "abc"]})
    assert tags(rack, query) == list(found)


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("limit=-1", 400),
        ("limit=x", 400),
        ("sort_dir=x", 400),
        ("sort_key=x", 400),
        ("visibility=x", 400),
        ("marker=x", 404),
    ],
)
def test_pages_of_tags_that_are_refused(rack: Metadefs, query: str, status: int) -> None:
    """metadefs 5.4: Glance answers 500 to unknown keys of the order."""
    assert rack.status("GET", f"/tags?{query}") == status


def test_associations(rack: Metadefs) -> None:
    made = rack.made("POST", "/resource_types", {"name": "OS::A", "prefix": "hw_", "properties_target": "image"})
    assert list(made) == ["name", "prefix", "properties_target", "created_at", "updated_at"]
    assert rack.made("GET", "/resource_types") == {"resource_type_associations": [made]}
    assert rack.status("POST", "/resource_types", {"name": "OS::A"}) == 409
    assert rack.made("POST", "/resource_types", {"name": "OS::B", "prefix": ""})["prefix"] == ""
    for wrong in ({}, {"name": "r" * 81}, {"name": "r", "prefix": "\U0001f600"}, {"name": "r", "x": 1}):
        assert rack.status("POST", "/resource_types", wrong) == 400
    assert rack.status("DELETE", "/resource_types/os::a") == 404
    assert rack.status("DELETE", "/resource_types/OS::A") == 204
    assert rack.status("DELETE", "/resource_types/OS::A") == 404
    listed = rack.wire("GET", "/v2/metadefs/resource_types?limit=1").json["resource_types"]
    assert [list(one) for one in listed] == [["name", "created_at", "updated_at"]] * 2


def test_a_property_named_like_a_resource_type(rack: Metadefs) -> None:
    """As tempest has it (metadefs 13.4)."""
    rack.made("POST", "/properties", prop(name="OS::Glance::Image"))
    assert rack.made("GET", "/properties/OS::Glance::Image")["name"] == "OS::Glance::Image"


def test_protection(rack: Metadefs) -> None:
    """metadefs 4.4."""
    rack.made("POST", "/properties", prop(name="p"))
    rack.made("POST", "/objects", {"name": "o"})
    rack.made("POST", "/tags/t")
    rack.made("POST", "/resource_types", {"name": "R"})
    rack.made("PUT", "", {"namespace": "Acme::Rack", "visibility": "public", "protected": True})
    there = ("", "/objects", "/properties", "/tags", "/objects/o", "/properties/p", "/tags/t", "/resource_types/R")
    for path in there:
        assert rack.status("DELETE", path) == 403, path
    for path in ("/objects/x", "/properties/x", "/tags/x", "/resource_types/x"):
        assert rack.status("DELETE", path) == 404, path
    rack.made("PUT", "/objects/o", {"name": "o2"})
    rack.made("POST", "/tags", {"tags": [{"name": "other"}]})
    assert [row.name for row in rows(rack, metadef_tags)] == ["other"]
    rack.made("PUT", "", {"namespace": "Acme::Rack", "protected": False})
    assert rack.status("DELETE") == 204
