"""Digests that callers give for data, and those that they ask for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from glimpse.errors import Invalid

#: Lengths in bytes of the digests that are known, from the strongest to the weakest.
LENGTHS: Final = {"sha512": 64, "sha384": 48, "sha256": 32, "sha224": 28, "sha1": 20, "md5": 16}
#: Algorithms of digests that are computed and kept when a caller asks for them.
KEPT: Final = ("sha512", "sha384", "sha256")
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


def kept_digests(names: Iterable[str]) -> tuple[str, ...]:
    """Check the names of digests that a caller wants to be kept, and return each once.

    :raises Invalid: one is not among :data:`KEPT`.
    """
    found: dict[str, None] = {}
    for name in names:
        algorithm = algorithm_of(name)
        if algorithm not in KEPT:
            raise Invalid(f"Digests that are kept are those of {', '.join(KEPT)}.")
        found[algorithm] = None
    return tuple(found)


#: Prefixes of properties in which openstacksdk, and shade before it, record what they are about to send.
_SDK_PREFIXES: Final = ("owner_specified.openstack.", "owner_specified.shade.")
#: Properties of images that services make from servers and volumes: they copy others from an image with other data.
_OF_DERIVED: Final = ("base_image_ref", "instance_uuid", "image_type")


def digests_of_sdk(name: str | None, properties: Mapping[str, str | None]) -> tuple[ExpectedDigest, ...]:
    """Return the digests that openstacksdk has set for the data of the image ``name`` before it sends them.

    Properties are copied from image to image, for example to snapshots of servers. They count only if they name this
    image, and no digest that is empty or malformed counts.
    """
    if not name or any(one in properties for one in _OF_DERIVED):
        return ()
    for prefix in _SDK_PREFIXES:
        if (properties.get(f"{prefix}object") or "").partition("/")[2] != name:
            continue
        found = [(one, (properties.get(prefix + one) or "").lower()) for one in ("sha256", "md5")]
        return tuple(
            ExpectedDigest(algorithm, value)
            for algorithm, value in found
            if len(value) == 2 * LENGTHS[algorithm] and IN_HEX.fullmatch(value)
        )
    return ()
