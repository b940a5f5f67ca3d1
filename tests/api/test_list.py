"""Lists of images through the API (images-api 3.4)."""

from __future__ import annotations

import pytest

from tests.support.wire import ADMIN, OTHER, Wire


def names(wire: Wire, query: str = "") -> list[str]:
    answer = wire("GET", f"/v2/images{query}")
    assert answer.status == 200, answer
    return [image["name"] for image in answer.json["images"]]


def test_paging_visits_every_image_once(wire: Wire) -> None:
    for number in range(7):
        wire.create(name=f"i{number}", size_class=str(number % 2))
    target, seen, pages = "/v2/images?limit=3&sort=name:asc", [], 0
    while target:
        page = wire("GET", target).json
        assert page["first"] == "/v2/images?limit=3&sort=name%3Aasc"
        assert page["schema"] == "/v2/schemas/images"
        seen += [image["name"] for image in page["images"]]
        target, pages = page.get("next"), pages + 1
    assert seen == [f"i{number}" for number in range(7)]
    assert pages == 3


def test_a_full_last_page_leads_to_an_empty_one(wire: Wire) -> None:
    wire.create(name="a")
    page = wire("GET", "/v2/images?limit=1").json
    assert wire("GET", page["next"]).json["images"] == []
    assert "next" not in wire("GET", "/v2/images?limit=0").json


def test_links_keep_repeated_parameters(wire: Wire) -> None:
    wire.create(name="a", tags=["x", "y"])
    page = wire("GET", "/v2/images?tag=x&tag=y&limit=1").json
    assert page["next"].startswith("/v2/images?tag=x&tag=y&limit=1&marker=")


def test_filters(wire: Wire) -> None:
    wire.create(name="a", os_distro="debian", tags=["x", "y"], min_ram=64)
    wire.create(name="b", os_distro="debian", tags=["x"], os_hidden=True)
    wire.create(name="c:d", container_format="ovf")
    assert names(wire, "?os_distro=debian") == ["a"]
    assert names(wire, "?os_distro=debian&os_hidden=True") == ["b"]
    assert names(wire, "?tag=x&tag=y") == ["a"]
    assert names(wire, "?name=in:a,b") == ["a"]
    assert names(wire, "?name=eq:c:d") == ["c:d"]
    assert names(wire, "?container_format=ovf") == ["c:d"]
    assert names(wire, "?min_ram_min=64") == ["a"]
    assert names(wire, "?protected=true") == []
    assert names(wire, "?unknown=x") == []
    assert sorted(names(wire, "?created_at=gt:2020-01-01T00:00:00Z")) == ["a", "c:d"]
    assert names(wire, "?status=killed") == []


@pytest.mark.parametrize("query", ["name=ubuntu:22.04", "name=eq:ubuntu:22.04", "name=in:ubuntu:22.04,x"])
def test_an_image_is_found_by_a_name_with_a_colon(wire: Wire, query: str) -> None:
    wire.create(name="ubuntu:22.04")
    wire.create(name="22.04")
    assert names(wire, f"?{query}") == ["ubuntu:22.04"]


@pytest.mark.parametrize(
    "query",
    [
        "limit=a", "limit=-1", "marker=nothing", "sort=nothing", "sort=name&sort_key=name", "sort_key=name&sort_dir=up",
        "visibility=none", "member_status=x", "os_hidden=maybe", "protected=True", "size_min=x", "name_min=1",
        "created_at=yesterday", "created_at=in:2020-01-01", "status=gt:x", "changes-since=x", "name=%ff", "size=gt:5",
        "name=in:%22a",
    ],
)  # fmt: skip
def test_bad_queries(wire: Wire, query: str) -> None:
    assert wire("GET", f"/v2/images?{query}").status == 400


def test_who_lists_what(wire: Wire) -> None:
    admin = wire.as_(ADMIN)
    admin.create(name="public", visibility="public")
    wire.create(name="shared")
    wire.create(name="private", visibility="private")
    wire.create(name="community", visibility="community")
    other = wire.as_(OTHER)
    assert names(other) == ["public"]
    assert sorted(names(other, "?visibility=all")) == ["community", "public"]
    assert names(other, "?visibility=private") == []
    assert sorted(names(wire)) == ["community", "private", "public", "shared"]
    assert sorted(names(admin)) == ["private", "public", "shared"]
    assert sorted(names(admin, "?visibility=community")) == ["community"]


def test_a_foreign_marker_is_forbidden(wire: Wire) -> None:
    image = wire.create(visibility="private")
    assert wire.as_(OTHER)("GET", f"/v2/images?marker={image['id']}").status == 403
