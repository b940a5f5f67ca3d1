"""Digests that callers give for data, and those that they ask for."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from glimpse.errors import Invalid

#: Lengths in bytes of the digests that are known, from the strongest to the weakest.
LENGTHS: Final = {"sha512": 64, "sha384": 48, "sha256": 32, "sha224": 28, "sha1": 20, "md5": 16}
#: A digest in hex; its length decides about the algorithm.
IN_HEX: Final = re.compile(r"[0-9A-Fa-f]{32,128}")


class ExpectedDigest(msgspec.Struct, frozen=True):
    """A digest that data must have: the algorithm by its name in hashlib, and the value in lower-case hex."""

    algorithm: str
    value: str


def algorithm_of(name: str) -> str | None:
    """Return the name in hashlib of an algorithm that may be spelled ``SHA-256`` or ``SHA2-256``; None: unknown."""
    plain = name.strip().lower().removeprefix("sha2-")
    plain = f"sha{plain}" if plain.isdigit() else plain.replace("-", "")
    return plain if plain in LENGTHS else None


def from_pair(text: str) -> ExpectedDigest:
    """Return the digest in ``algorithm:value``, with the value in hex, for example ``sha256:…``.

    :raises Invalid: the algorithm is unknown, or the value has another length or is not in hex.
    """
    name, _, value = text.strip().partition(":")
    algorithm = algorithm_of(name)
    if algorithm is None:
        raise Invalid(f"The algorithm of a digest must be one of {', '.join(LENGTHS)}.")
    length = 2 * LENGTHS[algorithm]
    if not IN_HEX.fullmatch(value) or len(value) != length:
        raise Invalid(f"A digest of {algorithm} must have {length} digits in hex.")
    return ExpectedDigest(algorithm, value.lower())
