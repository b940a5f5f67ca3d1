"""Metadata definitions over HTTP: what the tests of clients prepare and look at without a client."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from tests.support.raw_http import Answer, Api

RACK: dict[str, Any] = {
    "display_name": "Rack hints",
    "description": "Where a server is put.",
    "visibility": "public",
    "resource_type_associations": [
        {"name": "OS::Nova::Flavor", "prefix": "rack:"},
        {"name": "OS::Cinder::Volume", "properties_target": "image"},
    ],
    "properties": {
        "zone": {"title": "Zone", "type": "string", "enum": ["a", "b"], "default": "a"},
        "spare": {"title": "Spare", "type": "boolean"},
    },
    "objects": [
        {
            "name": "Power",
            "description": "Feeds",
            "required": ["feed"],
            "properties": {"feed": {"title": "Feed", "type": "integer", "minimum": 1, "maximum": 2}},
        },
        {"name": "Cooling"},
    ],
    "tags": [{"name": "dc"}, {"name": "rack"}],
}


def request(api: Api, method: str, path: str, document: object = None, headers: dict[str, str] | None = None) -> Answer:
    """One request below ``/v2/metadefs``."""
    body = None if document is None else json.dumps(document).encode()
    sent = {**({} if body is None else {"Content-Type": "application/json"}), **(headers or {})}
    return api.call(method, f"/v2/metadefs/{path}", body, sent)


class Definitions:
    """One namespace of a running service."""

    def __init__(self, api: Api, name: str) -> None:
        self.api = api
        self.name = name

    def __call__(
        self, method: str, path: str = "", document: object = None, headers: dict[str, str] | None = None
    ) -> Answer:
        return request(self.api, method, f"namespaces/{quote(self.name, safe=':')}{path}", document, headers)

    def create(self, **more: object) -> None:
        """Make the namespace with the content of :data:`RACK`, or what ``more`` has instead."""
        made = request(self.api, "POST", "namespaces", {**RACK, "namespace": self.name, **more})
        assert made.status == 201, made.text

    def show(self, path: str = "") -> Any:
        """What is stored."""
        answer = self("GET", path)
        assert answer.status == 200, answer.text
        return answer.json

    def status(self, path: str = "") -> int:
        """Whether it is there."""
        return self("GET", path).status

    def tags(self) -> set[str]:
        """Names of the tags."""
        return {tag["name"] for tag in self.show("/tags")["tags"]}

    def names(self) -> set[str]:
        """Names of all namespaces that are there, page by page."""
        found: set[str] = set()
        path = "namespaces?limit=1000"
        while path:
            document = request(self.api, "GET", path).json
            found |= {entry["namespace"] for entry in document["namespaces"]}
            path = document.get("next", "").removeprefix("/v2/metadefs/")
        return found

    def unprotect(self) -> None:
        """Let it be removed."""
        self("PUT", "", {"namespace": self.name, "protected": False})
