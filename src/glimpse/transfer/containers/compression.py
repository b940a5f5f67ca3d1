"""Compressed streams: gzip, bzip2 and xz, piece by piece.

Python's library has no zstd, and no reader of images is known that unpacks it: such streams are not looked into.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable
from typing import Final, Protocol

from glimpse.errors import UnsupportedContent

#: Bytes that one step unpacks at most.
PIECE_BYTES: Final = 256 << 10
_TAKEN_BYTES: Final = 16 << 10
#: ``xz -9`` needs 65 MiB.
_XZ_MEMORY: Final = 80 << 20
#: What is unpacked may be this large whatever the compressed stream is, and then so many times as large as that.
_FREE_BYTES: Final = 256 << 20
_MOST_TIMES: Final = 200
#: What the start of one compressed stream counts for: a stream of thousands of empty ones costs work, too.
_START_COSTS: Final = 64 << 10
#: Bytes that tell whether another compressed stream follows the one that ended.
_MAGIC_BYTES: Final = 6


class Decompressor(Protocol):
    """What the decompressors of the library have in common."""

    @property
    def eof(self) -> bool:
        """Whether the end of the compressed stream was reached."""
        ...

    @property
    def unused_data(self) -> bytes:
        """What came after that end."""
        ...

    def step(self, data: bytes) -> bytes:
        """Take ``data`` and give at most :data:`PIECE_BYTES`; with no data, what is left of the data before."""
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
    """What unpacks a stream that begins with ``head``; None where nothing here does."""
    return next((make for magic, make in _KINDS if head.startswith(magic)), None)


class Allowance:
    """How much may be unpacked from one upload: bombs end, whatever they are nested in."""

    def __init__(self) -> None:
        self._left = _FREE_BYTES

    def grow(self, received: int) -> None:
        """So many bytes of the upload have come."""
        self._left += received * _MOST_TIMES

    def take(self, unpacked: int) -> None:
        """So many bytes were unpacked.

        :raises UnsupportedContent: that is too much.
        """
        self._left -= unpacked
        if self._left < 0:
            raise UnsupportedContent(
                f"The content is refused: it is more than {_MOST_TIMES} times as large uncompressed as compressed."
            )


class Unpacking:
    """Unpacks one compressed stream, with those of the same kind that follow it, into a consumer."""

    def __init__(
        self, make: Callable[[], Decompressor], consumer: Callable[[bytes], bool], allowance: Allowance
    ) -> None:
        """``consumer`` takes the next unpacked bytes, and returns False when it wants no more."""
        self._make = make
        self._consumer = consumer
        self._allowance = allowance
        self._decompressor: Decompressor | None = None
        self._between = b""
        self._over = False
        self._start()

    def feed(self, data: bytes) -> None:
        """Unpack the next bytes.

        :raises UnsupportedContent: there is too much in them, or it takes too much memory to unpack.

        Whatever ``consumer`` raises is raised, too. Damaged streams end without an error where they are damaged.
        """
        # in short pieces: what a stream of few bytes leaves over is copied
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
        """Unpack all of ``data``, or up to the end of the stream; returns what is behind that."""
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
