"""Deterministic disk contents, and the byte arithmetic every builder needs."""

import hashlib
from collections.abc import Iterator

SECTOR = 512
KIB = 1024
MIB = 1024 * KIB


def noise(length: int, seed: str = "glimpse") -> bytes:
    """Bytes that look random, never compress, and are the same on every run."""
    return hashlib.shake_256(seed.encode()).digest(length)


def sparse_disk(size: int = MIB, seed: str = "glimpse") -> bytes:
    """A disk as guests leave them: two written areas of noise in a sea of zeros.

    The first area starts at sector 8 and not at 0, so that the disk itself matches no format; a disk too
    small for an area goes without.
    """
    disk = bytearray(size)
    for start, length in ((8 * SECTOR, 8 * KIB), (size // 4 * 3, 12 * KIB)):
        if start + length <= size:
            disk[start : start + length] = noise(length, f"{seed} at {start}")
    return bytes(disk)


def units(length: int, unit: int) -> int:
    """How many units hold `length` bytes."""
    return -(-length // unit)


def padded(data: bytes, unit: int) -> bytes:
    """`data` filled up with zeros to a multiple of `unit`."""
    return data.ljust(units(len(data), unit) * unit, b"\0")


def patched(image: bytes, offset: int, replacement: bytes) -> bytes:
    """`image` with the bytes at `offset` replaced; its length stays."""
    if offset < 0 or offset + len(replacement) > len(image):
        raise ValueError("a patch must lie inside the image")
    return image[:offset] + replacement + image[offset + len(replacement) :]


def written_blocks(data: bytes, block_size: int) -> Iterator[tuple[int, bytes]]:
    """Index and content of each block that is not all zeros; the last one is filled up."""
    for index in range(units(len(data), block_size)):
        block = data[index * block_size : (index + 1) * block_size]
        if block.count(0) != len(block):
            yield index, padded(block, block_size)
