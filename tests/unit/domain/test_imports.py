"""Requests for imports, and the lists of stores that an image keeps."""

from __future__ import annotations

from typing import Any

import pytest

from glimpse.domain.imports import (
    FAILED_STORES,
    IMPORTING_TO,
    OfferedMethods,
    begun,
    ended,
    import_request,
    offered_methods,
    released,
)
from glimpse.errors import Invalid

METHODS = OfferedMethods(("glance-direct", "web-download", "glance-download"), {"copy-image": "needs several stores"})


def test_a_request_with_everything():
    body = {
        "method": {"name": "web-download", "uri": "https://host/image", "more": 1},
        "stores": ["b", "a", "b"],
        "all_stores_must_succeed": False,
        "unknown": {},
    }
    request = import_request(body, METHODS)
    assert (request.method, request.uri) == ("web-download", "https://host/image")
    assert request.stores == ("b", "a"), "each store once, in the order given"
    assert not request.all_stores_must_succeed
    assert request.given == body


def test_defaults():
    request = import_request({"method": {"name": "glance-direct"}}, METHODS)
    assert (request.stores, request.all_stores, request.all_stores_must_succeed) == (None, False, True)


def test_fields_of_other_methods_mean_nothing():
    request = import_request({"method": {"name": "glance-direct", "uri": 5}}, METHODS)
    assert request.uri is None


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (None, "must be a JSON object"),
        ([], "must be a JSON object"),
        ({}, "the object 'method'"),
        ({"method": "glance-direct"}, "the object 'method'"),
        ({"method": {}}, "'method.name'"),
        ({"method": {"name": 1}}, "must be a string"),
        ({"method": {"name": "copy-image"}}, "'copy-image' needs several stores."),
        ({"method": {"name": "no"}}, "not enabled"),
        ({"method": {"name": "web-download", "uri": ["x"]}}, "'method.uri' must be a string"),
        ({"method": {"name": "glance-direct"}, "stores": "a"}, "must be a list"),
        ({"method": {"name": "glance-direct"}, "stores": ["a", 1]}, "must be a list"),
        ({"method": {"name": "glance-direct"}, "all_stores": "yes"}, "'all_stores' must be true or false"),
        ({"method": {"name": "glance-direct"}, "all_stores_must_succeed": None}, "must be true or false"),
    ],
)
def test_bodies_that_are_no_import(body: Any, message: str):
    with pytest.raises(Invalid, match=message):
        import_request(body, METHODS)


def test_the_lists_are_sorted_and_only_lose_their_own_stores():
    before = {IMPORTING_TO: "z", FAILED_STORES: "b,old"}
    during = begun(before, ("b", "a"))
    assert during == {IMPORTING_TO: "a,b,z", FAILED_STORES: "old"}
    assert ended(during, ("b", "a"), ("b",)) == {IMPORTING_TO: "z", FAILED_STORES: "b,old"}


def test_without_names_of_stores_both_lists_are_empty():
    assert begun({}, ()) == ended({}, (), ()) == {IMPORTING_TO: "", FAILED_STORES: ""}


def test_a_take_over_releases_the_stores_of_the_earlier_import():
    assert released({}, ["a"]) == {}, "the lists begin with the job"
    assert released({IMPORTING_TO: "a,b", FAILED_STORES: "a"}, ["a", "c"]) == {IMPORTING_TO: "b", FAILED_STORES: ""}


def test_methods_that_are_offered():
    configured = ("copy-image", "glance-download", "web-download", "copy-image")
    offered = offered_methods(configured, named_stores=True)
    assert (offered.names, offered.refused) == (("copy-image", "glance-download", "web-download"), {})
    single = offered_methods(configured, named_stores=False)
    assert single.names == ("glance-download", "web-download")
    assert "needs several stores" in single.refused["copy-image"]
