"""Digests that a caller gives in fields of a request (RFC 9530), and the comparison of digests with data."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from glimpse.domain.digests import LENGTHS, ExpectedDigest
from glimpse.errors import Invalid
from glimpse.stores.base import Bytes
from glimpse.transfer.pump import Digests

#: The algorithms of RFC 9530 that are not deprecated, by their names in fields.
_OF_FIELDS: Final = {"sha-256": "sha256", "sha-512": "sha512"}

#: A member of a dictionary of RFC 9651: its key and its value, with parameters that are of no interest here.
_MEMBER: Final = re.compile(
    r'([a-z*][a-z0-9_.*-]*)(?:=(:[A-Za-z0-9+/=]*:|"(?:[^"\\]|\\.)*"|\([^()]*\)|[^\s,;"():]*))?'
    r'(?:[ ]*;[ ]*[a-z*][a-z0-9_.*-]*(?:="(?:[^"\\]|\\.)*"|=[^\s,;"]*)?)*'
)
_BETWEEN: Final = re.compile(r"[ \t]*,[ \t]*")
_PREFERENCE: Final = re.compile(r"10|[0-9]")


def from_field(name: str, text: str) -> tuple[ExpectedDigest, ...]:
    """Return the digests in a field ``Content-Digest`` or ``Repr-Digest``; others than SHA-256 and SHA-512 are ignored.

    :param name: of the field, for messages.
    :raises Invalid: the field is malformed; it is not ignored, because its sender expects the data to be checked.
    """
    like = "sha-256=:…:, with a digest in base64"
    # the last one with a key is valid (RFC 9651, 3.2)
    found = {key: _of_field(name, key, value) for key, value in _members(name, text, like) if key in _OF_FIELDS}
    return tuple(found.values())


def wanted_in_field(text: str) -> tuple[str, ...]:
    """Return the algorithms that a field ``Want-Repr-Digest`` asks for, the preferred one first (RFC 9530, 4).

    Others than SHA-256 and SHA-512 are ignored, as are those with the preference 0.

    :raises Invalid: the field is malformed.
    """
    name = "Want-Repr-Digest"
    found: dict[str, int] = {}
    for key, value in _members(name, text, "sha-256=1"):
        if not _PREFERENCE.fullmatch(value):
            raise Invalid(f"The header {name} is malformed: {key} must have a number from 0 to 10.")
        if key in _OF_FIELDS:
            found[_OF_FIELDS[key]] = int(value)
    return tuple(sorted((one for one in found if found[one]), key=lambda one: -found[one]))


def in_field(digests: Mapping[str, str]) -> str:
    """Return the value of a field ``Repr-Digest`` with digests in hex by algorithm: SHA-256 and SHA-512."""
    names = {algorithm: key for key, algorithm in _OF_FIELDS.items()}
    values = {names[one]: base64.b64encode(bytes.fromhex(value)).decode() for one, value in digests.items()}
    return ", ".join(f"{key}=:{value}:" for key, value in values.items())


def _members(name: str, text: str, like: str) -> Iterator[tuple[str, str]]:
    """The keys and values in a field ``name``.

    :raises Invalid: it is malformed; it should be ``like`` this.
    """
    at = 0
    text = text.strip(" \t")
    while at < len(text):
        member = _MEMBER.match(text, at)
        if member is None:
            raise Invalid(f"The header {name} is malformed: it must be like {like}.")
        yield member[1], member[2] or ""
        at = member.end()
        between = _BETWEEN.match(text, at)
        if between is not None:
            at = between.end()
        if (between is None) != (at == len(text)):
            raise Invalid(f"The header {name} is malformed: its members must be separated by single commas.")


def _of_field(name: str, key: str, value: str) -> ExpectedDigest:
    algorithm = _OF_FIELDS[key]
    try:
        digest = base64.b64decode(value[1:-1], validate=True) if value.startswith(":") else b""
    except binascii.Error:
        digest = b""
    if len(digest) != LENGTHS[algorithm]:
        raise Invalid(
            f"The header {name} is malformed: {key} must be {LENGTHS[algorithm]} bytes in base64 between colons."
        )
    return ExpectedDigest(algorithm, digest.hex())


class Verifier:
    """Compares the digests of one stream with those that are expected.

    MD5 and the multihash are taken from ``digests``, which gets the same stream; only others are calculated here, or
    all where nothing else calculates digests.
    """

    def __init__(self, expected: Iterable[ExpectedDigest], digests: Digests | None = None) -> None:
        """:raises Invalid: two of ``expected`` contradict each other."""
        self._expected: dict[str, str] = {}
        for one in expected:
            if self._expected.setdefault(one.algorithm, one.value) != one.value:
                raise Invalid(f"Two different digests of {one.algorithm} were given for the same data.")
        self._digests = digests
        self._own = {
            name: hashlib.new(name, usedforsecurity=False)
            for name in self._expected
            if digests is None or name not in {"md5", digests.hash_algo}
        }

    def update(self, batch: Bytes) -> None:
        """Add the next bytes of the data; the buffer may be reused afterwards."""
        for running in self._own.values():
            running.update(batch)

    def verify(self) -> None:
        """Compare; call once, after ``digests`` got the last byte.

        :raises Invalid: a digest differs.
        """
        for algorithm, value in self._expected.items():
            if self._digests is None or algorithm in self._own:
                found = self._own[algorithm].hexdigest()
            else:
                # the multihash may be MD5, too
                same = algorithm == self._digests.hash_algo
                found = self._digests.hash_value if same else self._digests.checksum
            if found != value:
                raise Invalid(f"The data do not have the digest that was given: {algorithm} {value}, but {found}.")
