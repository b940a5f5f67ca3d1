"""Decompression of whole files as they pass: everything that was compressed, or an error."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import random
import struct
import sys
import zipfile
from collections.abc import Callable, Iterator
from typing import NoReturn

import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from glimpse.errors import GlimpseError, LimitExceeded, UnsupportedContent
from glimpse.transfer.decompression import HEAD_BYTES, Decompression, decompression_of

CAP = 1 << 30
MIB = 1 << 20
RANDOM = random.Random(2)
MIXED = b"".join(RANDOM.randbytes(RANDOM.randrange(5000)) + bytes(RANDOM.randrange(50_000)) for _ in range(60))


def no_lha() -> NoReturn:
    """LHA needs a program: tests/unit/conversion/test_lha.py."""
    raise UnsupportedContent("LHA")


def decompression_in(head: bytes, cap: int) -> Decompression | None:
    return decompression_of(head, cap, no_lha)


class Pipe(io.RawIOBase):
    """A stream that a zip archive is written to without going back."""

    def __init__(self) -> None:
        self.data = b""

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self.data += bytes(data)
        return len(data)


def zipped(
    *files: bytes,
    method: int = zipfile.ZIP_DEFLATED,
    piped: bool = False,
    long: bool = False,
    comment: bytes = b"",
    name: str = "disk.raw",
) -> bytes:
    target = Pipe() if piped else io.BytesIO()
    with zipfile.ZipFile(target, "w", method) as archive:  # type: ignore[arg-type]
        for index, data in enumerate(files):
            with archive.open(name if not index else f"{index}", "w", force_zip64=long) as member:
                member.write(data)
        archive.comment = comment
    return target.data if isinstance(target, Pipe) else target.getvalue()  # type: ignore[union-attr]


FORMATS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzip.compress),
    "bzip2": ("bzip2", bz2.compress),
    "xz": ("xz", lzma.compress),
    "deflated": ("zip", zipped),
    "stored": ("zip", lambda data: zipped(data, method=zipfile.ZIP_STORED)),
    "deflated, piped": ("zip", lambda data: zipped(data, piped=True)),
    "stored, piped": ("zip", lambda data: zipped(data, method=zipfile.ZIP_STORED, piped=True)),
    "deflated, long": ("zip", lambda data: zipped(data, long=True, comment=b"PK\5\6")),
    "stored, long": ("zip", lambda data: zipped(data, method=zipfile.ZIP_STORED, long=True)),
    "deflated, piped, long": ("zip", lambda data: zipped(data, piped=True, long=True)),
    "stored, piped, long": ("zip", lambda data: zipped(data, method=zipfile.ZIP_STORED, piped=True, long=True)),
}

STREAMS = ("gzip", "bzip2", "xz")


def unpack(data: bytes, sizes: Iterator[int] | None = None, *, cap: int = CAP) -> bytes:
    found = decompression_in(data[:HEAD_BYTES], cap)
    assert found is not None
    parts: list[bytes] = []
    at = 0
    while at < len(data):
        size = MIB if sizes is None else next(sizes)
        for part in found.feed(data[at : at + size]):
            assert 0 < len(part) <= 2 * MIB
            parts.append(part)
        at += size
    parts += found.finish()
    whole = b"".join(parts)
    assert found.size == len(whole)
    return whole


@pytest.mark.parametrize("name", FORMATS)
class TestEachFormat:
    @pytest.mark.parametrize("data", [b"", b"x", MIXED, bytes(3 * MIB)], ids=["none", "one", "mixed", "zeros"])
    def test_comes_back(self, name: str, data: bytes) -> None:
        kind, compress = FORMATS[name]
        packed = compress(data)
        found = decompression_in(packed[:HEAD_BYTES], CAP)
        assert found is not None
        assert found.kind == kind
        assert unpack(packed) == data

    def test_byte_by_byte(self, name: str) -> None:
        assert unpack(FORMATS[name][1](MIXED[:3000]), iter(lambda: 1, None)) == MIXED[:3000]

    def test_any_truncation_is_noticed(self, name: str) -> None:
        packed = FORMATS[name][1](b"some data, some data")
        for end in range(HEAD_BYTES, len(packed)):
            with pytest.raises(UnsupportedContent):
                unpack(packed[:end])

    def test_other_data_after_the_end_are_noticed(self, name: str) -> None:
        packed = FORMATS[name][1](MIXED[:3000])
        for rest in (b"x", b"\0x", b"PK\3\4", MIXED[:100], MIXED):
            with pytest.raises(UnsupportedContent):
                unpack(packed + rest)

    def test_a_size_cap(self, name: str) -> None:
        packed = FORMATS[name][1](MIXED)
        assert unpack(packed, cap=len(MIXED)) == MIXED
        with pytest.raises(LimitExceeded, match="image_size_cap"):
            unpack(packed, cap=len(MIXED) - 1)

    def test_bombs_end_at_the_cap(self, name: str) -> None:
        packed = FORMATS[name][1](bytes(64 * MIB))
        found = decompression_in(packed[:HEAD_BYTES], 4 * MIB)
        assert found is not None
        parts = (part for at in range(0, len(packed), MIB) for part in found.feed(packed[at : at + MIB]))
        with pytest.raises(LimitExceeded):
            assert max(map(len, parts)) <= 2 * MIB
        assert found.size <= 5 * MIB

    @given(seed=st.integers(0, 1 << 32), count=st.integers(1, 4))
    def test_damage_is_noticed_or_changes_nothing(self, name: str, seed: int, count: int) -> None:
        """Names and times in headers may change without harm."""
        chance = random.Random(seed)
        data = b"abc" * 200 + chance.randbytes(200)
        packed = bytearray(FORMATS[name][1](data))
        for _ in range(count):
            packed[chance.randrange(len(packed))] ^= 1 << chance.randrange(8)
        try:
            if decompression_in(bytes(packed[:HEAD_BYTES]), CAP) is None:
                return
            found = unpack(bytes(packed))
        except GlimpseError:
            return
        assert found == data

    @given(data=st.binary(max_size=2000), seed=st.integers(0, 1 << 32))
    def test_however_it_is_split(self, name: str, data: bytes, seed: int) -> None:
        chance = random.Random(seed)
        assert unpack(FORMATS[name][1](data), iter(lambda: chance.randrange(1, 200), None)) == data


class TestStreams:
    @pytest.mark.parametrize("name", STREAMS)
    def test_several(self, name: str) -> None:
        compress = FORMATS[name][1]
        parts = [MIXED[:70_000], b"", b"x", MIXED[70_000:]]
        assert unpack(b"".join(map(compress, parts))) == MIXED[:70_000] + b"x" + MIXED[70_000:]
        assert unpack(compress(b"x") * 300, iter(lambda: 7, None)) == b"x" * 300

    def test_zeros_behind(self) -> None:
        for size in (1, 4, 100_000):
            assert unpack(gzip.compress(b"x") + bytes(size)) == b"x"
        for size in (4, 100_000):
            assert unpack(lzma.compress(b"x") + bytes(size), iter(lambda: 3, None)) == b"x"
            assert unpack(lzma.compress(b"x") + bytes(size) + lzma.compress(b"y")) == b"xy"
        for packed in (
            bz2.compress(b"x") + bytes(4),
            lzma.compress(b"x") + bytes(3),
            lzma.compress(b"x") + bytes(3) + lzma.compress(b"y"),
            gzip.compress(b"x") + bytes(4) + gzip.compress(b"y"),
        ):
            with pytest.raises(UnsupportedContent):
                unpack(packed)  # fmt: skip

    def test_another_format_behind(self) -> None:
        with pytest.raises(UnsupportedContent, match="followed by other data"):
            unpack(gzip.compress(b"x") + lzma.compress(b"y"))

    def test_too_large_a_window(self) -> None:
        filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 256 * MIB, "mode": lzma.MODE_FAST, "mf": lzma.MF_HC3}]
        packed = lzma.compress(b"x", filters=filters)
        with pytest.raises(UnsupportedContent, match="too much memory"):
            unpack(packed)


class TestZip:
    def test_exactly_one_file(self) -> None:
        for piped in (False, True):
            with pytest.raises(UnsupportedContent, match="several files"):
                unpack(zipped(b"one", b"two", piped=piped))
        with pytest.raises(UnsupportedContent, match="directory"):
            unpack(zipped(b"", name="directory/"))

    def test_nested_archives_stay_as_they_are(self) -> None:
        for piped in (False, True):
            inner = zipped(MIXED[:5000], method=zipfile.ZIP_STORED, piped=piped)
            for outer in (False, True):
                assert unpack(zipped(inner, method=zipfile.ZIP_STORED, piped=outer)) == inner

    def test_what_looks_like_a_descriptor(self) -> None:
        data = b"PK\7\10" * 20_000
        assert unpack(zipped(data, method=zipfile.ZIP_STORED, piped=True), iter(lambda: 1001, None)) == data

    def test_encrypted(self) -> None:
        packed = bytearray(zipped(b"data"))
        packed[6] |= 1
        with pytest.raises(UnsupportedContent, match="encrypted"):
            unpack(bytes(packed))

    def test_other_methods(self) -> None:
        with pytest.raises(UnsupportedContent, match="method 12"):
            unpack(zipped(b"data", method=zipfile.ZIP_BZIP2))

    def test_a_directory_that_contradicts_the_data(self) -> None:
        """Otherwise a program that reads the directory would see other data than those that were inspected."""
        packed = zipped(b"good data")
        central = packed.index(b"PK\1\2")
        # flags, method, checksum, both sizes, name, disk, offset of the header
        for at in (8, 10, 16, 20, 24, 46, 34, 42):
            changed = bytearray(packed)
            changed[central + at] ^= 1
            with pytest.raises(UnsupportedContent):
                unpack(bytes(changed))
        end = packed.index(b"PK\5\6")
        for at in range(4, 20, 2):
            changed = bytearray(packed)
            changed[end + at] ^= 1
            with pytest.raises(UnsupportedContent):
                unpack(bytes(changed))

    def test_a_wrong_checksum(self) -> None:
        for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            packed = zipped(b"data", method=method)
            crc = packed[14:18]
            with pytest.raises(UnsupportedContent, match="another size or checksum"):
                unpack(packed.replace(crc, bytes(4)))

    def test_a_file_of_more_than_4_gib_is_announced_in_zip64(self) -> None:
        size = 5 << 30
        extra = struct.pack("<HHQQ", 1, 16, size, size)
        head = struct.pack("<4sHHHHHIIIHH", b"PK\3\4", 45, 0, 0, 0, 0, 0, 0xFFFFFFFF, 0xFFFFFFFF, 1, len(extra))
        found = decompression_in((head + b"a" + extra)[:HEAD_BYTES], size)
        assert found is not None
        for part in (head, b"a" + extra, MIXED):
            assert b"".join(found.feed(part)) == (MIXED if part is MIXED else b"")
        with pytest.raises(UnsupportedContent, match="incomplete"):
            list(found.finish())


class TestDetection:
    @pytest.mark.parametrize(
        "head", [b"", b"\x1f\x8b", b"QFI\xfb\0\0\0\3", bytes(16), b"PK\5\6", b"BZh9 in a text", b"BZ", MIXED[:16]]
    )
    def test_not_compressed(self, head: bytes) -> None:
        assert decompression_in(head, CAP) is None

    def test_lha_is_refused(self) -> None:
        with pytest.raises(UnsupportedContent, match="LHA"):
            decompression_in(b"\x1f\xa0-lh5-\0\0\0\0\0\0\0\0", CAP)

    def test_zstd_needs_a_library(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("compression.zstd", "backports.zstd"):
            monkeypatch.setitem(sys.modules, name, None)
        with pytest.raises(UnsupportedContent, match=r"backports\.zstd"):
            decompression_in(b"\x28\xb5\x2f\xfd" + bytes(12), CAP)


class TestZstd:
    def compress(self, data: bytes) -> bytes:
        return zstd.compress(data)

    def test_comes_back(self) -> None:
        for data in (b"", b"x", MIXED, bytes(3 * MIB)):
            assert unpack(self.compress(data)) == data
        assert unpack(self.compress(MIXED[:3000]), iter(lambda: 1, None)) == MIXED[:3000]
        skipped = b"\x50\x2a\x4d\x18\x04\0\0\0abcd"
        assert unpack(skipped + self.compress(b"x") + skipped + self.compress(b"y")) == b"xy"

    def test_errors(self) -> None:
        packed = self.compress(b"some data, some data")
        for end in range(4, len(packed)):
            with pytest.raises(UnsupportedContent):
                unpack(packed[:end])
        for rest in (b"x", bytes(4), MIXED):
            with pytest.raises(UnsupportedContent):
                unpack(packed + rest)
        with pytest.raises(UnsupportedContent, match="damaged"):
            unpack(packed[:4] + b"\xff" * 40)
        with pytest.raises(LimitExceeded):
            unpack(self.compress(bytes(64 * MIB)), cap=4 * MIB)
