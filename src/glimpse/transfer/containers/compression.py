"""Decompression of gzip, bzip2 and xz streams, piece by piece.

Python's library has no zstd, and no known program unpacks images in zstd, so such streams are not inspected.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable
from typing import Final, Protocol

from glimpse.errors import UnsupportedContent

#: Maximum number of bytes that one step unpacks.
PIECE_BYTES: Final = 256 << 10
_TAKEN_BYTES: Final = 16 << 10
#: ``xz -9`` needs 65 MiB.
_XZ_MEMORY: Final = 80 << 20
#: Unpacked data may always have this size, and beyond it this many times the size of the compressed stream.
_FREE_BYTES: Final = 256 << 20
_MOST_TIMES: Final = 200
#: Bytes that the start of each compressed stream counts as, because thousands of empty streams cost work too.
_START_COSTS: Final = 64 << 10
#: Bytes needed to detect another compressed stream after the end of one.
_MAGIC_BYTES: Final = 6


class Decompressor(Protocol):
    """The common interface of the library's decompressors."""

    @property
    def eof(self) -> bool:
        """Whether the end of the compressed stream has been reached."""
        ...

    @property
    def unused_data(self) -> bytes:
        """The data after the end."""
        ...

    def step(self, data: bytes) -> bytes:
        """Decompress ``data`` and return at most :data:`PIECE_BYTES`; without data, continue with the previous data."""
        ...


class _Zlib:
    def __init__(self) -> None:
        self._object = zlib.decompressobj(zlib.MAX_WBITS | 16)
        self._rest = b""

    @property
    def eof(self) -> bool:
        return self._object.eof

    @property
    def unused_data(self) -> bytes:
        return self._object.unused_data

    def step(self, data: bytes) -> bytes:
        made = self._object.decompress(self._rest + data, PIECE_BYTES)
        self._rest = self._object.unconsumed_tail
        return made


class _Other:
    def __init__(self, made: bz2.BZ2Decompressor | lzma.LZMADecompressor) -> None:
        self._object = made

    @property
    def eof(self) -> bool:
        return self._object.eof

    @property
    def unused_data(self) -> bytes:
        return self._object.unused_data

    def step(self, data: bytes) -> bytes:
        return self._object.decompress(data, PIECE_BYTES)


_KINDS: tuple[tuple[bytes, Callable[[], Decompressor]], ...] = (
    (b"\x1f\x8b\x08", _Zlib),
    (b"BZh", lambda: _Other(bz2.BZ2Decompressor())),
    (b"\xfd7zXZ\0", lambda: _Other(lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY))),
)


def decompressor_of(head: bytes) -> Callable[[], Decompressor] | None:
    """Return a decompressor for a stream that begins with ``head``, or None."""
    return next((make for magic, make in _KINDS if head.startswith(magic)), None)


class Allowance:
    """The limit on data unpacked from one upload, which stops decompression bombs at any nesting depth."""

    def __init__(self) -> None:
        self._left = _FREE_BYTES

    def grow(self, received: int) -> None:
        """Record received bytes of the upload."""
        self._left += received * _MOST_TIMES

    def take(self, unpacked: int) -> None:
        """Record unpacked bytes.

        :raises UnsupportedContent: there are too many.
        """
        self._left -= unpacked
        if self._left < 0:
            raise UnsupportedContent(
                f"The content is refused: it is more than {_MOST_TIMES} times as large uncompressed as compressed."
            )


class Unpacking:
    """Unpacks one compressed stream, and following ones of the same kind, into a consumer."""

    def __init__(
        self, make: Callable[[], Decompressor], consumer: Callable[[bytes], bool], allowance: Allowance
    ) -> None:
        """``consumer`` gets the next unpacked bytes, and returns False if it needs no more."""
        self._make = make
        self._consumer = consumer
        self._allowance = allowance
        self._decompressor: Decompressor | None = None
        self._between = b""
        self._over = False
        self._start()

    def feed(self, data: bytes) -> None:
        """Unpack the next bytes.

        :raises UnsupportedContent: the unpacked data are too large, or unpacking takes too much memory.

        Errors of ``consumer`` are raised too. Damaged streams end at the damage, without an error.
        """
        # in short pieces, because the unused rest after a short stream is copied
        for start in range(0, len(data), _TAKEN_BYTES):
            piece = data[start : start + _TAKEN_BYTES]
            while piece and not self._over:
                piece = (
                    self._next_stream(piece) if self._decompressor is None else self._unpack(self._decompressor, piece)
                )

    def _start(self) -> None:
        self._allowance.take(_START_COSTS)
        self._decompressor = self._make()

    def _next_stream(self, data: bytes) -> bytes:
        # zeros between streams are padding
        self._between = (self._between + data).lstrip(b"\0")
        if len(self._between) < _MAGIC_BYTES:
            return b""
        data, self._between = self._between, b""
        if decompressor_of(data) is not self._make:
            self._over = True
            return b""
        self._start()
        return data

    def _unpack(self, decompressor: Decompressor, data: bytes) -> bytes:
        """Unpack ``data`` up to its end or the end of the stream; return the rest."""
        try:
            while True:
                made = decompressor.step(data)
                data = b""
                self._allowance.take(len(made))
                if made and not self._consumer(made):
                    self._stop()
                    return b""
                if decompressor.eof:
                    self._decompressor = None
                    return decompressor.unused_data
                if len(made) < PIECE_BYTES:
                    return b""
        except (zlib.error, EOFError, OSError, ValueError):
            self._stop()
        except (lzma.LZMAError, MemoryError) as error:
            self._stop()
            if isinstance(error, MemoryError) or "emory" in str(error):
                raise UnsupportedContent(
                    "The content is refused: decompressing it takes too much memory; compress it with a smaller window."
                ) from error
        return b""

    def _stop(self) -> None:
        self._over = True
        self._decompressor = None
