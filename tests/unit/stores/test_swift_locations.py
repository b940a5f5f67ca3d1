"""Location URIs of Swift, and names of containers and segments (store-formats 7.1 and 7.2)."""

from __future__ import annotations

import pytest

from glimpse.errors import ForeignLocation
from glimpse.settings.model import Secret
from glimpse.stores.swift.locations import (
    Place,
    SwiftLocation,
    attempt_of,
    container_of,
    direct_prefix,
    is_glance_segment,
    manifest_name,
    parse,
    same_address,
    same_origin,
    segment_name,
)

IMAGE = "fdae39a1-bac5-4238-aba4-69bcc726e848"


def test_the_location_of_an_account_in_the_options():
    found = parse(f"swift+https://tenant%3Auser:pass@auth:5000/v3/glance/{IMAGE}", "objects")
    assert found == SwiftLocation(
        place=Place("glance", IMAGE), address="https://auth:5000/v3", user="tenant:user", key=Secret("pass")
    )
    assert parse(f"swift://a:b@auth/v3/glance/{IMAGE}", "objects").address == "https://auth/v3"
    assert parse(f" swift+http://a:b@auth/v3/glance/{IMAGE}\n", "objects").address == "http://auth/v3"


def test_credentials_are_split_at_the_last_colon_after_unquoting():
    found = parse("swift+https://service%3Aglance:se%2Fcr%40t@auth/v3/glance/image", "objects")
    assert (found.user, found.key) == ("service:glance", "se/cr@t")


def test_the_location_of_a_reference():
    found = parse(f"swift+config://ref1/glance/{IMAGE}", "objects")
    assert found == SwiftLocation(place=Place("glance", IMAGE), reference="ref1")


def test_the_location_in_the_account_of_a_project():
    found = parse(f"swift+https://storage:8080/v1/AUTH_1/glance_{IMAGE}/{IMAGE}", "objects")
    assert found == SwiftLocation(place=Place(f"glance_{IMAGE}", IMAGE), address="https://storage:8080/v1/AUTH_1")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "swift",
        "swift://",
        "swift://image",
        "swift://auth/image",
        "swift://auth//image",
        "swift://auth/container/",
        "swift://a:b@auth/v3/glance/https://elsewhere/image",
        "swift://nocolon@auth/v3/glance/image",
        "swift+config://a:b@ref/glance/image",
        "swift+config://ref/v3/glance/image",
        "swift://auth/v3/a%2Fb/image",
        "swift://auth/v3/glance/..",
        "swift://auth/v3/glance/im\nage",
        "s3://auth/v3/glance/image",
    ],
)
def test_what_is_no_location(url: str):
    with pytest.raises(ForeignLocation):
        parse(url, "objects")


@pytest.mark.parametrize("key", ["secret", "a/b", "a:b@c", "ü %"])
def test_a_location_is_read_as_it_was_written(key: str):
    url = f"{direct_prefix('http://auth:5000/v3/', 'project:user', key)}glance/{IMAGE}"
    found = parse(url, "objects")
    assert url.startswith("swift+http://project%3Auser:")
    assert (found.address, found.user, found.key) == ("http://auth:5000/v3", "project:user", key)


def test_addresses():
    assert same_address("https://Auth:443/v3/", "https://auth/v3")
    assert not same_address("https://auth/v3", "http://auth/v3")
    assert not same_address("https://auth/v3", "https://auth/v2.0")
    assert same_origin("https://auth/v3", "https://auth:443/v1/AUTH_1")
    assert not same_origin("https://auth/v3", "https://auth.example.org/v3")
    assert not same_origin("https://auth/v3", "https://auth:8443/v3")


@pytest.mark.parametrize(
    ("seed", "container"),
    [(0, "glance"), (1, "glance_f"), (3, "glance_fda"), (10, "glance_fdae39a1-ba"), (32, f"glance_{IMAGE}")],
)
def test_containers(seed: int, container: str):
    assert container_of("glance", seed, IMAGE.upper()) == container


def test_segments_sort_and_are_not_those_of_glance():
    names = [segment_name(IMAGE, "a1", number) for number in (1, 2, 10, 99_999)]
    assert names == sorted(names)
    assert names[0] == f"{IMAGE}.a1.00001"
    assert attempt_of(names[0]) == attempt_of(manifest_name(IMAGE, "a1", 1)) == (IMAGE, "a1")
    assert attempt_of(IMAGE) is None
    assert attempt_of(f"{IMAGE}-00001") is None
    assert is_glance_segment(f"{IMAGE}-00001")
    assert not is_glance_segment(IMAGE)
    assert not is_glance_segment(names[0])
    assert not names[0].startswith(f"{IMAGE}-"), "a manifest of Glance would include it"


def test_paths_are_quoted():
    assert Place("a b", "c%d").path == "/a%20b/c%25d"
