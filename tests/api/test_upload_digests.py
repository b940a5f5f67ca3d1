"""Digests that an upload gives for its data (RFC 9530)."""

from __future__ import annotations

import base64
import hashlib

import pytest

from tests.api.test_image_data import DATA, assert_clean
from tests.support.wire import Wire


@pytest.fixture
def image(wire: Wire) -> str:
    return str(wire.create()["id"])


def field(name: str, data: bytes = DATA) -> str:
    digest = hashlib.new(name.replace("-", ""), data).digest()
    return f"{name}=:{base64.b64encode(digest).decode()}:"


@pytest.mark.parametrize("header", ["Content-Digest", "Repr-Digest"])
@pytest.mark.parametrize("name", ["sha-256", "sha-512"])
def test_data_with_the_digest(wire: Wire, image: str, header: str, name: str) -> None:
    assert wire.upload(image, DATA, {header: field(name)}).status == 204
    assert wire("GET", f"/v2/images/{image}/file").body == DATA


@pytest.mark.parametrize("header", ["Content-Digest", "Repr-Digest"])
@pytest.mark.parametrize("name", ["sha-256", "sha-512"])
def test_data_with_another_digest(wire: Wire, image: str, header: str, name: str) -> None:
    answer = wire.upload(image, DATA, {header: field(name, b"other")})
    assert answer.status == 400
    algorithm = name.replace("-", "")
    for data in (DATA, b"other"):
        assert hashlib.new(algorithm, data).hexdigest().encode() in answer.body
    assert_clean(wire, image)
    assert wire.upload(image, DATA, {header: field(name)}).status == 204


def test_both_headers(wire: Wire, image: str) -> None:
    headers = {"Content-Digest": field("sha-256"), "Repr-Digest": field("sha-512", b"other")}
    assert wire.upload(image, DATA, headers).status == 400
    headers = {"Content-Digest": field("sha-256"), "Repr-Digest": field("sha-256", b"other")}
    answer = wire.upload(image, DATA, headers)
    assert (answer.status, b"contradict" in answer.body) == (400, True)
    assert_clean(wire, image)
    headers = {"Content-Digest": f"{field('sha-256')}, {field('sha-512')}", "Repr-Digest": field("sha-512")}
    assert wire.upload(image, DATA, headers).status == 204


def test_a_malformed_header(wire: Wire, image: str) -> None:
    answer = wire.upload(image, DATA, {"Content-Digest": "sha-256=abc"})
    assert (answer.status, b"Content-Digest" in answer.body) == (400, True)
    assert_clean(wire, image)


def test_other_algorithms_are_ignored(wire: Wire, image: str) -> None:
    assert wire.upload(image, DATA, {"Content-Digest": "md5=:AAAA:"}).status == 204


def test_no_data(wire: Wire, image: str) -> None:
    assert wire.upload(image, b"", {"Content-Digest": field("sha-256")}).status == 400
    assert_clean(wire, image)
    assert wire.upload(image, b"", {"Content-Digest": field("sha-256", b"")}).status == 204


def test_staged_data_are_compared_too(wire: Wire, image: str) -> None:
    octets = {"Content-Type": "application/octet-stream"}
    wrong = wire("PUT", f"/v2/images/{image}/stage", DATA, {**octets, "Content-Digest": field("sha-256", b"other")})
    assert (wrong.status, hashlib.sha256(DATA).hexdigest().encode() in wrong.body) == (400, True)
    assert wire("GET", f"/v2/images/{image}").json["status"] == "queued"
    assert wire.service.deps.staging.size(image) is None
    for algorithm in ("sha-256", "sha-512"):
        other = wire.create()["id"]
        right = wire("PUT", f"/v2/images/{other}/stage", DATA, {**octets, "Repr-Digest": field(algorithm)})
        assert right.status == 204
        assert wire.service.deps.staging.size(other) == len(DATA)
