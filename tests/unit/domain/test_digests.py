"""Digests in the form of a pair, and the names of algorithms."""

from __future__ import annotations

import hashlib

import pytest

from glimpse.domain.digests import ExpectedDigest, from_pair
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
