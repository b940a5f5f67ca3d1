"""LHA archives are unpacked by ``bsdtar``: one file, whole, or a reason."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from contextlib import closing

import pytest

from glimpse.conversion.lha import LhaMember
from glimpse.errors import LimitExceeded, UnsupportedContent
from glimpse.transfer.decompression import HEAD_BYTES, decompression_of
from tests.support.images.lha import archive, member
from tests.support.needs import unavailable

pytestmark = pytest.mark.interop

MIB = 1 << 20
DATA = random.Random(5).randbytes(300_000) + bytes(2 * MIB) + b"the end"


@pytest.fixture(autouse=True)
def _program() -> None:
    if shutil.which("bsdtar") is None:
        unavailable("bsdtar is not installed: Debian has it in libarchive-tools")


def unpacked(packed: bytes, sizes: Iterator[int] | None = None, *, cap: int = 1 << 30) -> bytes:
    made = decompression_of(packed[:HEAD_BYTES], cap, lambda: LhaMember(60))
    assert made is not None
    parts: list[bytes] = []
    at = 0
    with closing(made):
        while at < len(packed):
            size = MIB if sizes is None else next(sizes)
            parts += made.feed(packed[at : at + size])
            at += size
        parts += made.finish()
    assert max(map(len, parts), default=0) <= 2 * MIB
    return b"".join(parts)


@pytest.mark.parametrize("stored", [False, True], ids=["compressed", "stored"])
@pytest.mark.parametrize("level", [0, 1])
@pytest.mark.parametrize("data", [DATA[:100], DATA, bytes(3 * MIB)], ids=["few", "mixed", "zeros"])
def test_comes_back(data: bytes, level: int, stored: bool) -> None:
    assert unpacked(archive(data, stored=stored, level=level)) == data


def test_byte_by_byte() -> None:
    assert unpacked(archive(DATA[:3000]), iter(lambda: 1, None)) == DATA[:3000]


def test_truncation_is_noticed() -> None:
    packed = archive(DATA[:3000])
    for end in (HEAD_BYTES, 21, 22, 40, len(packed) // 2, len(packed) - 20):
        with pytest.raises(UnsupportedContent, match="damaged or incomplete"):
            unpacked(packed[:end])


def test_damage_is_noticed() -> None:
    packed = bytearray(archive(DATA[:3000], stored=True))
    packed[-100] ^= 1
    with pytest.raises(UnsupportedContent, match="damaged or incomplete"):
        unpacked(bytes(packed))


@pytest.mark.parametrize("rest", [b"x", member(b"second"), DATA], ids=["byte", "file", "data"])
def test_what_follows_the_file_is_noticed(rest: bytes) -> None:
    with pytest.raises(UnsupportedContent, match="more than one file"):
        unpacked(member(DATA[:3000]) + rest + b"\0")


def test_a_file_that_is_longer_than_its_header_says() -> None:
    packed = bytearray(archive(DATA[:3000]))
    packed[11:15] = (2000).to_bytes(4, "little")
    packed[1] = sum(packed[2 : packed[0] + 2]) & 0xFF
    with pytest.raises(UnsupportedContent, match="damaged or incomplete"):
        unpacked(bytes(packed))


@pytest.mark.parametrize(
    ("at", "value", "reason"),
    [(20, b"\3", "unknown level"), (2, b"-lhd-", "does not begin with a file"), (7, b"\xff" * 4, "4 GiB or more")],
    ids=["level", "directory", "size"],
)
def test_headers_that_are_refused(at: int, value: bytes, reason: str) -> None:
    packed = bytearray(archive(DATA[:3000]))
    packed[at : at + len(value)] = value
    with pytest.raises(UnsupportedContent, match=reason):
        unpacked(bytes(packed))


def test_bombs_end_at_the_cap() -> None:
    packed = archive(bytes(64 * MIB))
    assert len(packed) < 300 << 10
    with pytest.raises(LimitExceeded, match="image_size_cap"):
        unpacked(packed, cap=4 * MIB)


def test_closing_in_the_middle_ends_the_program() -> None:
    made = LhaMember(60)
    packed = archive(DATA)
    list(made.feed(packed[:100_000]))
    made.close()
    made.close()


def test_without_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UnsupportedContent, match="libarchive-tools"):
        LhaMember(60)
