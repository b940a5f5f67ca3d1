"""Version discovery, health, schemas and the pipeline before routing (images-api 0.1, 1, 2)."""

from __future__ import annotations

import pytest

from tests.support.wire import Wire


@pytest.mark.parametrize(
    ("target", "status"),
    [("/", 300), ("/versions", 200), ("/versions/x", 200), ("/v1/images", 300), ("/v3", 300), ("/V2/images", 300)],
)
def test_version_documents_need_no_identity(wire: Wire, target: str, status: int) -> None:
    answer = wire("GET", target, identity=False, headers={"Accept": "text/html"})
    assert answer.status == status
    assert answer.headers["content-type"] == "application/json"
    versions = answer.json["versions"]
    assert versions[0] == {
        "id": "v2.15",
        "status": "SUPPORTED",
        "links": [{"rel": "self", "href": "http://img.example.net/v2/"}],
    }
    assert [entry["id"] for entry in versions if entry["status"] == "CURRENT"] == ["v2.17"]


def test_head_of_root_has_no_body(wire: Wire) -> None:
    answer = wire("HEAD", "/", identity=False)
    assert (answer.status, answer.body) == (300, b"")


def test_v2_without_slash_redirects_after_identity(wire: Wire) -> None:
    assert wire("GET", "/v2", identity=False).status == 401
    answer = wire("GET", "/v2")
    assert answer.status == 302
    assert answer.headers["location"] == "http://img.example.net/v2/"
    assert wire("GET", "/v2/").status == 404


def test_minor_versions_in_the_path_change_nothing(wire: Wire) -> None:
    image = wire.create(name="x")
    answer = wire("GET", f"/v2.3/images/{image['id']}")
    assert answer.status == 200
    assert answer.json["self"] == f"/v2/images/{image['id']}"


def test_version_by_accept_header(wire: Wire) -> None:
    accept = {"Accept": "application/vnd.openstack.images-v2.3"}
    assert wire("GET", "/images", headers=accept).status == 200
    assert wire("GET", "/v2/images", headers=accept).status == 404


def test_healthcheck_forms(wire: Wire) -> None:
    assert wire("GET", "/healthcheck", identity=False).body == b"OK"
    as_json = wire("GET", "/healthcheck/any", identity=False, headers={"Accept": "application/json"})
    assert as_json.json == {"detailed": False, "reasons": ["OK"]}
    assert wire("HEAD", "/healthcheck", identity=False).status == 204


def test_options_answers_without_identity(wire: Wire) -> None:
    answer = wire("OPTIONS", "/v2/images", identity=False)
    assert (answer.status, answer.body) == (200, b"")


def test_unknown_paths_and_methods(wire: Wire) -> None:
    assert wire("GET", "/v2/nothing").status == 404
    assert wire("FROB", "/v2/nothing").status == 501
    answer = wire("PUT", "/v2/images")
    assert answer.status == 405
    assert answer.headers["allow"] == "GET, POST"
    assert wire("DELETE", "/v2/images/x/file").headers["allow"] == "GET, HEAD, PUT"
    assert wire("GET", "/v2/nothing", identity=False).status == 401


def test_request_ids(wire: Wire) -> None:
    assert wire("GET", "/v2/images").headers["x-openstack-request-id"].startswith("req-")
    named = wire("GET", "/v2/images", headers={"X-OpenStack-Request-ID": "mine"})
    assert named.headers["x-openstack-request-id"] == "req-mine"
    assert wire("GET", "/v2/images", headers={"X-OpenStack-Request-ID": "x" * 65}).status == 431


@pytest.mark.parametrize("name", ["image", "images", "member", "members", "task", "tasks"])
def test_schemas(wire: Wire, name: str) -> None:
    answer = wire("GET", f"/v2/schemas/{name}")
    assert answer.status == 200
    assert answer.json["name"] == name
    assert wire("GET", f"/v2/schemas/{name}", json_body={}).status == 400
    assert wire("POST", f"/v2/schemas/{name}").status == 405


def test_unknown_schema(wire: Wire) -> None:
    assert wire("GET", "/v2/schemas/nothing").status == 404


def test_error_bodies_follow_accept(wire: Wire) -> None:
    html = wire("GET", "/v2/images/nothing", headers={"Accept": "*/*"})
    assert html.headers["content-type"] == "text/html; charset=UTF-8"
    assert b"<h1>404 Not Found</h1>" in html.body
    as_json = wire("GET", "/v2/images/nothing", headers={"Accept": "application/json"})
    assert as_json.json["code"] == "404 Not Found"
    assert "<" not in as_json.json["message"]
    assert wire("GET", "/v2/images/nothing").headers["content-type"] == "text/plain; charset=UTF-8"
