"""Digests in the form of a pair, and the names of algorithms."""

from __future__ import annotations

import hashlib

import pytest

from glimpse.domain.digests import ExpectedDigest, digests_of_sdk, from_pair, kept_digests
from glimpse.errors import Invalid

MD5 = hashlib.md5(b"some data").hexdigest()
SHA256 = hashlib.sha256(b"some data").hexdigest()


@pytest.mark.parametrize("name", ["sha256", "SHA256", "sha-256", "SHA2-256", " sha256"])
def test_pairs(name: str) -> None:
    assert from_pair(f"{name}:{SHA256.upper()}") == ExpectedDigest("sha256", SHA256)
    assert from_pair(f"md5:{MD5}") == ExpectedDigest("md5", MD5)


@pytest.mark.parametrize(
    "text", ["", SHA256, "sha256:", f"sha256:{MD5}", f"crc32:{MD5}", f"sha256:{'g' * 64}", f"256:{SHA256}x"]
)
def test_refused_pairs(text: str) -> None:
    with pytest.raises(Invalid):
        from_pair(text)


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"sha256": SHA256.upper(), "md5": MD5}, (("sha256", SHA256), ("md5", MD5))),
        ({"sha256": "", "md5": MD5}, (("md5", MD5),)),
        ({"sha256": MD5, "md5": SHA256}, ()),
        ({"sha256": "g" * 64, "md5": None}, ()),
        ({}, ()),
    ],
)
def test_those_of_the_sdk(given: dict[str, str | None], found: tuple[tuple[str, str], ...]) -> None:
    for prefix in ("owner_specified.openstack.", "owner_specified.shade."):
        properties = {f"{prefix}object": "images/a/b", **{prefix + name: value for name, value in given.items()}}
        assert digests_of_sdk("a/b", properties) == tuple(ExpectedDigest(*one) for one in found)
        assert digests_of_sdk("b", properties) == ()
        assert digests_of_sdk("a/b", {**properties, "base_image_ref": "x"}) == ()
        del properties[f"{prefix}object"]
        assert digests_of_sdk("a/b", properties) == ()
        assert digests_of_sdk(None, properties) == ()


def test_kept() -> None:
    assert kept_digests(["sha256", "SHA-512", "sha-256"]) == ("sha256", "sha512")
    with pytest.raises(Invalid, match="sha512, sha384, sha256"):
        kept_digests(["md5"])
