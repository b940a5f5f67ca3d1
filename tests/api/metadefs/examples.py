"""Requests and documents for the tests of metadata definitions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.support.wire import Answer, Caller, Wire

NAMESPACES = "/v2/metadefs/namespaces"

#: The example of metadefs 5.7.
RACK: dict[str, Any] = {
    "namespace": "Acme::Rack",
    "display_name": "Rack hints",
    "visibility": "public",
    "resource_type_associations": [
        {"name": "OS::Nova::Flavor", "prefix": "rack:"},
        {"name": "OS::Cinder::Volume", "properties_target": "image"},
    ],
    "properties": {
        "zone": {"title": "Zone", "type": "string", "enum": ["a", "b"], "default": "a"},
        "spare": {"title": "Spare", "type": "boolean", "default": False},
    },
    "objects": [
        {
            "name": "Power",
            "required": ["feed"],
            "properties": {"feed": {"title": "Feed", "type": "integer", "minimum": 1, "maximum": 2}},
        }
    ],
    "tags": [{"name": "dc"}, {"name": "rack"}],
}

#: A property with every key that a single property can have.
FULL_PROPERTY: dict[str, Any] = {
    "name": "p", "type": "array", "title": "T", "description": "D", "operators": ["<or>"], "default": "x",
    "readonly": True, "minimum": 1, "maximum": 9, "enum": ["x", "y"], "pattern": "(", "minLength": 0, "maxLength": 5,
    "items": {"type": "string", "enum": ["x"]}, "uniqueItems": True, "minItems": 0, "maxItems": 3,
    "additionalItems": False,
}  # fmt: skip


@dataclass
class Metadefs:
    """Requests below one path."""

    wire: Wire
    base: str

    def __call__(
        self, method: str, path: str = "", document: object = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        return self.wire(method, self.base + path, headers=headers, json_body=document)

    def made(self, method: str, path: str = "", document: object = None) -> dict[str, Any]:
        """The body of the answer to a request that succeeds."""
        answer = self(method, path, document)
        assert answer.status in {200, 201}, answer
        body: dict[str, Any] = answer.json
        return body

    def status(self, method: str, path: str = "", document: object = None) -> int:
        return self(method, path, document).status

    def below(self, path: str) -> Metadefs:
        return Metadefs(self.wire, self.base + path)

    def as_(self, caller: Caller) -> Metadefs:
        return Metadefs(self.wire.as_(caller), self.base)


def prop(**more: object) -> dict[str, Any]:
    """A definition with what it needs."""
    return {"title": "T", "type": "string", **more}
