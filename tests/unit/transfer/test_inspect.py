"""Decisions of content inspection (images-api 4.5)."""

from __future__ import annotations

import struct

import pytest

from glimpse.errors import UnsupportedContent
from glimpse.settings.model import Formats
from glimpse.transfer.inspect import Inspection
from tests.support.images import (
    HOSTILE,
    VALID,
    Sample,
    gpt_disk,
    mbr_disk,
    patched,
    qcow2,
    sparse_disk,
    vmdk_descriptor,
)

MIB = 1 << 20
STRICT = Formats()
LENIENT = Formats(require_image_format_match=False)


def inspect(
    data: bytes, disk_format: str, formats: Formats = STRICT, *, container_format: str = "bare", step: int = MIB
) -> int | None:
    inspection = Inspection(disk_format, container_format, formats)
    for start in range(0, len(data), step):
        inspection.feed(data[start : start + step])
    return inspection.finish(len(data))


@pytest.mark.parametrize("step", [977, 65536, MIB, 64 * MIB])
@pytest.mark.parametrize("sample", VALID.values(), ids=VALID)
def test_accepts_what_is_valid(sample: Sample, step: int) -> None:
    assert inspect(sample.build(), sample.disk_format, step=step) == sample.recorded_virtual_size


@pytest.mark.parametrize("step", [977, 65536, MIB, 64 * MIB])
@pytest.mark.parametrize("sample", HOSTILE.values(), ids=HOSTILE)
def test_refuses_what_is_hostile(sample: Sample, step: int) -> None:
    with pytest.raises(UnsupportedContent) as caught:
        inspect(sample.build(), sample.disk_format, step=step)
    reason = str(caught.value)
    if sample.refusal == "safety":
        assert f"{sample.detected} check {sample.check}: " in reason
    elif sample.refusal != "mismatch" and sample.strict:
        assert f"unsafe: {sample.strict}: " in reason
    elif sample.refusal == "mismatch":
        assert f"it is {' and '.join(sorted(sample.matches))}, but disk_format is {sample.disk_format}." in reason
    else:
        assert f"could not be parsed as {sample.detected}" in reason


@pytest.mark.parametrize("sample", HOSTILE.values(), ids=HOSTILE)
def test_without_require_image_format_match_only_mismatches_pass(sample: Sample) -> None:
    if sample.refusal == "mismatch" and not sample.strict:
        assert inspect(sample.build(), sample.disk_format, LENIENT) is None
    else:
        with pytest.raises(UnsupportedContent, match=sample.strict or "refused as unsafe|could not be parsed"):
            inspect(sample.build(), sample.disk_format, LENIENT)


def test_a_mismatch_that_may_pass_is_checked_by_our_own_reading_only() -> None:
    with pytest.raises(UnsupportedContent, match="qcow2 check backing_file"):
        inspect(HOSTILE["qcow2-backing-file"].build(), "vmdk", LENIENT)
    assert inspect(HOSTILE["gpt-protective-start"].build(), "vmdk", LENIENT) is None


@pytest.mark.parametrize("sample", HOSTILE.values(), ids=HOSTILE)
def test_other_containers_are_inspected_by_our_own_reading_only(sample: Sample) -> None:
    of_the_library = sample.detected in {"gpt", "luks"} or sample.name == "qcow2-extended-l2"
    if sample.strict or (sample.refusal == "safety" and not of_the_library):
        with pytest.raises(UnsupportedContent, match=sample.strict or "unsafe"):
            inspect(sample.build(), sample.disk_format, container_format="ovf")
    else:
        assert inspect(sample.build(), sample.disk_format, container_format="ovf") is None
    unlooked = Formats(uninspected_containers=("ovf",))
    assert inspect(sample.build(), sample.disk_format, unlooked, container_format="ovf") is None


@pytest.mark.parametrize("sample", [s for s in HOSTILE.values() if s.refusal == "safety"], ids=lambda s: s.name)
def test_registering_as_raw_does_not_hide_a_danger(sample: Sample) -> None:
    with pytest.raises(UnsupportedContent, match="unsafe"):
        inspect(sample.build(), "raw", LENIENT)


@pytest.mark.parametrize("name", ["qcow2-v3", "vmdk-sparse", "vhdx", "vdi", "vhd", "luks", "gpt"])
def test_a_safe_image_registered_as_raw_counts_its_bytes(name: str) -> None:
    data = VALID[name].build()
    assert inspect(data, "raw") == len(data)


@pytest.mark.parametrize("disk_format", ["ami", "ari", "aki", "ploop", "own"])
def test_formats_nobody_can_inspect(disk_format: str) -> None:
    assert inspect(sparse_disk(), disk_format) is None
    with pytest.raises(UnsupportedContent, match="it is qcow2, but disk_format is"):
        inspect(qcow2(sparse_disk()), disk_format)
    assert inspect(qcow2(sparse_disk()), disk_format, LENIENT) is None


@pytest.mark.parametrize("disk_format", ["gpt", "luks"])
def test_formats_whose_virtual_size_is_that_of_the_stream(disk_format: str) -> None:
    sample = VALID[disk_format]
    data = sample.build() + bytes(3 * MIB)
    assert inspect(data, disk_format) == (sample.virtual_size or 0) + 3 * MIB


def test_iso_hybrid_is_an_iso_or_a_raw_disk() -> None:
    hybrid = VALID["iso-hybrid"].build()
    assert inspect(hybrid, "iso") == VALID["iso-hybrid"].virtual_size
    assert inspect(hybrid, "raw") == len(hybrid)
    assert inspect(hybrid, "gpt", LENIENT) is None
    with pytest.raises(UnsupportedContent, match="gpt and iso"):
        inspect(hybrid, "gpt")


@pytest.mark.parametrize("name", [name for name, sample in HOSTILE.items() if sample.check == "mbr"])
def test_nonfatal_gpt_checks(name: str) -> None:
    data = HOSTILE[name].build()
    assert inspect(data, "raw", Formats(gpt_safety_checks_nonfatal=("mbr", "gptmbr"))) == len(data)
    with pytest.raises(UnsupportedContent, match="gpt check mbr"):
        inspect(data, "raw", Formats(gpt_safety_checks_nonfatal=("gptmbr",)))


def test_nonfatal_checks_are_those_of_gpt_alone() -> None:
    with pytest.raises(UnsupportedContent, match="backing_file"):
        inspect(
            HOSTILE["qcow2-backing-file"].build(), "qcow2", Formats(gpt_safety_checks_nonfatal=("mbr", "backing_file"))
        )


def test_an_empty_stream() -> None:
    assert inspect(b"", "raw") is None
    assert inspect(b"", "ami") is None
    with pytest.raises(UnsupportedContent, match="it is raw, but disk_format is qcow2"):
        inspect(b"", "qcow2")


def test_virtual_size_0_is_unknown() -> None:
    assert inspect(patched(qcow2(sparse_disk()), 24, bytes(8)), "qcow2") is None


@pytest.mark.parametrize(
    ("offsets", "disk_format", "reason"),
    [
        ((24,), "qcow2", "virtual size cannot be"),
        ((12,), "vmdk", "vmdk check capacity: a disk cannot have"),
        ((40, -472), "vhd", "virtual size cannot be"),
        ((368,), "vdi", "vdi check blocks: 1 blocks of 1048576 bytes cannot hold"),
    ],
)
def test_a_virtual_size_no_database_can_hold(offsets: tuple[int, ...], disk_format: str, reason: str) -> None:
    name = {"qcow2": "qcow2-v3", "vmdk": "vmdk-sparse"}.get(disk_format, disk_format)
    data = VALID[name].build()
    for offset in offsets:
        data = patched(data, offset % len(data), b"\xff" * 8)
    with pytest.raises(UnsupportedContent, match=reason):
        inspect(data, disk_format)


def test_luks_data_beyond_the_end() -> None:
    data = patched(VALID["luks"].build(), 104, struct.pack(">I", 0xFFFFFFF0))
    with pytest.raises(UnsupportedContent, match="virtual size cannot be -"):
        inspect(data, "luks")


@pytest.mark.parametrize("step", [10, 100, 4096, MIB])
def test_a_descriptor_is_found_however_it_is_cut(step: int) -> None:
    """Its parser looks once: fed with the first crumb alone, it would not see the createType."""
    descriptor = vmdk_descriptor(MIB, create_type="monolithicFlat", extents=['RW 2048 FLAT "/etc/passwd" 0'])
    comments = b"# nothing to see\n" * 1000
    head, _, rest = descriptor.partition(b"\n")
    with pytest.raises(UnsupportedContent, match="vmdk check descriptor"):
        inspect(head + b"\n" + comments + rest, "raw", step=step)


def test_text_that_is_no_descriptor_is_raw() -> None:
    text = b"A text, longer than a sector. " * 40 + "Größe".encode() + b"\0more"
    assert inspect(text, "raw") == len(text)
    descriptor = b"# Disk DescriptorFile\nversion=1\n" + b"# \n" * 300 + b'createType="monolithicFlat"\n'
    with pytest.raises(UnsupportedContent, match="could not be parsed as vmdk"):
        inspect(descriptor + "Größe".encode(), "raw")


def test_a_vhdx_whose_region_table_is_damaged() -> None:
    data = patched(VALID["vhdx"].build(), 192 * 1024, b"none")
    for disk_format in ("vhdx", "raw", "qcow2"):
        with pytest.raises(UnsupportedContent, match="vhdx check regions: the two region tables differ"):
            inspect(data, disk_format, LENIENT)


def test_what_follows_the_front_is_seen_by_those_who_need_it() -> None:
    """A footer at the end of a stream of many batches, and of none that ends where a piece does."""
    stream = VALID["vmdk-stream"].build()
    long = stream[:-1536] + bytes(3 * MIB + 512) + stream[-1536:]
    assert inspect(long, "vmdk") == inspect(long, "vmdk", step=1000) == VALID["vmdk-stream"].virtual_size
    with pytest.raises(UnsupportedContent, match="vmdk check footer"):
        inspect(long + bytes(512), "vmdk")


def test_a_partition_table_needs_only_its_sector() -> None:
    assert inspect(mbr_disk()[:512], "raw") == 512
    assert inspect(gpt_disk()[:511], "raw") == 511
