"""Legitimate uploads are accepted, similar hostile ones are refused, and operators can read both in the log."""

from __future__ import annotations

import hashlib
import logging
import struct

import pytest

from glimpse.errors import UnsupportedContent
from glimpse.settings.model import Formats
from glimpse.transfer.inspect import Inspection
from glimpse.transfer.partition_table import has_partition_table
from tests.support.images import HOSTILE, VALID, gpt_disk, luks2, mbr_disk, patched, qcow2, sparse_disk, vhd_fixed

MIB = 1 << 20
FOOTER_TYPE, FOOTER_SIZE, FOOTER_CHECKSUM = 60, 48, 64


def inspect(data: bytes, disk_format: str, formats: Formats | None = None) -> int | None:
    inspection = Inspection(disk_format, "bare", formats or Formats(), "the-id")
    inspection.feed(data)
    return inspection.finish(len(data))


def refusal(data: bytes, disk_format: str, formats: Formats | None = None) -> str:
    with pytest.raises(UnsupportedContent) as caught:
        inspect(data, disk_format, formats)
    return str(caught.value)


# -------------------------------------------------------------------------------------------------------- fixed VHD


def footer_patched(image: bytes, at: int, value: bytes) -> bytes:
    """A fixed VHD whose footer says something else, with the checksum of it."""
    footer = patched(patched(image[-512:], at, value), FOOTER_CHECKSUM, bytes(4))
    return image[:-512] + patched(footer, FOOTER_CHECKSUM, struct.pack(">I", ~sum(footer) & 0xFFFFFFFF))


def test_a_fixed_vhd_has_the_size_of_its_disk() -> None:
    assert inspect(vhd_fixed(sparse_disk()), "vhd") == MIB
    assert inspect(vhd_fixed(mbr_disk()), "vhd") == MIB
    assert inspect(vhd_fixed(VALID["iso-hybrid"].build()), "vhd") == len(VALID["iso-hybrid"].build())


def test_a_fixed_vhd_is_a_raw_disk_to_those_who_probe() -> None:
    assert inspect(vhd_fixed(sparse_disk()), "raw") == MIB + 512
    assert "it is raw, but disk_format is qcow2" in refusal(vhd_fixed(sparse_disk()), "qcow2")


@pytest.mark.parametrize(
    "image",
    [
        patched(vhd_fixed(sparse_disk()), MIB + FOOTER_CHECKSUM, bytes(4)),
        footer_patched(vhd_fixed(sparse_disk()), FOOTER_SIZE, struct.pack(">Q", MIB + 512)),
        footer_patched(vhd_fixed(sparse_disk()), FOOTER_SIZE, struct.pack(">Q", 1 << 40)),
        vhd_fixed(sparse_disk()) + bytes(512),
        vhd_fixed(sparse_disk())[:-1],
        sparse_disk(),
        b"conectix",
    ],
    ids=["checksum", "size", "huge size", "not at the end", "cut short", "no footer", "mere cookie"],
)
def test_a_footer_that_does_not_fit_makes_no_vhd(image: bytes) -> None:
    refusal(image, "vhd")


def test_a_differencing_disk_is_no_fixed_vhd() -> None:
    assert "vhd check parent" in refusal(footer_patched(vhd_fixed(sparse_disk()), FOOTER_TYPE, b"\0\0\0\4"), "raw")
    refusal(footer_patched(vhd_fixed(sparse_disk()), FOOTER_TYPE, b"\0\0\0\4"), "vhd")


def test_another_format_in_front_of_a_footer_stays_that_format() -> None:
    assert "it is qcow2, but disk_format is vhd" in refusal(vhd_fixed(qcow2(sparse_disk())), "vhd")
    backed = vhd_fixed(qcow2(sparse_disk(), backing_file=b"/etc/passwd"))
    refusal(backed, "vhd")
    assert "qcow2 check backing_file" in refusal(backed, "vhd", Formats(require_image_format_match=False))


def test_a_disk_in_a_fixed_vhd_is_checked_as_the_disk_itself() -> None:
    assert "gpt check mbr" in refusal(vhd_fixed(HOSTILE["gpt-protective-start"].build()), "vhd")


# ------------------------------------------------------------------------------------------------- partition tables


def sector(*entries: tuple[int, int, int, int]) -> bytes:
    """A boot sector with entries of flag, type, first sector, number of sectors."""
    packed = b"".join(struct.pack("<B3xB3xII", *entry) for entry in entries)
    return bytes(446) + packed.ljust(64, b"\0") + b"\x55\xaa"


@pytest.mark.parametrize(
    ("entries", "table"),
    [
        ([], False),
        ([(0x80, 0x83, 1, 1)], True),
        ([(0, 0, 0, 0), (0, 0x0C, 2048, 100)], True),
        ([(0x7F, 0x83, 1, 1)], False),
        ([(0x80, 0x83, 1, 1), (0x01, 0, 0, 0)], False),
        ([(0, 0x17, 0, 100)], True),
        ([(0, 0x83, 100, 0)], False),
        ([(0x80, 0, 1, 1)], False),
        ([(0, 0xEE, 2, 100)], True),
        ([(0, 0xEE, 0, 0)], True),
        ([(0x42, 0x42, 42, 42), (0x42, 0xEE, 1, 42)], True),
        ([(0x42, 0x42, 42, 42), (0x42, 0xEE, 7, 42)], False),
    ],
)
def test_a_table_is_what_some_reader_takes_for_one(entries: list[tuple[int, int, int, int]], table: bool) -> None:
    assert has_partition_table(sector(*entries)) is table
    assert not has_partition_table(sector(*entries)[:-1])


@pytest.mark.parametrize("disk_format", ["aki", "ari", "ami", "ploop"])
def test_boot_sectors_are_raw_under_formats_nobody_can_inspect(disk_format: str) -> None:
    assert inspect(VALID["boot-sector-with-code-for-a-table"].build(), disk_format) is None
    assert inspect(VALID["floppy"].build(), disk_format) is None


@pytest.mark.parametrize("name", [name for name, sample in HOSTILE.items() if sample.check == "mbr"])
def test_a_gpt_that_breaks_its_checks_is_refused_with_the_option_that_lets_it_pass(name: str) -> None:
    told = refusal(HOSTILE[name].build(), "raw")
    assert told.startswith("The content is refused as unsafe: gpt check mbr: ")
    assert told.endswith("The operator can allow it with [image_format] gpt_safety_checks_nonfatal = mbr.")


# ------------------------------------------------------------------------------------------------------------ LUKS2


def resealed(image: bytes, *, old: bytes = b"", new: bytes = b"", copies: tuple[int, ...] = (0, 1)) -> bytes:
    """A container whose headers say ``new`` in place of ``old``, of the same length, with the checksums of it."""
    whole, size = bytearray(image), 16384
    for copy in copies:
        header = bytearray(whole[copy * size : (copy + 1) * size].replace(old, new.ljust(len(old))))
        header[448:512] = bytes(64)
        header[448:480] = hashlib.sha256(header).digest()
        whole[copy * size : (copy + 1) * size] = header
    return bytes(whole)


def test_luks2_has_the_size_of_its_payload() -> None:
    luks = Formats(disk_formats=("raw", "luks"))
    assert inspect(luks2(), "luks", luks) == 64 << 10
    assert inspect(luks2(3 * MIB), "luks", luks) == 3 * MIB
    assert inspect(luks2(), "raw") == len(luks2())
    assert inspect(resealed(luks2()), "raw") == len(luks2())
    assert "it is luks, but disk_format is qcow2. Set disk_format to raw before" in refusal(luks2(), "qcow2")


@pytest.mark.parametrize(
    ("image", "check"),
    [
        (patched(luks2(), 5000, b"x"), "header"),
        (patched(luks2(), 8, b"\0\0\0\0\0\0\x50\0"), "header"),
        (luks2()[:20_000], "header"),
        (luks2()[:100], "header"),
        (patched(luks2(), 16384, bytes(6)), "header"),
        (resealed(luks2(), old=b'"iterations": 1000', new=b'"iterations": 9999', copies=(1,)), "header"),
        (resealed(luks2(), old=b'"offset": "32768"', new=b'"offset": "0"'), "segments"),
        (resealed(luks2(), old=b'"offset": "32768"', new=b'"offset": "32767"'), "segments"),
        (resealed(luks2(), old=b'"type": "crypt"', new=b'"type": "other"'), "segments"),
        (resealed(luks2(), old=b'"segments": {"0"', new=b'"segments": ["0"'), "metadata"),
        (resealed(luks2(), old=b'"offset": "32768"', new=b'"offset": "-1"'), "metadata"),
    ],
)
def test_a_luks2_header_that_is_not_sound_is_refused(image: bytes, check: str) -> None:
    for disk_format in ("raw", "luks"):
        assert f"luks check {check}: " in refusal(image, disk_format, Formats(disk_formats=("raw", "luks")))


KEYSLOT = (
    '{"0": {"type": "luks2", "area": {"type": "raw", "offset": "OFFSET", "size": "SIZE"},'
    ' "kdf": {"type": "argon2id", "time": TIME, "memory": MEMORY, "cpus": CPUS}}}'
)


@pytest.mark.parametrize(
    ("values", "check"),
    [
        ({}, None),
        ({"OFFSET": "32767"}, "keyslots"),
        ({"SIZE": "4097"}, "keyslots"),
        ({"TIME": "1001"}, "keyslots"),
        ({"MEMORY": "4194305"}, "keyslots"),
        ({"CPUS": "5"}, "keyslots"),
        ({"raw": "datashift"}, "keyslots"),
    ],
)
def test_key_slots_lie_before_the_data_and_open_in_bounded_memory_and_time(
    values: dict[str, str], check: str | None
) -> None:
    text = KEYSLOT
    for name, value in {
        "OFFSET": "32768",
        "SIZE": "4096",
        "TIME": "4",
        "MEMORY": "1048576",
        "CPUS": "4",
        **values,
    }.items():
        text = text.replace(name, value)
    image = resealed_with_keyslots(text.encode())
    if check is None:
        assert inspect(image, "raw") == len(image)
    else:
        assert f"luks check {check}: " in refusal(image, "raw")


def resealed_with_keyslots(keyslots: bytes) -> bytes:
    """A container with these key slots, its data moved behind an area of 4 KiB for them."""
    whole, size = bytearray(luks2()), 16384
    for copy in (0, 1):
        area = bytes(whole[copy * size + 4096 : (copy + 1) * size]).rstrip(b"\0")
        area = area.replace(b'"keyslots": {}', b'"keyslots": ' + keyslots).replace(b'"32768"', b'"36864"', 1 << 4)
        area = area.replace(b'"offset": "36864", "size": "4', b'"offset": "32768", "size": "4')
        whole[copy * size + 4096 : (copy + 1) * size] = area.ljust(size - 4096, b"\0")
    return resealed(bytes(whole[: 2 * size]) + bytes(4096) + bytes(whole[2 * size :]))


# ------------------------------------------------------------------------------------------ messages and warnings


def test_a_mismatch_names_the_check_the_format_and_the_option() -> None:
    assert refusal(qcow2(sparse_disk()), "vmdk") == (
        "The content is refused (check disk_format): it is qcow2, but disk_format is vmdk. Set disk_format to qcow2 "
        "before the upload. The operator can allow it with [image_format] require_image_format_match = false."
    )
    assert "Set disk_format to raw before" in refusal(gpt_disk(), "qcow2")
    polyglot = refusal(HOSTILE["polyglot-qcow2-mbr"].build(), "raw")
    assert "it is gpt and qcow2" in polyglot
    assert "Set disk_format" not in polyglot


def test_what_is_let_in_although_a_check_fails_is_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    data = HOSTILE["gpt-protective-start"].build()
    assert inspect(data, "raw", Formats(gpt_safety_checks_nonfatal=("mbr",))) == len(data)
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert "Image the-id is accepted although it is unsafe" in record.getMessage()
    assert "gpt check mbr: " in record.getMessage()


def test_a_mismatch_that_is_let_in_is_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    assert inspect(qcow2(sparse_disk()), "vmdk", Formats(require_image_format_match=False)) is None
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert "Image the-id is accepted without safety checks" in record.getMessage()
    assert "check disk_format: it is qcow2, but disk_format is vmdk." in record.getMessage()


def test_nothing_is_said_of_what_passes_its_checks(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    for sample in VALID.values():
        inspect(sample.build(), sample.disk_format, Formats(gpt_safety_checks_nonfatal=("mbr",)))
    assert not caplog.records
