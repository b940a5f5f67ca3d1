"""Decompression of whole images as they pass, for the import plugin ``image_decompression`` (imports-and-stores 2.16).

Unlike ``containers/compression.py``, which only looks into images, this must deliver exactly what was compressed:
damage, truncation and data after the end are errors.
"""

from __future__ import annotations

import lzma
import re
import zlib
from collections.abc import Callable, Generator, Iterator
from importlib import import_module
from typing import Any, Final, Protocol, cast

import msgspec

from glimpse.errors import LimitExceeded, UnsupportedContent
from glimpse.extras import install
from glimpse.transfer.containers.compression import PIECE_BYTES, Decompressor, decompressor_of
from glimpse.transfer.pump import BATCH_BYTES
from glimpse.transfer.zip_member import ZipMember

#: Bytes of the front of the data that :func:`decompression_of` needs.
HEAD_BYTES: Final = 16
#: Bytes that are given to a decompressor at once; it copies what it does not need.
_TAKEN_BYTES: Final = 16 << 10

_LHA: Final = re.compile(rb"(?s)..-lh[0-9d]-")
#: The standard library has it since Python 3.14; the second is the same code for older versions.
_ZSTD_MODULES: Final = ("compression.zstd", "backports.zstd")


class Unpacker(Protocol):
    """Unpacks one file that arrives in parts."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the unpacked data in pieces of limited size; exhaust it before the next call.

        :raises UnsupportedContent: the data are damaged, or followed by others.
        """
        ...

    def finish(self) -> Iterator[bytes]:
        """Yield the rest of the unpacked data. Call at the end of the data.

        :raises UnsupportedContent: they are incomplete.
        """
        ...

    def close(self) -> None:
        """Release what the unpacking needs. Safe to call twice."""
        ...


class Decompression:
    """Decompresses one file, whatever its format.

    It needs a few MiB of memory, and the window of the format: 80 MiB at most for xz, 128 MiB for zstd.
    """

    def __init__(self, kind: str, unpacker: Unpacker, size_cap: int) -> None:
        """See :func:`decompression_of`."""
        #: the name of the format
        self.kind = kind
        #: bytes that were unpacked so far
        self.size = 0
        self._unpacker = unpacker
        self._size_cap = size_cap

    def feed(self, batch: bytes) -> Iterator[bytes]:
        """Yield what the next bytes contain, in batches of about 1 MiB; exhaust it before the next call.

        :raises UnsupportedContent: the data are damaged, or followed by others.
        :raises LimitExceeded: more is unpacked than ``image_size_cap`` allows.
        """
        return self._batches(self._unpacker.feed(batch))

    def finish(self) -> Iterator[bytes]:
        """Yield the rest, as :meth:`feed` does. Call at the end of the compressed data.

        :raises UnsupportedContent: they are damaged or incomplete.
        :raises LimitExceeded: see :meth:`feed`.
        """
        return self._batches(self._unpacker.finish())

    def close(self) -> None:
        """Release what the unpacking needs. Safe to call twice."""
        self._unpacker.close()

    def _batches(self, unpacked: Iterator[bytes]) -> Iterator[bytes]:
        pieces: list[bytes] = []
        gathered = 0
        for piece in unpacked:
            self.size += len(piece)
            if self.size > self._size_cap:
                raise LimitExceeded(
                    f"The decompressed data are too large: {self.size} bytes or more, image_size_cap allows "
                    f"{self._size_cap}."
                )
            pieces.append(piece)
            gathered += len(piece)
            if gathered >= BATCH_BYTES:
                yield b"".join(pieces)
                pieces, gathered = [], 0
        if pieces:
            yield b"".join(pieces)


def decompression_of(head: bytes, size_cap: int, lha: Callable[[], Unpacker]) -> Decompression | None:
    """Return the decompression for data that begin with ``head``, or None if they are not compressed.

    :param head: the first :data:`HEAD_BYTES` bytes, or all if there are fewer. They must be fed as well.
    :param size_cap: maximum bytes of the decompressed data.
    :param lha: makes what unpacks an LHA archive.
    :raises UnsupportedContent: the service cannot unpack this format.
    """
    if head.startswith(b"PK\3\4"):
        return Decompression("zip", ZipMember(), size_cap)
    if _LHA.match(head):
        return Decompression("lha", lha(), size_cap)
    for kind in _KINDS:
        if kind.magic.match(head):
            make = kind.make()
            return Decompression(kind.name, _Streams(kind, make), size_cap)
    return None


class _Kind(msgspec.Struct, frozen=True):
    """A format of compressed streams, of which several may follow each other.

    ``magic`` matches the front of a stream, of which it needs ``magic_bytes`` bytes. Zeros may follow the last stream
    if ``padded``, and also precede another one, in multiples of four, if ``padded_between``.
    """

    name: str
    magic: re.Pattern[bytes]
    magic_bytes: int
    make: Callable[[], Callable[[], Decompressor]]
    padded: bool = False
    padded_between: bool = False


class _Streams:
    """Implements :class:`Unpacker` for all streams of one kind in a file."""

    def __init__(self, kind: _Kind, make: Callable[[], Decompressor]) -> None:
        self._kind = kind
        self._make = make
        self._decompressor: Decompressor | None = None
        self._started = False
        #: the beginning of the next stream, and the zeros before it
        self._pending = b""
        self._zeros = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        for start in range(0, len(data), _TAKEN_BYTES):
            rest = data[start : start + _TAKEN_BYTES]
            while rest:
                if self._decompressor is None:
                    rest = self._next_stream(rest)
                else:
                    rest = yield from self._unpack(self._decompressor, rest)

    def finish(self) -> Iterator[bytes]:
        if self._decompressor is not None or not self._started:
            raise UnsupportedContent(f"The {self._kind.name} data are incomplete: they end too early.")
        if self._pending or (self._kind.padded_between and self._zeros % 4):
            raise self._followed()
        return iter(())

    def close(self) -> None:
        """Nothing is needed."""

    def _next_stream(self, data: bytes) -> bytes:
        """Start the stream that ``data`` begin; return its data, or nothing if more are needed to tell."""
        kind = self._kind
        if kind.padded and self._started and not self._pending:
            stripped = data.lstrip(b"\0")
            self._zeros += len(data) - len(stripped)
            data = stripped
        self._pending += data
        if len(self._pending) < kind.magic_bytes:
            return b""
        data, self._pending = self._pending, b""
        if not kind.magic.match(data) or (self._zeros and (self._zeros % 4 or not kind.padded_between)):
            raise self._followed()
        self._started = True
        self._zeros = 0
        self._decompressor = self._make()
        return data

    def _unpack(self, decompressor: Decompressor, data: bytes) -> Generator[bytes, None, bytes]:
        """Yield what ``data`` contain; return what follows the end of the stream."""
        while True:
            made = self._step(decompressor, data)
            data = b""
            if made:
                yield made
            if decompressor.eof:
                self._decompressor = None
                return decompressor.unused_data
            if len(made) < PIECE_BYTES:
                return b""

    def _step(self, decompressor: Decompressor, data: bytes) -> bytes:
        name = self._kind.name
        try:
            return decompressor.step(data)
        except (zlib.error, lzma.LZMAError, _ZstdFailure, EOFError, OSError, ValueError, MemoryError) as error:
            if isinstance(error, MemoryError) or "emory" in str(error):
                raise UnsupportedContent(
                    f"The {name} data need too much memory to be unpacked; compress them with a smaller window."
                ) from error
            raise UnsupportedContent(f"The {name} data are damaged.") from error

    def _followed(self) -> UnsupportedContent:
        return UnsupportedContent(f"The {self._kind.name} data are damaged, or followed by other data.")


class _ZstdFailure(Exception):
    """The library for zstd reports damaged data; its own error is only known where it is imported."""


class _Zstd:
    def __init__(self, library: Any) -> None:
        self._object = library.ZstdDecompressor()
        self._error = library.ZstdError

    @property
    def eof(self) -> bool:
        return cast("bool", self._object.eof)

    @property
    def unused_data(self) -> bytes:
        return cast("bytes", self._object.unused_data)

    def step(self, data: bytes) -> bytes:
        try:
            return cast("bytes", self._object.decompress(data, PIECE_BYTES))
        except self._error as error:
            raise _ZstdFailure(str(error)) from error


def _zstd() -> Callable[[], Decompressor]:
    for name in _ZSTD_MODULES:
        try:
            library = import_module(name)
        except ModuleNotFoundError:
            continue
        return lambda: _Zstd(library)
    raise UnsupportedContent(
        f"The data are compressed with zstd, which the service cannot unpack. An administrator can change that: it "
        f"needs Python 3.14, or the Python package backports.zstd; {install('zstd')}."
    )


def _known(head: bytes) -> Callable[[], Callable[[], Decompressor]]:
    def make() -> Callable[[], Decompressor]:
        found = decompressor_of(head)
        if found is None:
            raise LookupError(f"no decompressor for {head!r}")
        return found

    return make


_KINDS: Final = (
    _Kind("gzip", re.compile(rb"\x1f\x8b\x08"), 3, _known(b"\x1f\x8b\x08"), padded=True),
    _Kind("xz", re.compile(rb"\xfd7zXZ\0"), 6, _known(b"\xfd7zXZ\0"), padded=True, padded_between=True),
    _Kind("bzip2", re.compile(rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90)"), 10, _known(b"BZh")),
    # the second are frames without data, with which pzstd begins
    _Kind("zstd", re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18"), 4, _zstd),
)
