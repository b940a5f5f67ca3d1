"""The OpenAPI document: complete, valid, served and printed."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from glimpse.api.openapi.document import DECLARED, OPERATIONS, openapi_document, undeclared, unrouted
from glimpse.api.openapi.operation import REFUSALS
from glimpse.api.routes import TABLE
from glimpse.api.v2.schemas.catalog import build_schemas
from glimpse.settings.model import Auth
from tests.support.service import run_to_the_end
from tests.support.wire import Wire, settings_in, wired

METHODS = {"get", "head", "put", "post", "delete", "patch"}


def document(auth: str = "keystone", custom: dict[str, object] | None = None, url: str | None = None) -> dict[str, Any]:
    schemas = build_schemas(container_formats=["bare"], disk_formats=["raw"], custom=custom)
    return openapi_document(TABLE, schemas, auth=auth, url=url)


def operations(made: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [(method, path, found) for path, item in made["paths"].items() for method, found in item.items()]


def test_every_method_of_every_path_is_declared() -> None:
    missing = undeclared(TABLE)
    assert not missing, (
        f"api/routes.py has {', '.join(missing)}, and nothing is declared about it: add an Operation (summary, body, "
        "answers, refusals) to a module of src/glimpse/api/openapi. docs/developer/openapi.md shows how."
    )


def test_every_declaration_has_its_path() -> None:
    left = unrouted(TABLE)
    assert not left, f"src/glimpse/api/openapi declares {', '.join(left)}, which api/routes.py does not have"


def test_nothing_is_declared_twice() -> None:
    assert sum(len(part) for part in DECLARED) == len(OPERATIONS)


def test_the_document_has_what_the_table_has() -> None:
    made = {(method.upper(), path) for method, path, _ in operations(document()) if path.startswith("/v2/")}
    assert made == {(method, f"/v2{path}") for path, handlers, _ in TABLE for method in handlers}


def test_every_reference_leads_somewhere() -> None:
    made = document()
    references = set(re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(made)))
    assert references
    for reference in references:
        found: Any = made
        for part in reference.split("/"):
            found = found[part]
        assert found


def test_every_schema_is_one() -> None:
    made = document(custom={"properties": {"cores": {"type": "integer"}}, "required": ["cores"]})
    for name, schema in made["components"]["schemas"].items():
        assert jsonschema_rs.meta.is_valid({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}), name


def test_operations_are_complete() -> None:
    made = document()
    found = operations(made)
    ids = [operation["operationId"] for _, _, operation in found]
    assert len(set(ids)) == len(ids)
    for method, path, operation in found:
        assert method in METHODS
        assert operation["summary"]
        in_path = [one["name"] for one in operation["parameters"] if one.get("in") == "path"]
        assert in_path == re.findall(r"\{(\w+)\}", path)
        succeeds = any(int(status) < 400 for status in operation["responses"])
        assert succeeds != operation["summary"].startswith("Refused: "), (method, path)
        if path.startswith("/v2/"):
            assert {"400", "401", "431", "503"} <= set(operation["responses"])


def test_methods_that_take_no_body_have_none() -> None:
    made = document()
    for path, handlers, bodyless in TABLE:
        for method in handlers:
            if method in bodyless or method == "GET":
                assert "requestBody" not in made["paths"][f"/v2{path}"][method.lower()], (method, path)


def test_refusals_are_explained_by_their_status() -> None:
    responses = document()["components"]["responses"]
    assert set(responses) == {f"Refused{status}" for status in REFUSALS}
    assert set(responses["Refused404"]["content"]) == {"application/json", "text/html", "text/plain"}


def test_the_operators_properties_are_in_it() -> None:
    made = document(custom={"properties": {"cores": {"type": "integer"}}, "required": ["cores"]})
    schemas = made["components"]["schemas"]
    assert schemas["Image"]["properties"]["cores"]["type"] == "integer"
    assert "cores" not in schemas["Image"]["required"]
    assert schemas["ImageCreate"]["required"] == ["cores"]
    assert "status" not in schemas["ImageCreate"]["properties"]
    assert schemas["Image"]["properties"]["disk_format"]["enum"] == [None, "raw"]


@pytest.mark.parametrize(("kind", "schemes"), [("keystone", ["token"]), ("basic", ["basic"]), ("none", [])])
def test_identity_is_the_configured_one(kind: str, schemes: list[str]) -> None:
    made = document(kind)
    assert list(made["components"]["securitySchemes"]) == schemes
    assert made["security"] == [{name: []} for name in schemes]
    assert made["paths"]["/versions"]["get"]["security"] == []


def test_the_public_endpoint_is_the_server() -> None:
    assert document()["servers"] == [{"url": "/"}]
    assert document(url="https://images.example.net/glance")["servers"] == [
        {"url": "https://images.example.net/glance"}
    ]


def test_it_is_served_to_callers_with_an_identity(wire: Wire) -> None:
    answer = wire("GET", "/v2/openapi.json")
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json["openapi"] == "3.1.0"
    assert set(answer.json["paths"]) >= {"/v2/images", "/v2/openapi.json"}
    assert wire("GET", "/v2/openapi.json", identity=False).status == 401
    assert wire("PUT", "/v2/openapi.json").headers["allow"] == "GET"


def test_the_command_prints_what_is_served(tmp_path: Path) -> None:
    ended = run_to_the_end(["openapi", "--data-dir", str(tmp_path)])
    assert ended.returncode == 0, ended.stderr
    with wired(settings_in(tmp_path, auth=Auth(kind="none"))) as wire:
        assert json.loads(ended.stdout) == wire("GET", "/v2/openapi.json").json


def test_the_command_refuses_a_schema_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "glimpse.conf").write_text("")
    (tmp_path / "schema-image.json").write_text('{"status": {"type": "integer"}}')
    ended = run_to_the_end(["openapi", "--config-file", str(tmp_path / "glimpse.conf")])
    assert ended.returncode == 1
    assert ended.stderr == "Error: schema-image.json: 'status' is a base property and cannot be redefined.\n"
