"""Digests that a caller gives for data, and their comparison with the digests of the data received.

They come as fields of a request (RFC 9530), as a line of a file such as ``SHA256SUMS``, or as ``algorithm:value``.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable
from typing import Final

import msgspec

from glimpse.errors import Invalid
from glimpse.stores.base import Bytes
from glimpse.transfer.pump import Digests

#: Lengths in bytes of the digests that are known, from the strongest to the weakest.
_LENGTHS: Final = {"sha512": 64, "sha384": 48, "sha256": 32, "sha224": 28, "sha1": 20, "md5": 16}
_BY_LENGTH: Final = {length: name for name, length in _LENGTHS.items()}
#: The algorithms of RFC 9530 that are not deprecated, by their names in fields.
_OF_FIELDS: Final = {"sha-256": "sha256", "sha-512": "sha512"}

#: A member of a dictionary of RFC 9651: its key and its value, with parameters that are of no interest here.
_MEMBER: Final = re.compile(
    r'([a-z*][a-z0-9_.*-]*)(?:=(:[A-Za-z0-9+/=]*:|"(?:[^"\\]|\\.)*"|\([^()]*\)|[^\s,;"():]*))?'
    r'(?:[ ]*;[ ]*[a-z*][a-z0-9_.*-]*(?:="(?:[^"\\]|\\.)*"|=[^\s,;"]*)?)*'
)
_BETWEEN: Final = re.compile(r"[ \t]*,[ \t]*")

#: Lines of GNU's programs: digest, a space, a space or a mark of the mode, the name. A backslash in front means that
#: the name is escaped.
_GNU_LINE: Final = re.compile(r"(\\?)([0-9A-Fa-f]{32,128}) [ *](.+)")
#: Lines of BSD's programs, and of ``openssl dgst``, which writes fewer spaces and ``SHA2-256`` for SHA256.
_BSD_LINE: Final = re.compile(r"(\\?)([A-Za-z0-9-]+) ?\((.+)\) ?= ([0-9A-Fa-f]{32,128})")
_BARE: Final = re.compile(r"[0-9A-Fa-f]{32,128}")
_ESCAPES: Final = {"\\\\": "\\", "\\n": "\n", "\\r": "\r"}


class ExpectedDigest(msgspec.Struct, frozen=True):
    """A digest that data must have: the algorithm by its name in hashlib, and the value in lower-case hex."""

    algorithm: str
    value: str


def from_field(name: str, text: str) -> tuple[ExpectedDigest, ...]:
    """Return the digests in a field ``Content-Digest`` or ``Repr-Digest``; others than SHA-256 and SHA-512 are ignored.

    :param name: of the field, for messages.
    :raises Invalid: the field is malformed; it is not ignored, because its sender expects the data to be checked.
    """
    found: dict[str, ExpectedDigest] = {}
    at = 0
    text = text.strip(" \t")
    while at < len(text):
        member = _MEMBER.match(text, at)
        if member is None:
            raise Invalid(f"The header {name} is malformed: it must be like sha-256=:…:, with a digest in base64.")
        key, value = member.groups()
        if key in _OF_FIELDS:
            # the last one with a key is valid (RFC 9651, 3.2)
            found[key] = _of_field(name, key, value or "")
        at = member.end()
        between = _BETWEEN.match(text, at)
        if between is not None:
            at = between.end()
        if (between is None) != (at == len(text)):
            raise Invalid(f"The header {name} is malformed: its members must be separated by single commas.")
    return tuple(found.values())


def _of_field(name: str, key: str, value: str) -> ExpectedDigest:
    algorithm = _OF_FIELDS[key]
    try:
        digest = base64.b64decode(value[1:-1], validate=True) if value.startswith(":") else b""
    except binascii.Error:
        digest = b""
    if len(digest) != _LENGTHS[algorithm]:
        raise Invalid(
            f"The header {name} is malformed: {key} must be {_LENGTHS[algorithm]} bytes in base64 between colons."
        )
    return ExpectedDigest(algorithm, digest.hex())


def from_pair(text: str) -> ExpectedDigest:
    """Return the digest in ``algorithm:value``, with the value in hex, for example ``sha256:…``.

    :raises Invalid: the algorithm is unknown, or the value has another length or is not in hex.
    """
    name, _, value = text.strip().partition(":")
    algorithm = _algorithm(name)
    if algorithm is None:
        raise Invalid(f"The algorithm of a digest must be one of {', '.join(_LENGTHS)}.")
    length = 2 * _LENGTHS[algorithm]
    if not _BARE.fullmatch(value) or len(value) != length:
        raise Invalid(f"A digest of {algorithm} must have {length} digits in hex.")
    return ExpectedDigest(algorithm, value.lower())


def from_sums(text: str, file_name: str) -> ExpectedDigest:
    """Return the digest of ``file_name`` in the text of a file such as ``SHA256SUMS``, in the forms of GNU and BSD.

    Lines in other forms, such as comments and signatures, are passed over. Names are compared without their
    directories only if no line has exactly this name. Of several algorithms the strongest is taken. A text that
    consists of a digest only is the digest of any file.

    :raises Invalid: no line is about the file, or two lines contradict each other.
    """
    if _BARE.fullmatch(text.strip()) and (algorithm := _BY_LENGTH.get(len(text.strip()) // 2)):
        return from_pair(f"{algorithm}:{text.strip()}")
    lines = [line for line in map(_of_line, re.split(r"\r?\n", text)) if line is not None]
    exact = [digest for name, digest in lines if name.removeprefix("./") == file_name]
    found = exact or [digest for name, digest in lines if name.rpartition("/")[2] == file_name]
    strongest = next((name for name in _LENGTHS if any(one.algorithm == name for one in found)), None)
    values = {one for one in found if one.algorithm == strongest}
    if not values:
        raise Invalid(f"The list of digests has no line for {file_name!r}.")
    if len(values) > 1:
        raise Invalid(f"The list of digests has several different digests for {file_name!r}.")
    return values.pop()


def _of_line(line: str) -> tuple[str, ExpectedDigest] | None:
    """Return the name and the digest in a line; None if it is of another form or algorithm."""
    if found := _GNU_LINE.fullmatch(line):
        escaped, value, name = found.groups()
        algorithm = _BY_LENGTH.get(len(value) // 2) if len(value) % 2 == 0 else None
    elif found := _BSD_LINE.fullmatch(line):
        escaped, named, name, value = found.groups()
        algorithm = _algorithm(named)
        if algorithm is not None and len(value) != 2 * _LENGTHS[algorithm]:
            return None
    else:
        return None
    if algorithm is None:
        return None
    if escaped:
        name = re.sub(r"\\[\\nr]", lambda one: _ESCAPES[one[0]], name)
    return name, ExpectedDigest(algorithm, value.lower())


def _algorithm(name: str) -> str | None:
    plain = name.strip().lower().removeprefix("sha2-")
    plain = f"sha{plain}" if plain.isdigit() else plain.replace("-", "")
    return plain if plain in _LENGTHS else None


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
