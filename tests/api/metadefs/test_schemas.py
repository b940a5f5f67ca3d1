"""The schema documents, with which clients validate responses (metadefs 10)."""

from __future__ import annotations

from typing import Any

import jsonschema_rs
import pytest

from glimpse.api.v2.metadefs.schemas import DOCUMENTS
from tests.api.metadefs.examples import FULL_PROPERTY, RACK, Metadefs

NAMES = {
    "namespace": "namespace", "namespaces": "namespaces", "resource_type": "resource_type_association",
    "resource_types": "resource_type_associations", "property": "property", "properties": "properties",
    "object": "object", "objects": "objects", "tag": "tag", "tags": "tags",
}  # fmt: skip


@pytest.mark.parametrize(("path", "name"), NAMES.items())
def test_documents(metadefs: Metadefs, path: str, name: str) -> None:
    target = f"/v2/schemas/metadefs/{path}"
    document = metadefs.wire("GET", target).json
    assert document["name"] == name
    if path in {"namespaces", "resource_types", "properties", "objects", "tags"}:
        assert list(document["properties"]) == [name, "first", "next", "schema"]
        assert [link["rel"] for link in document["links"]] == ["first", "next", "describedby"]
    else:
        assert document["additionalProperties"] is False
        assert "name" in document["required"] or document["required"] == ["namespace"]
    jsonschema_rs.meta.validate({"$schema": "http://json-schema.org/draft-07/schema#", **document})
    assert metadefs.wire("POST", target).status == 405
    assert metadefs.wire("GET", target, b"x").status == 400


def test_paths_without_a_document(metadefs: Metadefs) -> None:
    assert metadefs.wire("GET", "/v2/schemas/metadefs/none").status == 404
    assert metadefs.wire("GET", "/v2/schemas/metadefs").status == 404


def test_the_dictionary_of_properties() -> None:
    document = DOCUMENTS["properties"]
    assert document["properties"]["properties"]["additionalProperties"]["required"] == ["type", "title"]
    assert "definitions" in document
    assert document["definitions"]["stringArray"]["minItems"] == 1


def keeps_to(name: str, value: Any) -> None:
    schema = {"$schema": "http://json-schema.org/draft-04/schema#", "type": "object", **DOCUMENTS[name]}
    jsonschema_rs.Draft4Validator(schema, validate_formats=False).validate(value)


def test_answers_keep_to_the_documents(metadefs: Metadefs) -> None:
    """glanceclient, and Horizon with it, refuse an answer that does not (metadefs 10)."""
    metadefs.made("POST", "", {**RACK, "description": "d"})
    rack = metadefs.below("/Acme::Rack")
    keeps_to("namespace", metadefs.made("GET", "/Acme::Rack?resource_type=OS::Nova::Flavor"))
    keeps_to("namespaces", metadefs.made("GET"))
    keeps_to("property", rack.made("POST", "/properties", FULL_PROPERTY))
    keeps_to("properties", rack.made("GET", "/properties"))
    keeps_to("object", rack.made("GET", "/objects/Power"))
    keeps_to("objects", rack.made("GET", "/objects"))
    keeps_to("tag", rack.made("GET", "/tags/dc"))
    keeps_to("tags", rack.made("GET", "/tags"))
    keeps_to("resource_types", rack.made("GET", "/resource_types"))
    for one in rack.made("GET", "/resource_types")["resource_type_associations"]:
        keeps_to("resource_type", one)
