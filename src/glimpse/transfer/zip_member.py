"""The only file of a zip archive, unpacked as the archive arrives (PKWARE's APPNOTE; imports-and-stores 2.16).

The data come before the directory of the archive, so they are delivered as their local header describes them. At the
end the directory must say the same, so that programs that read the directory find the same data.
"""

from __future__ import annotations

import itertools
import struct
import zlib
from collections.abc import Callable, Generator, Iterator
from typing import Final

import msgspec

from glimpse.errors import UnsupportedContent

#: Maximum number of bytes of one piece.
PIECE_BYTES: Final = 256 << 10
_TAKEN_BYTES: Final = 16 << 10
#: The directory has one entry with three variable parts, and a comment, each shorter than 64 KiB.
_MAX_TAIL: Final = 512 << 10

_LOCAL: Final = struct.Struct("<4sHHHHHIIIHH")
_CENTRAL: Final = struct.Struct("<4sHHHHHHIIIHHHHHII")
_END: Final = struct.Struct("<4sHHHHIIH")
_END64: Final = struct.Struct("<4sQHHIIQQQQ")
_LOCATOR64: Final = struct.Struct("<4sIQI")
_DESCRIPTOR: Final = b"PK\x07\x08"
#: The longest descriptor, and the magic number of the header that follows.
_DESCRIPTOR_AND_NEXT: Final = 28
_ENTRY: Final = b"PK\x01\x02"
_STORED, _DEFLATED = 0, 8
#: Encrypted data, strong encryption, encrypted headers.
_ENCRYPTED: Final = 0x0001 | 0x0040 | 0x2000
_HAS_DESCRIPTOR: Final = 0x0008
_FULL_16: Final = 0xFFFF
_FULL_32: Final = 0xFFFFFFFF
_ZIP64: Final = 0x0001


class _Header(msgspec.Struct, frozen=True):
    """What a header says about a member; sizes in bytes."""

    flags: int
    method: int
    crc: int
    packed: int
    size: int
    name: bytes

    @property
    def has_descriptor(self) -> bool:
        """Whether digest and sizes follow the data."""
        return bool(self.flags & _HAS_DESCRIPTOR)


#: A state of the parser: takes data, yields what they contain, and returns those that belong to the next state.
_State = Callable[[bytes], Generator[bytes, None, bytes]]


class ZipMember:
    """Implements :class:`~glimpse.transfer.decompression.Unpacker` for an archive with exactly one file.

    The file is stored or deflated, with its sizes before or behind it, and of any size (zip64).
    """

    def __init__(self) -> None:
        self._state: _State = self._read_header
        self._held = b""
        self._header = _Header(0, 0, 0, 0, 0, b"")
        self._inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        #: bytes of the archive before the data, and of the descriptor behind them
        self._before = 0
        self._behind = 0
        #: what was found: digest and size of the file, and its bytes in the archive
        self._crc = 0
        self._size = 0
        self._packed = 0
        self._left = 0
        self._tail = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        for start in range(0, len(data), _TAKEN_BYTES):
            rest = data[start : start + _TAKEN_BYTES]
            while rest:
                rest = yield from self._state(rest)

    def finish(self) -> Iterator[bytes]:
        if self._state != self._read_tail:
            raise _incomplete()
        try:
            self._check_tail(bytes(self._tail))
        except struct.error as error:
            raise _incomplete() from error
        return iter(())

    def close(self) -> None:
        """Nothing is needed."""

    def _read_header(self, data: bytes) -> Generator[bytes, None, bytes]:
        yield from ()
        self._held += data
        if len(self._held) < _LOCAL.size:
            return b""
        magic, _, flags, method, _, _, crc, packed, size, name_length, extra_length = _LOCAL.unpack_from(self._held)
        self._before = _LOCAL.size + name_length + extra_length
        if len(self._held) < self._before:
            return b""
        name = self._held[_LOCAL.size : _LOCAL.size + name_length]
        size, packed = _long_sizes(self._held[_LOCAL.size + name_length : self._before], size, packed)
        rest, self._held = self._held[self._before :], b""
        if magic != b"PK\3\4":
            raise _damaged()
        if flags & _ENCRYPTED:
            raise UnsupportedContent("The file in the zip archive is encrypted.")
        if name.endswith(b"/"):
            raise UnsupportedContent("The zip archive contains a directory; it must contain exactly one file.")
        self._header = _Header(flags, method, crc, packed, size, name)
        if method == _DEFLATED:
            self._state = self._read_deflated
        elif method != _STORED:
            raise UnsupportedContent(
                f"The file in the zip archive is compressed by method {method}; only 0 (stored) and 8 (deflated) can "
                "be unpacked."
            )
        elif self._header.has_descriptor and not packed:
            self._state = self._search_end
        else:
            self._left = packed
            self._state = self._read_stored if packed else self._behind_data
        return rest

    def _read_stored(self, data: bytes) -> Generator[bytes, None, bytes]:
        piece = data[: self._left]
        self._left -= len(piece)
        self._packed += len(piece)
        self._account(piece)
        yield piece
        if not self._left:
            self._state = self._behind_data
        return data[len(piece) :]

    def _read_deflated(self, data: bytes) -> Generator[bytes, None, bytes]:
        self._packed += len(data)
        while True:
            try:
                made = self._inflate.decompress(data, PIECE_BYTES)
            except zlib.error as error:
                raise _damaged() from error
            data = self._inflate.unconsumed_tail
            self._account(made)
            if made:
                yield made
            if self._inflate.eof:
                rest = self._inflate.unused_data
                self._packed -= len(rest)
                self._state = self._behind_data
                return rest
            if len(made) < PIECE_BYTES:
                return b""

    def _search_end(self, data: bytes) -> Generator[bytes, None, bytes]:
        """Read stored data of unknown length, which end where a descriptor has their digest and size."""
        held = self._held + data
        counted = 0
        at = held.find(_DESCRIPTOR)
        while at >= 0 and at + _DESCRIPTOR_AND_NEXT <= len(held):
            self._account(held[counted:at])
            counted = at
            self._packed = self._size
            length = self._descriptor_length(held[at : at + _DESCRIPTOR_AND_NEXT])
            if length:
                self._behind = length
                self._held = b""
                self._state = self._read_tail
                if at:
                    yield held[:at]
                return held[at + length :]
            at = held.find(_DESCRIPTOR, at + 1)
        # a descriptor may have begun
        certain = at if at >= 0 else max(counted, len(held) - len(_DESCRIPTOR) + 1)
        self._account(held[counted:certain])
        self._packed = self._size
        self._held = held[certain:]
        if certain:
            yield held[:certain]
        return b""

    def _behind_data(self, data: bytes) -> Generator[bytes, None, bytes]:
        yield from ()
        rest = self._held + data
        if self._header.has_descriptor:
            if len(rest) < _DESCRIPTOR_AND_NEXT:
                self._held = rest
                return b""
            self._behind = self._descriptor_length(rest)
            if not self._behind:
                raise _damaged()
        self._held = b""
        self._state = self._read_tail
        return rest[self._behind :]

    def _descriptor_length(self, data: bytes) -> int:
        """Return the length of the descriptor with which ``data`` begin, if it fits what was read; else 0.

        The magic number is optional, and the sizes have 4 or 8 bytes; another header must follow.
        """
        for magic in (_DESCRIPTOR, b""):
            for form in ("<III", "<IQQ"):
                length = len(magic) + struct.calcsize(form)
                if (
                    data.startswith(magic)
                    and data[length : length + 4] in {_ENTRY, b"PK\3\4"}
                    and struct.unpack_from(form, data, len(magic)) == (self._crc, self._packed, self._size)
                ):
                    return length
        return 0

    def _read_tail(self, data: bytes) -> Generator[bytes, None, bytes]:
        yield from ()
        self._tail += data
        if self._tail.startswith(b"PK\3\4"):
            raise _several()
        if len(self._tail) > _MAX_TAIL:
            raise _damaged()
        return b""

    def _account(self, piece: bytes) -> None:
        self._crc = zlib.crc32(piece, self._crc)
        self._size += len(piece)

    def _check_tail(self, tail: bytes) -> None:
        """Compare the directory with what was read.

        :raises struct.error: the directory is incomplete.
        """
        at = self._check_entry(tail)
        start = self._before + self._packed + self._behind
        long = tail[at : at + 4] == b"PK\6\6"
        counts = {(1, 1, at, start)}
        if long:
            _, length, _, _, disk, first_disk, here, total, size, offset = _END64.unpack_from(tail, at)
            locator = at + 12 + length
            magic, end_disk, end_offset, disks = _LOCATOR64.unpack_from(tail, locator)
            found = (disk, first_disk, here, total, size, offset, magic, end_disk, end_offset, disks)
            if found != (0, 0, 1, 1, at, start, b"PK\6\7", 0, start + at, 1):
                raise _damaged()
            at = locator + _LOCATOR64.size
            counts = set(itertools.product((1, _FULL_16), (1, _FULL_16), (size, _FULL_32), (offset, _FULL_32)))
        magic, disk, first_disk, here, total, size, offset, comment = _END.unpack_from(tail, at)
        if magic != b"PK\5\6" or disk not in {0, _FULL_16} or first_disk not in {0, _FULL_16}:
            raise _damaged()
        if (here, total, size, offset) not in counts:
            raise _several() if total not in {1, _FULL_16} else _damaged()
        behind = len(tail) - at - _END.size - comment
        if behind < 0:
            raise _incomplete()
        if behind:
            raise UnsupportedContent("The zip archive is followed by other data.")

    def _check_entry(self, tail: bytes) -> int:
        """Compare the entry of the file, with which ``tail`` begins, with what was read; return its length."""
        fields = _CENTRAL.unpack_from(tail)
        magic, _, _, flags, method, _, _, crc, packed, size, name_length, extra_length, comment_length, disk = fields[
            :14
        ]
        offset = fields[16]
        name_end = _CENTRAL.size + name_length
        length = name_end + extra_length + comment_length
        if magic != _ENTRY:
            raise _damaged()
        if len(tail) < length:
            raise _incomplete()
        name = tail[_CENTRAL.size : name_end]
        size, packed, offset = _long_sizes(tail[name_end : name_end + extra_length], size, packed, offset)
        header = self._header
        found = (self._crc, self._packed, self._size)
        if (crc, packed, size) != found or (
            not header.has_descriptor and (header.crc, header.packed, header.size) != found
        ):
            raise UnsupportedContent("The zip archive is damaged: its file has another size or checksum than it says.")
        same = (method, name) == (header.method, header.name)
        if not same or flags & _ENCRYPTED or offset or disk not in {0, _FULL_16}:
            raise _damaged()
        if tail[length : length + 4] == _ENTRY:
            raise _several()
        return length


def _long_sizes(extra: bytes, *values: int) -> tuple[int, ...]:
    """Replace the values that did not fit into 32 bits by those in the extra field of zip64."""
    at = 0
    while at + 4 <= len(extra):
        tag, length = struct.unpack_from("<HH", extra, at)
        at += 4
        if tag == _ZIP64:
            block = extra[at : at + length]
            longs = struct.iter_unpack("<Q", block[: len(block) // 8 * 8])
            return tuple(next(longs, (value,))[0] if value == _FULL_32 else value for value in values)
        at += length
    return values


def _damaged() -> UnsupportedContent:
    return UnsupportedContent("The zip archive is damaged.")


def _incomplete() -> UnsupportedContent:
    return UnsupportedContent("The zip archive is incomplete: it ends too early.")


def _several() -> UnsupportedContent:
    return UnsupportedContent("The zip archive contains several files; it must contain exactly one.")
