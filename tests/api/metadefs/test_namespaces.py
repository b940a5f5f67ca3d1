"""Namespaces, with and without content (metadefs 3.1, 5.1, 6.1 and 7)."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

import pytest

from glimpse.db.sql.metadef_tables import metadef_namespaces
from tests.api.metadefs.examples import NAMESPACES, RACK, Metadefs, prop

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
TIMES = ("created_at", "updated_at")


def without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_times(item) for key, item in value.items() if key not in TIMES}
    return [without_times(item) for item in value] if isinstance(value, list) else value


def names(metadefs: Metadefs, query: str = "") -> list[str]:
    return [one["namespace"] for one in metadefs.made("GET", query)["namespaces"]]


def test_nested_creation_answers_what_was_sent(metadefs: Metadefs) -> None:
    """The example of metadefs 5.7, field by field and in its order."""
    answer = metadefs("POST", "", RACK)
    assert answer.status == 201
    assert answer.headers["location"] == "http://img.example.net/v2/metadefs/namespaces/Acme::Rack"
    assert answer.headers["content-type"] == "application/json"
    made = answer.json
    assert list(made) == [
        "namespace", "display_name", "visibility", "protected", "owner", "created_at", "updated_at",
        "resource_type_associations", "properties", "objects", "tags", "self", "schema",
    ]  # fmt: skip
    assert TIME.fullmatch(made["created_at"])
    assert made["created_at"] == made["updated_at"]
    assert without_times(made) == {
        **RACK,
        "protected": False,
        "owner": "admin",
        "properties": {
            "zone": {"type": "string", "title": "Zone", "default": "a", "enum": ["a", "b"]},
            "spare": {"type": "boolean", "title": "Spare", "default": "False"},
        },
        "self": "/v2/metadefs/namespaces/Acme::Rack",
        "schema": "/v2/schemas/metadefs/namespace",
    }
    assert list(made["properties"]["zone"]) == ["type", "title", "default", "enum"]
    assert made["objects"] == RACK["objects"]


def test_shown_with_all_that_is_in_it(metadefs: Metadefs) -> None:
    metadefs.made("POST", "", RACK)
    shown = metadefs.made("GET", "/Acme::Rack")
    assert [one["name"] for one in shown["tags"]] == ["rack", "dc"]
    assert shown["tags"][0] == {"name": "rack"}
    assert set(shown["properties"]) == {"zone", "spare"}
    [power] = shown["objects"]
    assert list(power) == ["name", "required", "properties", "created_at", "updated_at", "self", "schema"]
    assert power["self"] == "/v2/metadefs/namespaces/Acme::Rack/objects/Power"
    assert power["schema"] == "/v2/schemas/metadefs/object"
    by_name = {one["name"]: one for one in shown["resource_type_associations"]}
    assert list(by_name["OS::Nova::Flavor"]) == ["name", "prefix", "created_at", "updated_at"]
    assert without_times(by_name["OS::Cinder::Volume"]) == {"name": "OS::Cinder::Volume", "properties_target": "image"}


def test_names_as_a_resource_type_has_them(metadefs: Metadefs) -> None:
    """metadefs 8."""
    metadefs.made("POST", "", RACK)
    prefixed = metadefs.made("GET", "/Acme::Rack?resource_type=OS::Nova::Flavor")
    assert set(prefixed["properties"]) == {"rack:zone", "rack:spare"}
    [power] = prefixed["objects"]
    assert (power["required"], list(power["properties"])) == (["rack:feed"], ["rack:feed"])
    plain = metadefs.made("GET", "/Acme::Rack")
    for other in ("OS::Cinder::Volume", "os::nova::flavor", "None", ""):
        assert metadefs.made("GET", f"/Acme::Rack?resource_type={other}") == plain


@pytest.mark.parametrize("query", ["foo=1", "visibility=public", "id_list=1&limit=x"])
def test_unknown_parameters_of_a_show_are_ignored(rack: Metadefs, query: str) -> None:
    """metadefs 5.1; metadefs 14, quirk 15: Glance answers 500."""
    assert rack.status("GET", f"?{query}") == 200
    assert rack.status("GET", "?visibility=shared") == 400


def test_defaults_and_what_is_left_out(metadefs: Metadefs) -> None:
    made = metadefs.made("POST", "", {"namespace": "n"})
    assert without_times(made) == {
        "namespace": "n", "visibility": "private", "protected": False, "owner": "admin",
        "self": "/v2/metadefs/namespaces/n", "schema": "/v2/schemas/metadefs/namespace",
    }  # fmt: skip
    assert metadefs.made("GET", "/n") == made
    empty: dict[str, Any] = {"properties": {}, "objects": [], "tags": [], "resource_type_associations": []}
    made = metadefs.made("POST", "", {"namespace": "m", **empty})
    assert {key: made[key] for key in empty} == empty
    assert not set(empty) & set(metadefs.made("GET", "/m"))


@pytest.mark.parametrize(
    "document",
    [
        {}, {"namespace": None}, {"namespace": 1}, {"namespace": "n" * 81},
        {"namespace": "n", "display_name": "d" * 81},
        {"namespace": "n", "description": "d" * 501}, {"namespace": "n", "owner": "o" * 256},
        {"namespace": "n", "visibility": "shared"}, {"namespace": "n", "protected": 1}, {"namespace": "n", "colour": 1},
        {"namespace": "n", "display_name": None}, {"namespace": "n\U0001f600"},
        {"namespace": "n", "description": "\U0001f600"}, {"namespace": "n", "properties": {"p": {"title": "T"}}},
    ],
)  # fmt: skip
def test_documents_that_are_refused(metadefs: Metadefs, document: dict[str, Any]) -> None:
    assert metadefs.status("POST", "", document) == 400
    metadefs.made("POST", "", {"namespace": "there"})
    assert metadefs.status("PUT", "/there", document) == 400
    assert names(metadefs) == ["there"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"1", b"null", b'"a"'])
def test_bodies_that_are_refused(metadefs: Metadefs, body: bytes) -> None:
    """metadefs 2.1: Glance answers 500 to an array."""
    for method, path in (("POST", ""), ("PUT", "/n"), ("POST", "/n/tags"), ("POST", "/n/objects")):
        answer = metadefs.wire(method, NAMESPACES + path, body, {"Content-Type": "text/plain"})
        assert answer.status == 400


@pytest.mark.parametrize("key", ["self", "schema", "created_at", "updated_at"])
def test_read_only_keys_are_forbidden_before_the_schema_counts(metadefs: Metadefs, key: str) -> None:
    assert metadefs.status("POST", "", {"nonsense": 1, key: 1}) == 403
    assert metadefs.status("PUT", "/unknown", {"namespace": "n", key: "x"}) == 403


@pytest.mark.parametrize(
    "nested",
    [
        {"objects": [{"description": "no name"}]}, {"tags": [{}]}, {"resource_type_associations": [{"prefix": "p"}]},
        {"objects": [{"name": "o", "colour": 1}]}, {"tags": [{"name": "t", "colour": 1}]},
        {"tags": [{"name": "t" * 81}]}, {"objects": [{"name": "o" * 81}]},
        {"resource_type_associations": [{"name": "r" * 81}]}, {"properties": {"p" * 81: prop()}},
        {"tags": [{"name": "\U0001f600"}]}, {"resource_type_associations": [{"name": "\U0001f600"}]},
        {"objects": [{"name": "o", "properties": {"\U0001f600": prop()}}]},
        {"properties": {"p": prop(default="ü")}}, {"properties": {"p": prop(enum=[1])}},
        {"properties": {"p": prop(items={})}}, {"properties": {"p": prop(required=["a"])}},
        {"properties": {"p": prop(description="\U0001f600")}},
    ],
)  # fmt: skip
def test_what_cannot_be_nested_leaves_nothing(metadefs: Metadefs, nested: dict[str, Any]) -> None:
    """metadefs 7: Glance answers 500, or leaves the namespace behind."""
    assert metadefs.status("POST", "", {"namespace": "n", **nested}) == 400
    assert metadefs.status("GET", "/n") == 404


@pytest.mark.parametrize(
    "nested",
    [
        {"objects": [{"name": "o"}, {"name": "o"}]},
        {"tags": [{"name": "t"}, {"name": "t"}]},
        {"resource_type_associations": [{"name": "new"}, {"name": "new"}]},
    ],
)
@pytest.mark.parametrize("protected", [False, True])
def test_a_name_twice_leaves_nothing(metadefs: Metadefs, nested: dict[str, Any], protected: bool) -> None:
    """metadefs 7: Glance leaves a protected namespace with a part of its content."""
    document = {"namespace": "n", "protected": protected, "properties": {"p": prop()}, **nested}
    assert metadefs.status("POST", "", document) == 409
    assert metadefs.status("GET", "/n") == 404
    assert metadefs.wire("GET", "/v2/metadefs/resource_types").json == {"resource_types": []}
    metadefs.made("POST", "", {"namespace": "n"})


def test_the_answer_of_a_show_can_be_sent_again(metadefs: Metadefs) -> None:
    """metadefs 7: Glance answers 500 to objects with ``self``, and leaves the namespace."""
    metadefs.made("POST", "", RACK)
    shown = metadefs.made("GET", "/Acme::Rack")
    again = {key: value for key, value in shown.items() if key not in {"self", "schema", *TIMES}}
    again["namespace"] = "Acme::Copy"
    metadefs.made("POST", "", again)
    copied = metadefs.made("GET", "/Acme::Copy")
    assert copied["properties"] == shown["properties"]
    assert copied["objects"][0]["properties"] == shown["objects"][0]["properties"]
    assert copied["objects"][0]["self"] == "/v2/metadefs/namespaces/Acme::Copy/objects/Power"


def test_a_name_that_is_taken(metadefs: Metadefs) -> None:
    metadefs.made("POST", "", RACK)
    assert metadefs.status("POST", "", {"namespace": "Acme::Rack"}) == 409
    assert metadefs.made("GET", "/Acme::Rack")["display_name"] == "Rack hints"


def test_an_update_replaces_every_field_and_nothing_nested(metadefs: Metadefs) -> None:
    """metadefs 5.1; metadefs 14, quirk 1. Horizon sends the whole namespace back (metadefs 13.1)."""
    metadefs.made("POST", "", {**RACK, "protected": True, "owner": "somebody", "description": "d"})
    shown = metadefs.made("GET", "/Acme::Rack")
    whole = {key: value for key, value in shown.items() if key not in {"self", "schema", *TIMES}}
    changed = metadefs.made("PUT", "/Acme::Rack", {**whole, "description": "new", "tags": [{"name": "other"}]})
    assert (changed["description"], changed["owner"], changed["updated_at"]) == ("new", "somebody", shown["updated_at"])
    assert "tags" not in changed
    assert [tag["name"] for tag in metadefs.made("GET", "/Acme::Rack")["tags"]] == ["rack", "dc"]

    reset = metadefs.made("PUT", "/Acme::Rack", {"namespace": "Acme::Rack", "owner": ""})
    assert without_times(reset) == {
        "namespace": "Acme::Rack", "visibility": "private", "protected": False, "owner": "admin",
        "self": "/v2/metadefs/namespaces/Acme::Rack", "schema": "/v2/schemas/metadefs/namespace",
    }  # fmt: skip


def test_an_update_renames(metadefs: Metadefs) -> None:
    metadefs.made("POST", "", RACK)
    metadefs.made("POST", "", {"namespace": "taken"})
    assert metadefs.status("PUT", "/Acme::Rack", {"namespace": "taken"}) == 409
    assert metadefs.made("PUT", "/Acme::Rack", {"namespace": "new"})["self"].endswith("/new")
    assert metadefs.status("GET", "/Acme::Rack") == 404
    assert len(metadefs.made("GET", "/new")["tags"]) == 2


def test_nested_keys_that_nobody_knows_are_ignored_by_an_update(rack: Metadefs) -> None:
    """metadefs 5.1: Glance answers 500."""
    assert rack.status("PUT", "", {"namespace": "Acme::Rack", "tags": [{"name": "t", "colour": 1}]}) == 200


def test_deletion_takes_everything_but_resource_types(metadefs: Metadefs) -> None:
    metadefs.made("POST", "", RACK)
    answer = metadefs("DELETE", "/Acme::Rack")
    assert (answer.status, answer.body) == (204, b"")
    assert metadefs.status("GET", "/Acme::Rack") == 404
    assert metadefs.status("DELETE", "/Acme::Rack") == 404
    types = metadefs.wire("GET", "/v2/metadefs/resource_types").json["resource_types"]
    assert {one["name"] for one in types} == {"OS::Nova::Flavor", "OS::Cinder::Volume"}
    assert metadefs.status("POST", "", RACK) == 201


def test_names_in_utf8_can_be_reached(metadefs: Metadefs) -> None:
    """metadefs 2.1 and 2.3: Glance reads paths as Latin-1."""
    answer = metadefs("POST", "", {"namespace": "Grüße 雪"})
    assert answer.headers["location"].endswith("/Gr%C3%BC%C3%9Fe%20%E9%9B%AA")
    assert metadefs.made("GET", "/Grüße 雪")["self"] == "/v2/metadefs/namespaces/Grüße 雪"
    assert "Grüße 雪".encode() in metadefs("GET").body


def test_rows_of_glances_loader(metadefs: Metadefs) -> None:
    """metadefs 12.2 and 15: ``updated_at``, ``visibility`` and ``protected`` are NULL."""
    metadefs.made("POST", "", {"namespace": "n"})
    with metadefs.wire.rows() as connection:
        connection.execute(metadef_namespaces.update().values(updated_at=None, visibility=None, protected=None))
    shown = metadefs.made("GET", "/n")
    assert "updated_at" not in shown
    assert (shown["visibility"], shown["protected"]) == ("private", False)
    assert names(metadefs, "?visibility=private") == []


@pytest.fixture
def five(metadefs: Metadefs) -> Metadefs:
    """Namespaces a to e; b and d are private, c is about a flavor and an image, d about an image."""
    flavor, image = {"name": "flavor", "prefix": "f_"}, {"name": "image"}
    for name, visibility, types in (
        ("a", "public", []), ("b", "private", []), ("c", "public", [flavor, image]), ("d", "private", [image]),
        ("e", "public", []),
    ):  # fmt: skip
        document = {
            "namespace": name,
            "visibility": visibility,
            "resource_type_associations": types,
            "tags": [{"name": "t"}],
        }
        metadefs.made("POST", "", document)
    return metadefs


def test_a_list_has_associations_and_nothing_else_of_the_content(five: Metadefs) -> None:
    page = five.made("GET")
    assert list(page) == ["namespaces", "schema", "first"]
    assert (page["schema"], page["first"]) == ("/v2/schemas/metadefs/namespaces", NAMESPACES)
    assert [one["namespace"] for one in page["namespaces"]] == ["e", "d", "c", "b", "a"]
    associated = [one for one in page["namespaces"] if "resource_type_associations" in one]
    assert [one["namespace"] for one in associated] == ["d", "c"]
    assert TIME.fullmatch(associated[0]["resource_type_associations"][0]["created_at"])
    assert not {"properties", "objects", "tags"} & set(page["namespaces"][0])


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("?sort_key=namespace&sort_dir=asc", "abcde"), ("?sort_key=namespace", "edcba"), ("?sort_dir=asc", "abcde"),
        ("?visibility=public", "eca"), ("?visibility=private", "db"), ("?visibility=", ""),
        ("?resource_types=flavor", "c"), ("?resource_types=flavor,image", "dc"), ("?resource_types=", ""),
        ("?resource_types=none", ""), ("?resource_types=image&visibility=public", "c"), ("?limit=0", ""),
        ("?limit=2", "ed"), ("?marker=c", "ba"), ("?limit=1&marker=c", "b"), ("?properties_target=x", "edcba"),
        ("?id_list=1", "edcba"), ("?limit=99999999999999999999", "edcba"), ("?sort_key=id", "edcba"),
        ("?sort_key=display_name&sort_dir=asc", "abcde"), ("?sort_key=protected", "edcba"),
    ],
)  # fmt: skip
def test_filters_and_order(five: Metadefs, query: str, found: str) -> None:
    """``id_list`` is a 500 of Glance (metadefs 6.1)."""
    assert names(five, query) == list(found)


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("limit=-1", 400), ("limit=x", 400), ("limit=", 400), ("sort_dir=up", 400), ("sort_key=name", 400),
        ("sort_key=namespace,id", 400), ("visibility=shared", 400), ("marker=unknown", 404), ("marker=", 404),
        ("marker=%F0%9F%98%80", 404), ("marker=%FF", 400), ("&".join(["a=1"] * 200), 400),
    ],
)  # fmt: skip
def test_lists_that_are_refused(five: Metadefs, query: str, status: int) -> None:
    """metadefs 6.1: Glance answers 500 to ``limit=x`` and to unknown keys of the order."""
    assert five.status("GET", f"?{query}") == status


@pytest.mark.parametrize("order", ["sort_dir=asc", "sort_dir=desc"])
@pytest.mark.parametrize("key", ["visibility", "protected", "display_name", "updated_at", "created_at"])
def test_pages_over_null_lose_nothing(five: Metadefs, key: str, order: str) -> None:
    """metadefs 6.1: Glance drops rows where a page ends at NULL."""
    with five.wire.rows() as connection:
        change = metadef_namespaces.update().where(metadef_namespaces.c.namespace.in_(["b", "d"]))
        connection.execute(change.values(**({key: None} if key != "created_at" else {"description": "d"})))
    target, seen = f"{NAMESPACES}?limit=1&sort_key={key}&{order}", []
    while target:
        page = five.wire("GET", target).json
        seen += [one["namespace"] for one in page["namespaces"]]
        target = page.get("next")
    assert sorted(seen) == list("abcde")


def test_links(five: Metadefs) -> None:
    """metadefs 6.1; a full last page leads to an empty one."""
    query = "?limit=2&resource_types=OS::x,image&marker=e&x=a%20b"
    page = five.made("GET", query)
    assert page["first"] == f"{NAMESPACES}?limit=2&resource_types=OS%3A%3Ax%2Cimage&x=a+b"
    assert page["next"] == f"{page['first']}&marker=c"
    last = five.wire("GET", page["next"]).json
    assert (last["namespaces"], "next" in last) == ([], False)


def test_horizons_table(five: Metadefs) -> None:
    """metadefs 13.1."""
    first = five.made("GET", "?limit=3&sort_key=namespace&sort_dir=asc")
    assert [one["namespace"] for one in first["namespaces"]] == ["a", "b", "c"]
    assert names(five, "?limit=3&sort_key=namespace&sort_dir=desc&marker=d") == ["c", "b", "a"]
    assert names(five, "?limit=1000&sort_key=namespace&sort_dir=asc&resource_types=image&properties_target=x") == [
        "c",
        "d",
    ]


def test_methods_and_paths(rack: Metadefs) -> None:
    """metadefs 2.1."""
    answer = rack("PATCH")
    assert (answer.status, answer.headers["allow"]) == (405, "DELETE, GET, PUT")
    assert rack.status("HEAD") == 405
    assert rack.status("GET", "/") == 404
    assert rack.status("GET", "/tags/") == 404
    assert rack.wire("GET", "/v2/metadefs").status == 404
    assert rack.wire("POST", "/v2/metadefs/resource_types", json_body={}).status == 405
    assert rack.status("GET", "/resource_types/" + quote("OS::x")) == 405


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "", 400), ("DELETE", "", 400), ("GET", "/properties", 400), ("GET", "/resource_types", 400),
        ("GET", "/objects/o", 400), ("DELETE", "/objects/o", 400), ("GET", "/tags/t", 400), ("POST", "/tags/t", 400),
        ("DELETE", "/tags/t", 400), ("DELETE", "/resource_types/r", 400), ("DELETE", "/properties/p", 400),
        ("DELETE", "/properties", 400), ("DELETE", "/objects", 400), ("DELETE", "/tags", 400),
        ("GET", "/objects", 400), ("GET", "/tags", 400), ("GET", "/properties/p", 400),
    ],
)  # fmt: skip
def test_bodies_where_none_is_taken(rack: Metadefs, method: str, path: str, status: int) -> None:
    """Glance ignores some of them and answers 500 to others (metadefs 2.1)."""
    assert rack.status(method, path, {"a": 1}) == status


def test_a_list_takes_no_body(metadefs: Metadefs) -> None:
    assert metadefs.status("GET", "", {"a": 1}) == 400
