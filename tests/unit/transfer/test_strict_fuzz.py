"""Thousands of changed images: what is let in has none of the marks by which QEMU takes another file.

The marks are looked for by a model of QEMU's probe that shares nothing with the code under test. The same images are
shown to a real ``qemu-img`` in ``tests/interop/test_image_oracle.py``.
"""

from __future__ import annotations

import random
import struct

import pytest

from glimpse.errors import UnsupportedContent
from glimpse.settings.model import Formats
from glimpse.transfer.inspect import Inspection
from tests.support.images import HOSTILE, VALID
from tests.support.images.attacks import ATTACKS
from tests.support.images.mutations import mutated, pieces

SECTOR = 512
CASES = 2500
SEEDS = {"valid": VALID, "hostile": HOSTILE, "attacks": ATTACKS}
LENIENT = Formats(require_image_format_match=False)


def let_in(image: bytes, disk_format: str, formats: Formats, cuts: list[tuple[int, int]]) -> bool:
    inspection = Inspection(disk_format, "bare", formats)
    for start, end in cuts:
        inspection.feed(image[start:end])
    try:
        inspection.finish(len(image))
    except UnsupportedContent:
        return False
    return True


def probed_as_text(image: bytes) -> bool:
    """Whether QEMU takes the image for a descriptor on its own, by the 512 bytes that it probes."""
    text = image[:SECTOR].ljust(-(-min(len(image), SECTOR) // SECTOR) * SECTOR, b"\0")
    at = 0
    while at < len(text):
        if text[at : at + 1] == b"#":
            end = text.find(b"\n", at)
            if end < 0:
                return False
            at = end + 1
        elif text[at : at + 1] == b" ":
            while text[at : at + 1] == b" ":
                at += 1
            if text[at : at + 2] == b"\r\n":
                at += 1
            if text[at : at + 1] != b"\n":
                return False
            at += 1
        else:
            versions = (b"version=" + digit + end for digit in (b"1", b"2", b"3") for end in (b"\n", b"\r\n"))
            return text.startswith(tuple(versions), at)
    return False


def marks(image: bytes) -> list[str]:
    """By what of the image a reader would go to another file."""
    found = ["text"] if probed_as_text(image) else []
    padded = image[:1024].ljust(1024, b"\0")
    if image.startswith(b"COWD"):
        found.append("COWD")
    if image.startswith(b"KDMV"):
        if padded[12:20] == bytes(8):
            found.append("capacity 0")
        if b"parentFileNameHint" in image[SECTOR : 21 * SECTOR].split(b"\0")[0]:
            found.append("hint")
    if image.startswith(b"QFI\xfb"):
        version, backing = struct.unpack_from(">IQ", padded, 4)
        if backing or (version >= 3 and padded[79] & 4):
            found.append("backing or data file")
    if image.startswith((b"QED\0", b"OOOM")):
        found.append("QED or COW")
    return found


@pytest.mark.timeout(120)
def test_nothing_that_is_let_in_bears_a_mark() -> None:
    seeds = {f"{name} of {kind}": sample.build() for kind, of in SEEDS.items() for name, sample in of.items()}
    source = random.Random(1)
    passed = marked = 0
    for name, image in mutated(seeds, CASES, seed=20261130):
        cuts = pieces(len(image), source)
        found = marks(image)
        marked += bool(found)
        for disk_format, formats in (("raw", Formats()), ("own", LENIENT)):
            if let_in(image, disk_format, formats, cuts):
                passed += 1
                assert not found, f"{name}, as {disk_format}: {found}, {image[:200]!r}"
    assert passed > CASES // 10, "the fuzz must reach what is let in"
    assert marked > CASES // 10, "the fuzz must make what must not be let in"
