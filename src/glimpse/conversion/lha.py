"""LHA archives (``.lha``, ``.lzh``), unpacked as they pass by libarchive's ``bsdtar`` (imports-and-stores 2.16).

The archive must have exactly one file. What its header says is compared with what arrives, because the program would
unpack several files one after the other.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from typing import Final

from glimpse.conversion.limited import Limits, TookTooLong
from glimpse.conversion.limited_filter import LimitedFilter
from glimpse.errors import Unavailable, UnsupportedContent

LOG = logging.getLogger(__name__)

PROGRAM: Final = "bsdtar"
_MIB: Final = 1 << 20
#: Bytes of the longest header, and of the beginning of one that tells its length and the sizes.
_HEADER_BYTES: Final = 4 << 10
_FIXED_BYTES: Final = 22
#: Sizes have 32 bits.
_LARGEST: Final = (1 << 32) - 1
_SILENCE: Final = 60
_DIRECTORY: Final = b"-lhd-"


class LhaMember:
    """The one file of an archive: implements :class:`glimpse.transfer.decompression.Unpacker`."""

    def __init__(self, cpu_seconds: int) -> None:
        """Start the program, which may take ``cpu_seconds``.

        :raises UnsupportedContent: it is not installed.
        :raises Unavailable: it cannot be started now.
        """
        program = shutil.which(PROGRAM)
        if program is None:
            raise UnsupportedContent(
                f"The data are an LHA archive, which the service cannot unpack. An administrator can change that: it "
                f"needs the program {PROGRAM} (Debian: libarchive-tools)."
            )
        limits = Limits(seconds=_SILENCE, cpu_seconds=cpu_seconds, address_space=256 * _MIB, file_size=_MIB)
        try:
            self._filter = LimitedFilter([program, "-xOf", "-"], limits)
        except OSError as error:
            LOG.warning("%s cannot be started: %s", PROGRAM, error)
            raise Unavailable("The decompression cannot be started now.") from error
        self._front = b""
        #: where the file ends in the archive, and its size
        self._ends_at: int | None = None
        self._size = 0
        self._position = 0
        self._made = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the unpacked data in pieces of 64 KiB; exhaust it before the next call.

        :raises UnsupportedContent: the data are no archive with one file, or take too long.
        """
        if self._ends_at is None:
            self._front += data
            data = self._read_header()
            if not data:
                return
        self._check_end(data)
        self._position += len(data)
        yield from self._counted(self._filter.feed(data))

    def finish(self) -> Iterator[bytes]:
        """Yield the rest. Call at the end of the archive.

        :raises UnsupportedContent: it is damaged or incomplete.
        :raises Unavailable: the program was killed.
        """
        if self._ends_at is None:
            raise _damaged()
        yield from self._counted(self._filter.finish())
        try:
            code, errors = self._filter.end()
        except TookTooLong as error:
            raise _too_slow() from error
        if code == 0 and self._made == self._size:
            return
        LOG.warning("%s ended with %d: %s", PROGRAM, code, errors.strip())
        if code < 0:
            raise Unavailable(f"The decompression was ended by signal {-code}.")
        raise _damaged()

    def close(self) -> None:
        """End the program. Safe to call twice."""
        self._filter.close()

    def _counted(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        try:
            for piece in pieces:
                self._made += len(piece)
                if self._made > self._size:
                    raise _damaged()
                yield piece
        except TookTooLong as error:
            raise _too_slow() from error

    def _read_header(self) -> bytes:
        """Return everything so far when it has the beginning of the header, else nothing."""
        front = self._front
        if len(front) < _FIXED_BYTES:
            return b""
        packed, size = int.from_bytes(front[7:11], "little"), int.from_bytes(front[11:15], "little")
        level = front[20]
        if level > 2 or front[2:7] == _DIRECTORY:
            raise UnsupportedContent("The LHA archive does not begin with a file, or has a header of an unknown level.")
        if _LARGEST in {packed, size}:
            raise UnsupportedContent("The LHA archive has a file of 4 GiB or more, which cannot be unpacked.")
        # what a header of level 1 is extended by counts as packed data
        header = int.from_bytes(front[:2], "little") if level == 2 else front[0] + 2
        if not _FIXED_BYTES <= header <= _HEADER_BYTES:
            raise _damaged()
        self._ends_at, self._size = header + packed, size
        self._front = b""
        return front

    def _check_end(self, data: bytes) -> None:
        """:raises UnsupportedContent: something but the end of the archive follows the file."""
        after = data[max(0, (self._ends_at or 0) - self._position) :]
        if after.strip(b"\0"):
            raise UnsupportedContent("The LHA archive has more than one file, or is followed by other data.")


def _damaged() -> UnsupportedContent:
    return UnsupportedContent("The LHA archive is damaged or incomplete.")


def _too_slow() -> UnsupportedContent:
    return UnsupportedContent(f"The LHA archive takes too long: nothing was unpacked for {_SILENCE} seconds.")
