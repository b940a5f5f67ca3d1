"""LUKS partition headers (LUKS1 On-Disk Format 1.2.3, LUKS2 On-Disk Format 1.1); integers big endian."""

import hashlib
import json
import struct
from base64 import b64encode

from tests.support.images.content import KIB, SECTOR, noise, units

MAGIC = b"LUKS\xba\xbe"
HEADER_V1 = struct.Struct(">6sH32s32s32sII20s32sI40s")
KEY_SLOT = struct.Struct(">II32sII")
KEY_SLOTS = 8
KEY_ENABLED, KEY_DISABLED = 0x00AC71F3, 0x0000DEAD
KEY_SIZE = 32
STRIPES = 4000  # of the anti-forensic splitter: the key material is this many keys long
KEY_MATERIAL_SECTORS = units(units(KEY_SIZE * STRIPES, SECTOR), 8) * 8
PAYLOAD_SECTOR = 8 + KEY_SLOTS * KEY_MATERIAL_SECTORS
IDENTIFIER = b"0d5f2f0e-6f0b-4d57-9a51-5a0d2b1d7c11"

HEADER_V2 = struct.Struct(">6sHQQ48s32s64s40s48sQ184x64s")
HEADER_V2_SIZE = 16 * KIB  # binary header of 4 KiB and its JSON area


def luks1(payload_size: int = 64 * KIB) -> bytes:
    """A version 1 container with one key slot in use.

    Header and layout are real; key material and payload are noise, as encrypted bytes would be.
    """
    header = HEADER_V1.pack(
        MAGIC,
        1,
        b"aes",
        b"xts-plain64",
        b"sha256",
        PAYLOAD_SECTOR,
        KEY_SIZE,
        noise(20, "luks key digest"),
        noise(32, "luks key digest salt"),
        1000,
        IDENTIFIER,
    )
    for slot in range(KEY_SLOTS):
        material_at = 8 + slot * KEY_MATERIAL_SECTORS
        if slot == 0:
            header += KEY_SLOT.pack(KEY_ENABLED, 1000, noise(32, "luks slot salt"), material_at, STRIPES)
        else:
            header += KEY_SLOT.pack(KEY_DISABLED, 0, b"", material_at, STRIPES)
    key_material = noise(KEY_SIZE * STRIPES, "luks key material")
    area = header.ljust(8 * SECTOR, b"\0") + key_material
    return area.ljust(PAYLOAD_SECTOR * SECTOR, b"\0") + noise(payload_size, "luks payload")


def luks2(payload_size: int = 64 * KIB) -> bytes:
    """A version 2 header (binary header, JSON area, both twice) without key slots, and a payload."""
    areas = json.dumps(
        {
            "keyslots": {},
            "tokens": {},
            "segments": {
                "0": {
                    "type": "crypt",
                    "offset": str(2 * HEADER_V2_SIZE),
                    "iv_tweak": "0",
                    "size": "dynamic",
                    "encryption": "aes-xts-plain64",
                    "sector_size": SECTOR,
                }
            },
            "digests": {
                "0": {
                    "type": "pbkdf2",
                    "keyslots": [],
                    "segments": ["0"],
                    "hash": "sha256",
                    "iterations": 1000,
                    "salt": b64encode(noise(32, "luks key digest salt")).decode(),
                    "digest": b64encode(noise(32, "luks key digest")).decode(),
                }
            },
            "config": {"json_size": str(HEADER_V2_SIZE - 4 * KIB), "keyslots_size": "0"},
        }
    ).encode()
    copies = [_header_v2(MAGIC, 0, areas), _header_v2(b"SKUL\xba\xbe", HEADER_V2_SIZE, areas)]
    return b"".join(copies) + noise(payload_size, "luks payload")


def _header_v2(magic: bytes, offset: int, areas: bytes) -> bytes:
    def pack(checksum: bytes) -> bytes:
        salt = noise(64, f"luks2 salt {offset}")
        fields = (magic, 2, HEADER_V2_SIZE, 1, b"", b"sha256", salt, IDENTIFIER, b"", offset, checksum)
        return HEADER_V2.pack(*fields).ljust(4 * KIB, b"\0") + areas.ljust(HEADER_V2_SIZE - 4 * KIB, b"\0")

    return pack(hashlib.sha256(pack(b"")).digest())
