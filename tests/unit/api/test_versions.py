"""Version discovery (images-api 1.1 to 1.5)."""

from __future__ import annotations

import json

import pytest

from glimpse.api.versions import Route, base_url, negotiate, versions_document

OLD = "2.7 2.6 2.5 2.4 2.3 2.2 2.1 2.0"
ACCEPT = "application/vnd.openstack.images-"


@pytest.mark.parametrize(
    ("cache", "multi", "order", "current"),
    [
        (True, True, f"2.18 2.17 2.16 2.15 2.14 2.13 2.12 2.11 2.10 2.9 2.8 {OLD}", "v2.18"),
        (True, False, f"2.18 2.17 2.16 2.15 2.14 2.9 {OLD}", "v2.18"),
        (False, True, f"2.15 2.13 2.12 2.11 2.10 2.9 2.8 2.17 {OLD}", "v2.17"),
        (False, False, f"2.15 2.9 2.17 {OLD}", "v2.17"),
    ],
)
def test_documents(cache: bool, multi: bool, order: str, current: str) -> None:
    body = versions_document(cache=cache, multi=multi, base_url="http://img.example.net:9292")
    document = json.loads(body)
    assert list(document) == ["versions"]
    entries = document["versions"]
    assert [entry["id"] for entry in entries] == [f"v{minor}" for minor in order.split()]
    assert [entry["id"] for entry in entries if entry["status"] == "CURRENT"] == [current]
    assert {entry["status"] for entry in entries} == {"CURRENT", "SUPPORTED"}
    for entry in entries:
        assert list(entry) == ["id", "status", "links"]
        assert entry["links"] == [{"rel": "self", "href": "http://img.example.net:9292/v2/"}]


@pytest.mark.parametrize(
    ("base", "href"),
    [
        ("https://host", "https://host/v2/"),
        ("https://host/", "https://host/v2/"),
        ("https://host/image//", "https://host/image/v2/"),
    ],
)
def test_links_have_one_slash(base: str, href: str) -> None:
    document = json.loads(versions_document(cache=False, multi=False, base_url=base))
    assert document["versions"][0]["links"][0]["href"] == href


def test_base_of_links() -> None:
    request = {"scheme": "https", "host": "host:9292", "script_name": "/image"}
    assert base_url(None, **request) == "https://host:9292/image"
    assert base_url("", **request) == "https://host:9292/image"
    assert base_url("http://public/", **request) == "http://public/"


@pytest.mark.parametrize(
    ("path", "accept", "route"),
    [
        ("/versions", None, Route("versions")),
        ("/versions/", None, Route("versions")),
        ("/versions/anything/else", None, Route("versions")),
        ("//versions", None, Route("versions")),
        ("/versions", ACCEPT + "v2.3", Route("versions")),
        ("/", None, Route("choices")),
        ("", None, Route("choices")),
        ("/v1", None, Route("choices")),
        ("/v1/images", None, Route("choices")),
        ("/v3/images", None, Route("choices")),
        ("/foo", None, Route("unknown")),
        ("/V2/images", None, Route("choices")),
        ("/v2.99/images", None, Route("choices")),
        ("/v2.1x/images", None, Route("choices")),
        ("/2.1/images", None, Route("unknown")),
        ("/images", None, Route("unknown")),
        ("/images", "application/json", Route("unknown")),
        ("/versionsx", None, Route("unknown")),
        ("/favicon.ico", None, Route("unknown")),
        ("/V3", None, Route("choices")),
        ("/v2", None, Route("v2", "")),
        ("/v2/", None, Route("v2", "/")),
        ("/v2/images", None, Route("v2", "/images")),
        ("//v2/images", None, Route("v2", "/images")),
        ("/v2.7/images/x/file", None, Route("v2", "/images/x/file")),
        ("/v2/images", "application/json, " + ACCEPT + "v2.3", Route("v2", "/images")),
        ("/images", ACCEPT + "v2.3", Route("v2", "/images")),
        ("/images", ACCEPT + "v2", Route("v2", "/images")),
        ("/v2/images", ACCEPT + "v2.3", Route("v2", "/v2/images")),
        ("/images", ACCEPT + "v2.3, */*", Route("choices")),
        ("/images", ACCEPT + "v9", Route("choices")),
        ("/v2/images", ACCEPT, Route("choices")),
    ],
)
def test_negotiation(path: str, accept: str | None, route: Route) -> None:
    assert negotiate(path, accept, cache=False, multi=False) == route


@pytest.mark.parametrize("cache", [True, False])
@pytest.mark.parametrize("multi", [True, False])
def test_accepted_is_what_is_listed(cache: bool, multi: bool) -> None:
    document = json.loads(versions_document(cache=cache, multi=multi, base_url="http://h"))
    listed = {entry["id"] for entry in document["versions"]}
    for minor in range(30):
        version = f"v2.{minor}"
        kind = "v2" if version in listed else "choices"
        assert negotiate(f"/{version}/images", None, cache=cache, multi=multi).kind == kind
        assert negotiate("/images", ACCEPT + version, cache=cache, multi=multi).kind == kind
