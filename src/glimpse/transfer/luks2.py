"""LUKS containers of version 2 (LUKS2 On-Disk Format Specification 1.1): a binary header and metadata in JSON.

The checks ensure that all data are in this file, and that opening it stays within cryptsetup's own limits on memory and
time. Integers of the binary header are big endian.
"""

from __future__ import annotations

import hashlib
import struct
from typing import Any, Final

import msgspec

_MAGIC: Final = b"LUKS\xba\xbe"
#: The first bytes of a version 2 container.
LUKS2_FRONT: Final = _MAGIC + b"\0\2"
_HEADER: Final = struct.Struct(">6sHQ8x48x32s64x40x48xQ184x64s")
_BINARY_BYTES: Final = 4096
_CHECKSUM_AT: Final = 448
_CHECKSUM_BYTES: Final = 64
_SECOND_MAGIC: Final = b"SKUL\xba\xbe"
#: Sizes of header and metadata; the specification has larger ones, two of which do not fit into the front.
_SIZES: Final = frozenset(1 << bits for bits in range(14, 20))
_MOST_KEYSLOTS: Final = 32
#: cryptsetup's limits: 4 GiB of memory for Argon2, in KiB, and 4 threads.
_MOST_MEMORY: Final = 4 << 20
_MOST_THREADS: Final = 4
_MOST_PASSES: Final = 1_000
_MOST_ITERATIONS: Final = 100_000_000


class Luks2Error(ValueError):
    """A check failed; the text names the check and the reason."""


class _Segment(msgspec.Struct):
    type: str
    offset: str
    size: str


class _Area(msgspec.Struct):
    type: str
    offset: str
    size: str


class _Kdf(msgspec.Struct):
    type: str
    time: int = 0
    memory: int = 0
    cpus: int = 0
    iterations: int = 0


class _Keyslot(msgspec.Struct):
    type: str
    area: _Area
    kdf: _Kdf | None = None


class _Requirements(msgspec.Struct, frozen=True):
    mandatory: tuple[str, ...] = ()


class _Config(msgspec.Struct):
    json_size: str
    keyslots_size: str
    requirements: _Requirements = _Requirements()


class _Metadata(msgspec.Struct):
    keyslots: dict[str, _Keyslot]
    segments: dict[str, _Segment]
    digests: dict[str, Any]
    config: _Config
    tokens: dict[str, Any] = {}


class Luks2:
    """A container with a valid header."""

    def __init__(self, front: bytes) -> None:
        """``front`` is the first MiB of the stream, or all of it.

        :raises Luks2Error: the header is damaged or unsafe.
        """
        header_bytes = _checked_header(front, _MAGIC, 0)
        area = front[_BINARY_BYTES:header_bytes]
        # cryptsetup reads both copies, and uses the newer one
        second = front[header_bytes:]
        if _checked_header(second, _SECOND_MAGIC, header_bytes) != header_bytes:
            raise Luks2Error("check header: its copies have different sizes")
        metadata = _metadata(area)
        if _metadata(second[_BINARY_BYTES:header_bytes]) != metadata:
            raise Luks2Error("check header: its copies differ")
        segments = [_segment(name, segment) for name, segment in metadata.segments.items()]
        if len(segments) != 1:
            raise Luks2Error(f"check segments: it has {len(segments)} data segments instead of one")
        self._offset, self._length = segments[0]
        if metadata.config.requirements.mandatory:
            raise Luks2Error("check requirements: it has special requirements, such as finishing a reencryption")
        if self._offset < 2 * header_bytes:
            raise Luks2Error(
                "check segments: its data begin within the header, or are in another file (detached header)"
            )
        if len(metadata.keyslots) > _MOST_KEYSLOTS:
            raise Luks2Error(f"check keyslots: it has more than {_MOST_KEYSLOTS} key slots")
        for name, slot in metadata.keyslots.items():
            _check_keyslot(name, slot, 2 * header_bytes, self._offset)

    def payload_bytes(self, size: int) -> int:
        """Return the size of the disk inside a stream of ``size`` bytes.

        :raises Luks2Error: the data are outside the stream.
        """
        length = size - self._offset if self._length is None else self._length
        if length < 0 or self._offset + length > size:
            raise Luks2Error("check segments: its data are outside the file")
        return length


def _checked_header(front: bytes, expected: bytes, place: int) -> int:
    """Check the header at the start of ``front``, which must contain its ``place`` in the file; return its size in
    bytes.
    """
    if len(front) < _BINARY_BYTES:
        raise Luks2Error("check header: it is truncated")
    magic, version, size, algorithm, offset, checksum = _HEADER.unpack_from(front)
    if magic != expected or version != 2:
        raise Luks2Error("check header: the second copy is missing")
    if size not in _SIZES or offset != place:
        raise Luks2Error("check header: its size or offset is not that of a LUKS2 header of up to 512 KiB")
    if len(front) < size:
        raise Luks2Error("check header: it is truncated")
    if algorithm.rstrip(b"\0") != b"sha256":
        raise Luks2Error("check header: its checksum is not SHA-256")
    end = _CHECKSUM_AT + _CHECKSUM_BYTES
    summed = hashlib.sha256(front[:_CHECKSUM_AT] + bytes(_CHECKSUM_BYTES) + front[end:size]).digest()
    if summed != checksum[: len(summed)]:
        raise Luks2Error("check header: its checksum does not match, it is damaged")
    return size


def _metadata(area: bytes) -> _Metadata:
    try:
        return msgspec.json.decode(area.partition(b"\0")[0], type=_Metadata)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Luks2Error("check metadata: they are not LUKS2 metadata") from error


def _number(text: str, what: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise Luks2Error(f"check metadata: the {what} is not a number")
    return int(text)


def _segment(name: str, segment: _Segment) -> tuple[int, int | None]:
    """Return offset and length in bytes; length None means up to the end."""
    if segment.type != "crypt":
        raise Luks2Error(f"check segments: the segment {name[:20]!r} is not encrypted data")
    length = None if segment.size == "dynamic" else _number(segment.size, "size of a segment")
    return _number(segment.offset, "offset of a segment"), length


def _check_keyslot(name: str, slot: _Keyslot, start: int, end: int) -> None:
    where = f"check keyslots: the key slot {name[:20]!r}"
    offset, length = _number(slot.area.offset, "offset of a key slot"), _number(slot.area.size, "size of a key slot")
    if slot.type != "luks2" or slot.kdf is None or slot.area.type != "raw":
        raise Luks2Error(f"{where} is of an unknown type")
    if not start <= offset <= offset + length <= end:
        raise Luks2Error(f"{where} is not between header and data")
    kdf = slot.kdf
    if kdf.memory > _MOST_MEMORY or kdf.cpus > _MOST_THREADS or kdf.time > _MOST_PASSES:
        raise Luks2Error(f"{where} takes more memory or time than cryptsetup allows")
    if kdf.iterations > _MOST_ITERATIONS:
        raise Luks2Error(f"{where} takes more than {_MOST_ITERATIONS} iterations")
