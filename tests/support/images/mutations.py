"""Changed copies of images, the same on every run: damage where headers are, and words in descriptors."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator, Mapping
from itertools import pairwise

from tests.support.images.attacks import CANARY, FLAT, HINT
from tests.support.images.content import KIB, MIB, SECTOR

#: Where headers, tables and descriptors are, and how often each place is taken.
_PLACES = ((0, 128), (0, 128), (0, SECTOR), (SECTOR, 2 * SECTOR), (0, 10 * KIB), (64 * KIB, 193 * KIB), (0, 3 * MIB))
_NUMBERS = (0, 1, 2, 3, 4, 8, 9, 16, 20, 64, 128, 512, 2048, 1 << 16, 1 << 20, 0x7FFFFFFF, 0xFFFFFFFF)
_FRONTS = (b"KDMV", b"COWD", b"QFI\xfb", b"QED\0", b"conectix", b"vhdxfile", b"# Disk DescriptorFile\n", b"version=1\n")
#: Lines that descriptors are given, or have in the place of one of theirs.
_LINES = (
    HINT,
    f"# {HINT}",
    f'ddb.comment = "{HINT}',
    FLAT,
    FLAT.replace(" ", "\t"),
    f"{FLAT} =",
    f'RW 2048 SPARSE "{CANARY}"',
    f'RW 2048 VMFS "{CANARY}"',
    "RW 2048 ZERO",
    f'RW 128 FLAT "./{CANARY}" 0',
    f'RW 128 FLAT "json:{{\\"driver\\":\\"file\\",\\"filename\\":\\"{CANARY}\\"}}" 0',
    'createType="monolithicFlat"',
    'createType="monolithicSparse"',
    'createType="twoGbMaxExtentFlat"',
    '# createType="monolithicFlat"',
    'CREATETYPE="monolithicSparse"',
    "version=1",
    "version=2",
    "version=1\r",
    "# Disk DescriptorFile",
    "parentCID=12345678",
    "parentCID=ffffffff",
    "CID=1",
    "",
    "   ",
    "# \x01",
    "# \xff",
    "\x00",
    'encoding="UTF-8"',
    'ddb.adapterType = "ide"',
)


def mutated(seeds: Mapping[str, bytes], number: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """``number`` images: the name of the seed that each was made of, and its bytes."""
    source = random.Random(seed)
    names = sorted(seeds)
    for index in range(number):
        name = names[index % len(names)]
        image = bytearray(seeds[name])
        for _ in range(source.choice((1, 1, 1, 2, 3, 5))):
            _change(image, seeds[source.choice(names)], source)
        yield name, bytes(image)


def _change(image: bytearray, other: bytes, source: random.Random) -> None:
    if is_described(image) and source.random() < 0.7:
        _change_lines(image, source)
        return
    at = _place(image, source)
    match source.randrange(8):
        case 0 | 1:
            image[at : at + 1] = source.randbytes(1)
        case 2 | 3 | 4:
            _put(image, at // 4 * 4, _number(source))
        case 5:
            _put(image, at, other[at : at + source.choice((4, 16, 512))])
        case 6:
            _put(image, 0, source.choice(_FRONTS))
        case _:
            _resize(image, source)


def is_described(image: bytes | bytearray) -> bool:
    """Whether there is a descriptor, at the front or in the second sector."""
    return b"version=" in image[:1024] or b"createType" in image[: 4 * KIB]


def _change_lines(image: bytearray, source: random.Random) -> None:
    """Change the lines of a descriptor and leave its area as long as it was, if it is inside an image."""
    inside = image.startswith(b"KDMV")
    start, stop = (SECTOR, 21 * SECTOR) if inside else (0, min(len(image), 64 * KIB))
    lines = bytes(image[start:stop]).rstrip(b"\0").split(b"\n")
    at = source.randrange(len(lines))
    line = source.choice(_LINES).encode("latin-1")
    match source.randrange(7):
        case 0 | 1:
            lines.insert(at, line)
        case 2:
            lines[at] = line
        case 3:
            del lines[at]
        case 4:
            lines[at] = source.choice((lines[at].swapcase(), lines[at].replace(b" ", b"\t"), lines[at] + b" 0 ="))
        case 5:
            lines[at] = lines[at].replace(b"=", source.choice((b" = ", b"= ", b"==", b"\0=")))
        case _:
            source.shuffle(lines)
    if inside and source.randrange(4) == 0:
        image[12:20] = bytes(8)  # a capacity of 0, with which the descriptor counts
    text = b"\n".join(lines)
    image[start:stop] = text[: stop - start].ljust(stop - start, b"\0") if inside else text


def _place(image: bytearray, source: random.Random) -> int:
    if source.randrange(8) == 0:
        return max(0, len(image) - source.randrange(1, 3 * SECTOR))
    start, stop = source.choice(_PLACES)
    return min(source.randrange(start, stop), max(0, len(image) - 1))


def _number(source: random.Random) -> bytes:
    number = source.choice(_NUMBERS)
    return struct.pack(source.choice(("<I", ">I", "<Q", ">Q")), number)


def _put(image: bytearray, at: int, value: bytes) -> None:
    if at + len(value) <= len(image):
        image[at : at + len(value)] = value


def _resize(image: bytearray, source: random.Random) -> None:
    length = source.choice((source.randrange(1, 2048), len(image) // 2, len(image) - 1, len(image) - SECTOR))
    if source.randrange(3):
        del image[max(1, length) :]
    else:
        image += source.randbytes(source.choice((1, SECTOR, 4096)))


def pieces(length: int, source: random.Random) -> list[tuple[int, int]]:
    """``length`` bytes cut in up to five pieces, as pairs of start and end."""
    cuts = sorted({0, length, *(source.randrange(length + 1) for _ in range(source.randrange(5)))})
    return list(pairwise(cuts))
