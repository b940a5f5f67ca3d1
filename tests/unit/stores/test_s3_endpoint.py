"""Options of S3 stores: the server, how requests name the bucket, and the URIs (store-formats 10.1)."""

from typing import Any

import msgspec
import pytest

from glimpse.errors import ForeignLocation
from glimpse.settings.model import Secret
from glimpse.stores.base import StoreMisconfigured
from glimpse.stores.s3.driver import DRIVER
from glimpse.stores.s3.endpoint import Endpoint, endpoint_of
from glimpse.stores.s3.options import S3Options
from glimpse.stores.s3.store import S3Store


def options(host: str = "https://s3.example.org", bucket: str = "images", **more: Any) -> S3Options:
    keys = {"s3_store_access_key": Secret("key"), "s3_store_secret_key": Secret("se/cret")}
    return S3Options(s3_store_host=host, s3_store_bucket=bucket, **{**keys, **more})


def endpoint(host: str, bucket: str = "images", **more: Any) -> Endpoint:
    return endpoint_of("objects", options(host, bucket, **more))


@pytest.mark.parametrize(
    ("host", "tls", "authority", "path", "region", "prefix"),
    [
        ("https://s3.example.org", True, "s3.example.org", "/images/k", "us-east-1", "s3+https://s3.example.org/images/"),
        ("http://h:7480/", False, "h:7480", "/images/k", "us-east-1", "s3://h:7480/images/"),
        ("h:80", False, "h", "/images/k", "us-east-1", "s3://h:80/images/"),
        ("HTTPS://h:443", True, "h", "/images/k", "us-east-1", "s3+https://h:443/images/"),
        ("https://h/gate/way", True, "h", "/gate/way/images/k", "us-east-1", "s3+https://h/gate/way/images/"),
        ("http://[::1]:7480", False, "[::1]:7480", "/images/k", "us-east-1", "s3://[::1]:7480/images/"),
        # Glance reaches these with HTTPS, and writes the scheme s3
        ("s3-eu-west-1.amazonaws.com", True, "images.s3-eu-west-1.amazonaws.com", "/k", "eu-west-1",
         "s3://s3-eu-west-1.amazonaws.com/images/"),
        ("https://s3.ap-south-1.amazonaws.com", True, "images.s3.ap-south-1.amazonaws.com", "/k", "ap-south-1",
         "s3+https://s3.ap-south-1.amazonaws.com/images/"),
        ("s3.amazonaws.com", True, "images.s3.amazonaws.com", "/k", "us-east-1", "s3://s3.amazonaws.com/images/"),
    ],
)  # fmt: skip
def test_forms_of_the_host(host: str, tls: bool, authority: str, path: str, region: str, prefix: str):
    found = endpoint(host)
    assert (found.tls, found.authority, found.path("k"), found.region) == (tls, authority, path, region)
    assert found.url_prefix() == prefix
    assert DRIVER.url_prefixes("objects", options(host)) == (prefix,)


def test_the_configured_region_is_preferred():
    assert endpoint("s3-eu-west-1.amazonaws.com", s3_store_region_name="default").region == "default"


@pytest.mark.parametrize(
    ("host", "bucket", "style", "authority", "path"),
    [
        ("https://h:8443", "images", "virtual", "images.h:8443", "/k"),
        ("https://h:8443", "images", "path", "h:8443", "/images/k"),
        ("https://h:8443", "images", "auto", "h:8443", "/images/k"),
        ("https://s3.amazonaws.com", "images", "path", "s3.amazonaws.com", "/images/k"),
        # a certificate for *.s3.amazonaws.com does not cover a name with a dot
        ("https://s3.amazonaws.com", "my.images", "auto", "s3.amazonaws.com", "/my.images/k"),
        ("https://h", "My_Images", "auto", "h", "/My_Images/k"),
    ],
)
def test_the_bucket_is_in_the_host_or_in_the_path(host: str, bucket: str, style: str, authority: str, path: str):
    found = endpoint(host, bucket, s3_store_bucket_url_format=style)
    assert (found.authority, found.path("k")) == (authority, path)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"s3_store_host": ""}, "s3_store_host is not set"),
        ({"s3_store_bucket": None}, "s3_store_bucket is not set"),
        ({"s3_store_bucket": "a/b"}, "slash"),
        ({"s3_store_access_key": None}, "s3_store_access_key and s3_store_secret_key"),
        ({"s3_store_secret_key": Secret("")}, "s3_store_access_key and s3_store_secret_key"),
        ({"s3_store_host": "ftp://h"}, "http or https"),
        ({"s3_store_host": "http://user:password@h"}, "and no more"),
        ({"s3_store_host": "http://h?query"}, "and no more"),
        ({"s3_store_host": "h:port"}, "invalid port"),
        ({"s3_store_cacert": "/nowhere/ca.pem"}, "is not a file"),
        ({"s3_store_bucket_url_format": "virtual", "s3_store_bucket": "My_Images"}, "virtual needs a bucket name"),
        ({"s3_store_bucket_url_format": "virtual", "s3_store_host": "10.0.0.1:80"}, "virtual needs a host name"),
    ],
)
def test_options_that_cannot_work_are_refused_at_start(wrong: dict[str, Any], message: str):
    with pytest.raises(StoreMisconfigured, match=message) as caught:
        S3Store("objects", msgspec.structs.replace(options("https://h"), **wrong))
    assert "password" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "s3+https://s3.example.org/images/image-1",
        # the scheme changed, the server is the same
        "s3://s3.example.org/images/image-1",
        "s3+http://s3.example.org/images/image-1",
        # Glance before 2026.1, with the keys of today, of yesterday, and with slashes in the secret
        "s3+https://key:secret@s3.example.org/images/image-1",
        "s3://old:o/l/d+se/cret=@s3.example.org/images/image-1",
        "s3+https://k%3A:s%2F@s3.example.org/images/image-1",
    ],
)
def test_locations_of_the_store(url: str):
    assert endpoint("https://s3.example.org").key_of(url) == "image-1"


@pytest.mark.parametrize(
    "url",
    [
        "s3+https://s3.example.org/images/",
        "s3+https://s3.example.org/images/.glimpse",
        "s3+https://s3.example.org/images/.glimpse/i/a",
        "s3+https://s3.example.org/images/image?versionId=1",
        "s3+https://s3.example.org/other/image",
        "s3+https://s3.example.org:8443/images/image",
        "s3+https://evil.example.org/images/image",
        "s3+https://evil.example.org/s3.example.org/images/image",
        "s3+https://evil@s3.example.org/images/image",
        "s3+https://images/image",
        "s3+https://image",
        "https://s3.example.org/images/image",
    ],
)
def test_locations_of_others(url: str):
    with pytest.raises(ForeignLocation) as caught:
        endpoint("https://s3.example.org").key_of(url)
    assert "evil" not in str(caught.value)


def test_nothing_that_is_shown_has_the_credentials():
    store = S3Store("objects", options())
    assert store.scheme == "s3+https"
    shown = f"{DRIVER.details(options())} {options()!r} {store.url_prefixes} {store!r}"
    assert "se/cret" not in shown


@pytest.mark.parametrize(
    ("url", "repaired"),
    [
        ("s3+https://key:se/c@ret@s3.example.org/images/k", "s3+https://s3.example.org/images/k"),
        # the scheme stays, so that nothing but the credentials changes
        ("s3://key:secret@s3.example.org/images/k", "s3://s3.example.org/images/k"),
        ("S3+HTTPS://key:secret@s3.example.org/images/k", "s3+https://s3.example.org/images/k"),
        ("s3+https://s3.example.org/images/k", None),
        ("s3+https://key@s3.example.org/images/k", None),
        ("s3+https://key:secret@s3.example.org/others/k", None),
        ("s3+https://key:secret@other.example.org/images/k", None),
        ("s3+https://key:secret@s3.example.org/images/", None),
        ("swift://key:secret@s3.example.org/images/k", None),
        ("nonsense", None),
    ],
)
def test_locations_without_their_credentials(url: str, repaired: str | None):
    store = S3Store("objects", options())
    assert store.repaired(url) == repaired
    assert not store.asks_to_repair(url)
    store.close()
