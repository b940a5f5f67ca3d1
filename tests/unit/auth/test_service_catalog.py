"""The service catalog of a token, from Keystone and from the header of a proxy."""

from __future__ import annotations

import json

import pytest

from glimpse.auth.headers import HeaderAuth
from glimpse.errors import Unauthenticated
from glimpse.service_catalog import ServiceCatalog
from tests.unit.auth.requests import request

VERSION_3 = [
    {
        "type": "object-store",
        "name": "swift",
        "id": "5",
        "endpoints": [
            {"interface": "public", "region_id": "One", "url": "http://a/v1/AUTH_x", "id": "1"},
            {"interface": "public", "region": "Two", "region_id": "Two", "url": "http://b/v1/AUTH_x", "id": "2"},
            {"interface": "internal", "region": "One", "url": "http://c/v1/AUTH_x", "id": "3"},
        ],
    },
    {"type": "volumev3", "name": "cinderv3", "endpoints": []},
]
VERSION_2 = [
    {
        "type": "object-store",
        "name": "swift",
        "endpoints": [
            {"region": "One", "publicURL": "http://a/v1/AUTH_x", "internalURL": "http://c/v1/AUTH_x"},
            {"region": "Two", "publicURL": "http://b/v1/AUTH_x"},
        ],
    }
]


@pytest.mark.parametrize("services", [VERSION_3, VERSION_2], ids=["version 3", "header"])
@pytest.mark.parametrize(
    ("interface", "region", "url"),
    [
        ("public", None, "http://a/v1/AUTH_x"),
        ("publicURL", "", "http://a/v1/AUTH_x"),
        ("publicURL", "Two", "http://b/v1/AUTH_x"),
        ("internalURL", "One", "http://c/v1/AUTH_x"),
        ("internalURL", "Two", None),
        ("admin", None, None),
    ],
)
def test_endpoints(services: list[dict[str, object]], interface: str, region: str | None, url: str | None) -> None:
    catalog = ServiceCatalog(services)
    assert catalog.url("object-store", interface=interface, region=region) == url
    assert catalog.url("object-store", interface=interface, region=region, name="swift") == url
    assert catalog.url("object-store", interface=interface, region=region, name="other") is None


@pytest.mark.parametrize("services", [VERSION_3, VERSION_2], ids=["version 3", "header"])
@pytest.mark.parametrize(
    ("interface", "region", "found"),
    [
        ("public", "two", "http://b/v1/AUTH_x"),
        ("publicURL", "TWO", "http://b/v1/AUTH_x"),
        ("internal", "oNe", "http://c/v1/AUTH_x"),
        ("internal", "two", None),
        ("public", "three", None),
        ("public", "", None),
    ],
)
def test_the_case_of_a_region_may_not_matter(services: object, interface: str, region: str, found: str | None) -> None:
    catalog = ServiceCatalog(services)
    assert catalog.url_in("object-store", interface=interface, region=region) == found
    assert catalog.url_in("image", interface=interface, region=region) is None


def test_it_is_a_sequence_of_services() -> None:
    catalog = ServiceCatalog(VERSION_3)
    assert [service["type"] for service in catalog] == ["object-store", "volumev3"]
    assert (len(catalog), catalog[1]["endpoints"]) == (2, [])
    assert catalog == ServiceCatalog(VERSION_3)
    assert "http" not in repr(catalog)


@pytest.mark.parametrize("services", [{}, [1], [{}], [{"type": "x", "endpoints": [{"url": 1}]}], "text"])
def test_a_malformed_one(services: object) -> None:
    with pytest.raises(ValueError, match="malformed"):
        ServiceCatalog(services)


CONFIRMED = ("X-Identity-Status", "Confirmed")


def test_headers_of_a_proxy() -> None:
    header = ("X-Service-Catalog", json.dumps(VERSION_2))
    identity = HeaderAuth(["127.0.0.1"]).recall(request(CONFIRMED, header, ("X-Auth-Token", "tok")))
    assert identity.catalog == ServiceCatalog(VERSION_2)
    assert (identity.token, repr(identity.token)) == ("tok", "'***'")


def test_a_malformed_header() -> None:
    for text in ("{", "[1]"):
        with pytest.raises(Unauthenticated, match="x-service-catalog is malformed"):
            HeaderAuth(["127.0.0.1"]).recall(request(CONFIRMED, ("X-Service-Catalog", text)))
