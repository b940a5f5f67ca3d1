"""LHA archives: members that are stored, or compressed in blocks of literals or of one repeated byte."""

from __future__ import annotations

import struct

_BLOCK = 65_535


def _crc16(data: bytes) -> int:
    """CRC-16 with the polynomial 0x8005, the lowest bit first."""
    table = [0] * 256
    for number in range(256):
        value = number
        for _ in range(8):
            value = (value >> 1) ^ (0xA001 if value & 1 else 0)
        table[number] = value
    crc = 0
    for byte in data:
        crc = (crc >> 8) ^ table[(crc ^ byte) & 0xFF]
    return crc


class _Bits:
    def __init__(self) -> None:
        self._text: list[str] = []

    def put(self, value: int, count: int) -> None:
        self._text.append(f"{value:0{count}b}")

    def put_bytes(self, data: bytes) -> None:
        self._text.append(f"{int.from_bytes(data, 'big'):0{8 * len(data)}b}")

    def whole(self) -> bytes:
        text = "".join(self._text)
        text += "0" * (-len(text) % 8)
        return int(text or "0", 2).to_bytes(len(text) // 8, "big")


def _compressed(data: bytes) -> bytes:
    """The method lh5, without any reference to earlier data."""
    bits = _Bits()
    for start in range(0, len(data), _BLOCK):
        block = data[start : start + _BLOCK]
        bits.put(len(block), 16)
        bits.put(0, 5)
        # libarchive refuses archives whose first block is of this kind
        repeated = start > 0 and len(set(block)) == 1
        if repeated:
            # a tree with this code alone, which takes no bit
            bits.put(0, 5)
            bits.put(0, 9)
            bits.put(block[0], 9)
        else:
            # codes of eight bits for the 256 literals
            bits.put(10, 5)
            bits.put(256, 9)
        bits.put(0, 8)
        if not repeated:
            bits.put_bytes(block)
    return bits.whole()


def member(data: bytes, *, stored: bool = False, level: int = 0, name: bytes = b"disk.raw") -> bytes:
    """One member, without the byte that ends the archive; ``level`` of the header is 0 or 1."""
    body = data if stored else _compressed(data)
    method = b"-lh0-" if stored else b"-lh5-"
    fixed = method + struct.pack("<III", len(body), len(data), 0x5A21_0000)
    rest = fixed + bytes((0x20, level, len(name))) + name + struct.pack("<H", _crc16(data))
    if level == 1:
        rest += b"U" + struct.pack("<H", 0)
    return bytes((len(rest), sum(rest) & 0xFF)) + rest + body


def archive(*files: bytes, stored: bool = False, level: int = 0) -> bytes:
    """An archive of these files."""
    return b"".join(member(data, stored=stored, level=level, name=b"%d" % at) for at, data in enumerate(files)) + b"\0"
