"""Tar archives, header by header (POSIX.1-2017, pax; the extensions of GNU tar are refused where readers differ).

Archives that two programs may read differently are refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, Protocol

from glimpse.errors import UnsupportedContent

BLOCK: Final = 512
_ZERO: Final = bytes(BLOCK)
#: Maximum size of an extended header, in bytes.
_LONGEST_META: Final = 1 << 20
_CHECKSUM: Final = slice(148, 156)
_PAX_RECORD: Final = re.compile(rb"(\d{1,10}) ([^=\n]{1,1000})=")
_SHOWN_NAME: Final = 80


class Member(Protocol):
    """Consumer of a member's content."""

    def feed(self, data: bytes) -> None:
        """Feed the next bytes."""
        ...

    def end(self) -> None:
        """End the member."""
        ...


def is_archive(head: bytes) -> bool:
    """Tell whether the first block of a stream, of ``BLOCK`` bytes, is the header of a member."""
    return len(head) >= BLOCK and head[0] != 0 and _is_header(head[:BLOCK])


class Archive:
    """Reads one archive; passes the content of each member to the consumer that ``open_member`` creates for its
    name.
    """

    def __init__(self, open_member: Callable[[str], Member]) -> None:
        self._open_member = open_member
        self._block = b""
        self._member: Member | None = None
        self._meta: bytearray | None = None
        self._meta_kind = b""
        #: remaining bytes of content, and of the padding after it
        self._left = self._padding = 0
        self._size: int | None = None
        self._ended = False

    def feed(self, data: bytes) -> None:
        """Feed the next bytes.

        :raises UnsupportedContent: the archive is damaged or ambiguous; members may raise it too.
        """
        position = 0
        while position < len(data):
            if self._ended:
                if data[position:].strip(b"\0"):
                    raise _odd("data follow after its end")
                return
            if self._left:
                position += self._content(data[position : position + self._left])
            elif self._padding:
                skipped = min(self._padding, len(data) - position)
                self._padding -= skipped
                position += skipped
            else:
                missing = BLOCK - len(self._block)
                self._block += data[position : position + missing]
                position += missing
                if len(self._block) == BLOCK:
                    block, self._block = self._block, b""
                    self._header(block)

    def end(self) -> None:
        """End the archive, which may be truncated; raises what the last member raises."""
        if self._member is not None:
            self._member.end()

    def _content(self, piece: bytes) -> int:
        if self._meta is not None:
            self._meta += piece
        elif self._member is not None:
            self._member.feed(piece)
        self._left -= len(piece)
        if not self._left:
            self._complete()
        return len(piece)

    def _complete(self) -> None:
        if self._meta is not None:
            meta, self._meta = bytes(self._meta), None
            self._read_meta(meta)
        elif self._member is not None:
            member, self._member = self._member, None
            member.end()

    def _header(self, block: bytes) -> None:
        if block == _ZERO:
            self._ended = True
            return
        if not _is_header(block):
            raise _odd("a header is damaged")
        kind = block[156:157]
        size = _number(block[124:136])
        if kind in {b"x", b"g", b"L", b"K"}:
            if size > _LONGEST_META:
                raise _odd("an extended header is too long")
            self._meta, self._meta_kind = bytearray(), kind
        else:
            if self._size is not None:
                size, self._size = self._size, None
            self._begin(block, kind, size)
        self._left = size
        self._padding = -size % BLOCK
        if not size:
            self._complete()

    def _begin(self, block: bytes, kind: bytes, size: int) -> None:
        name = block[:100].partition(b"\0")[0]
        if kind == b"S":
            raise _odd("it has sparse members")
        if size and (kind in {b"1", b"2", b"3", b"4", b"5", b"6"} or (kind == b"\0" and name.endswith(b"/"))):
            raise _odd("a member that cannot have content has a size")
        self._member = self._open_member(name.decode("utf-8", "replace")[:_SHOWN_NAME])

    def _read_meta(self, meta: bytes) -> None:
        """Read an extended header, of which only the size of the next member matters."""
        if self._meta_kind in {b"L", b"K"}:
            return
        position = 0
        while position < len(meta):
            record = _PAX_RECORD.match(meta, position)
            length = int(record[1]) if record else 0
            end = position + length
            if record is None or record.end() >= end or end > len(meta) or meta[end - 1 : end] != b"\n":
                raise _odd("an extended header is damaged")
            name, value = record[2], meta[record.end() : end - 1]
            if name.startswith(b"GNU.sparse"):
                raise _odd("it has sparse members")
            if name == b"size":
                if self._meta_kind == b"g" or not value.isdigit() or len(value) > 18:
                    raise _odd("the size of a member is invalid")
                self._size = int(value)
            position = end


def _is_header(block: bytes) -> bool:
    stated = block[_CHECKSUM].strip(b" \0")
    if not re.fullmatch(rb"[0-7]{1,7}", stated):
        return False
    return int(stated, 8) == sum(block) - sum(block[_CHECKSUM]) + 8 * 32


def _number(field: bytes) -> int:
    """Parse the size in a header: octal digits, or base 256 if the first bit is set.

    :raises UnsupportedContent: it is neither.
    """
    if field[0] == 0x80:
        return int.from_bytes(field[1:])
    text = field.strip(b" \0")
    if not re.fullmatch(rb"[0-7]*", text):
        raise _odd("the size of a member is invalid")
    return int(text or b"0", 8)


def _odd(reason: str) -> UnsupportedContent:
    return UnsupportedContent(
        f"The content is refused: it is a tar archive in which {reason}, so it cannot be inspected."
    )
