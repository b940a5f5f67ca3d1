"""Horizon's requests (metadefs 13.1) without Horizon: plain HTTP to a real service."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest

from tests.interop.metadef_requests import Definitions, request
from tests.support.raw_http import Api
from tests.support.service import Service

#: Rows of a page of Horizon's tables, and one more to see whether there is another page.
PAGE = 20
READ_ONLY = ("self", "schema", "created_at", "updated_at")
RESOURCE_TYPES = (
    "OS::Nova::Aggregate", "OS::Nova::Flavor", "OS::Glance::Image", "OS::Nova::Server", "OS::Cinder::Volume",
    "OS::Cinder::Snapshot", "OS::Cinder::VolumeType", "OS::Cinder::Volumes",
)  # fmt: skip


@pytest.fixture
def api(service: Service) -> Api:
    return Api(service.port)


def listed(api: Api, **query: object) -> list[dict[str, Any]]:
    answer = request(api, "GET", f"namespaces?{urlencode(query)}")
    assert answer.status == 200, answer.text
    return answer.json["namespaces"]


def test_the_table_is_paged_forth_and_back(api: Api, rack: Definitions) -> None:
    order = sorted(rack.names())
    forth: list[str] = []
    query: dict[str, object] = {"limit": PAGE + 1, "sort_key": "namespace", "sort_dir": "asc"}
    while True:
        page = [entry["namespace"] for entry in listed(api, **query)]
        forth += page[:PAGE]
        if len(page) <= PAGE:
            break
        query["marker"] = page[PAGE - 1]
    assert forth == order
    assert len(order) > PAGE
    # the page before is asked for in the other direction, from the first row of this one
    back = [
        entry["namespace"]
        for entry in listed(api, limit=PAGE + 1, sort_key="namespace", sort_dir="desc", marker=order[PAGE])
    ]
    assert back == order[:PAGE][::-1]


def test_the_table_shows_what_it_needs(api: Api, rack: Definitions) -> None:
    (entry,) = [entry for entry in listed(api, limit=1000) if entry["namespace"] == rack.name]
    assert (entry["display_name"], entry["description"]) == ("Rack hints", "Where a server is put.")
    assert (entry["visibility"], entry["protected"]) == ("public", False)
    assert {found["name"] for found in entry["resource_type_associations"]} == {
        "OS::Nova::Flavor",
        "OS::Cinder::Volume",
    }
    for entry in listed(api, limit=1000):
        assert entry["display_name"], "an absent one breaks the order of the tree"
        assert all(one["name"] for one in entry.get("resource_type_associations", ()))


def test_the_table_filters_by_resource_type(api: Api, rack: Definitions) -> None:
    query = {"limit": PAGE + 1, "sort_key": "namespace", "sort_dir": "asc"}
    found = [entry["namespace"] for entry in listed(api, resource_types="OS::Cinder::Volume", **query)]
    assert rack.name in found
    assert "OS::Glance::CommonImageProperties" in rack.names() - set(found)


def test_a_namespace_is_imported(api: Api, rack: Definitions) -> None:
    """The form drops four keys of the file and says what is visible and protected; all else is sent as it is.

    The parts have their times, and objects their links, as another installation showed them.
    """
    exported = rack.show()
    assert rack("DELETE").status == 204
    document = {
        key: value for key, value in exported.items() if key not in {"created_at", "updated_at", "owner", "schema"}
    }
    document |= {"visibility": "public", "protected": False}
    answer = request(api, "POST", "namespaces", document)
    # Horizon leaves the link of the namespace in, which is read-only (metadefs 14, quirk 4); whoever exports drops it
    assert answer.status == 403
    del document["self"]
    answer = request(api, "POST", "namespaces", document)
    assert answer.status == 201, answer.text
    imported = rack.show()
    assert imported["properties"] == exported["properties"]
    assert {one["name"] for one in imported["objects"]} == {"Power", "Cooling"}
    assert rack.tags() == {"dc", "rack"}


def test_a_namespace_is_edited_by_writing_all_of_it_back(rack: Definitions) -> None:
    """Objects with their links and times, properties, associations and tags come along, and are ignored."""
    fetched = rack.show()
    document = {key: value for key, value in fetched.items() if key not in READ_ONLY}
    assert document["objects"][0]["self"]
    assert document["tags"]
    assert rack("PUT", "", {**document, "display_name": "Edited", "protected": True}).status == 200
    changed = rack.show()
    assert (changed["display_name"], changed["protected"]) == ("Edited", True)
    for part in ("objects", "properties", "resource_type_associations", "description", "visibility", "owner"):
        assert changed[part] == fetched[part]
    assert rack.tags() == {"dc", "rack"}


def test_a_namespace_is_deleted(rack: Definitions) -> None:
    assert rack("DELETE").status == 204
    assert rack.status() == 404


def test_associations_are_replaced(api: Api, rack: Definitions) -> None:
    """Every present one is removed, every chosen one is added as it was read, without its times."""
    offered = {found["name"] for found in request(api, "GET", "resource_types").json["resource_types"]}
    assert {"OS::Nova::Flavor", "OS::Glance::Image", "OS::Nova::Server"} <= offered
    present = rack.show("/resource_types")["resource_type_associations"]
    chosen = [
        {key: one[key] for key in one if key not in {"created_at", "updated_at"}}
        for one in present
        if one["name"] == "OS::Nova::Flavor"
    ] + [{"name": "OS::Nova::Server", "prefix": "", "properties_target": "metadata"}]
    for one in present:
        assert rack("DELETE", f"/resource_types/{one['name']}").status == 204
    for one in chosen:
        assert rack("POST", "/resource_types", one).status == 201
    stored = rack.show("/resource_types")["resource_type_associations"]
    assert {(one["name"], one.get("prefix"), one.get("properties_target")) for one in stored} == {
        ("OS::Nova::Flavor", "rack:", None),
        ("OS::Nova::Server", "", "metadata"),
    }


@pytest.mark.parametrize("resource_type", RESOURCE_TYPES)
def test_the_dialog_of_a_resource_type(api: Api, rack: Definitions, resource_type: str) -> None:
    """One list, then each namespace for this type: names of properties and objects have its prefix."""
    query = {"limit": 1000, "sort_key": "namespace", "sort_dir": "asc", "resource_types": resource_type}
    found = listed(api, **query)
    assert [entry["namespace"] for entry in found] == sorted(entry["namespace"] for entry in found)
    for entry in found:
        (association,) = [one for one in entry["resource_type_associations"] if one["name"] == resource_type]
        prefix = association.get("prefix") or ""
        shown = Definitions(api, entry["namespace"]).show(f"?resource_type={resource_type}")
        names = [*shown.get("properties", {}), *(p for one in shown.get("objects", []) for p in one["properties"])]
        assert all(name.startswith(prefix) for name in names), (prefix, names)
    expected = resource_type in {"OS::Nova::Flavor", "OS::Cinder::Volume"}
    assert (rack.name in {entry["namespace"] for entry in found}) is expected


def test_a_target_in_the_query_is_left_to_horizon(api: Api, rack: Definitions) -> None:
    """It filters by itself, so an unknown parameter must not be refused, and associations must say their target."""
    query = {"limit": 1000, "resource_types": "OS::Cinder::Volume", "properties_target": "scheduler_hints"}
    (entry,) = [entry for entry in listed(api, **query) if entry["namespace"] == rack.name]
    targets = {one["name"]: one.get("properties_target") for one in entry["resource_type_associations"]}
    assert targets == {"OS::Nova::Flavor": None, "OS::Cinder::Volume": "image"}


def test_the_widgets_get_the_keywords_they_draw(rack: Definitions) -> None:
    """A default is text whatever its type; all other keywords come back as they were written."""
    written = {
        "name": "limits", "title": "Limits", "description": "D", "type": "integer", "minimum": 1, "maximum": 9,
        "default": 5, "readonly": True,
    }  # fmt: skip
    assert rack("POST", "/properties", written).status == 201
    choice = {
        "name": "zones", "title": "Zones", "type": "array", "operators": ["<or>", "<in>"],
        "items": {"type": "string", "enum": ["a", "b"]},
    }  # fmt: skip
    assert rack("POST", "/properties", choice).status == 201
    text = {"name": "word", "title": "Word", "type": "string", "minLength": 1, "maxLength": 5, "pattern": "^[a-z]+$"}
    assert rack("POST", "/properties", text).status == 201
    shown = rack.show("?resource_type=OS::Cinder::Volume")["properties"]
    assert shown["limits"] == {**written, "default": "5"}
    assert {key: shown["zones"][key] for key in choice} == choice
    assert {key: shown["word"][key] for key in text} == text
