"""Inspection of hostile data: it accepts or refuses any input, however the bytes are split."""

from __future__ import annotations

import shutil
import subprocess
import sys
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from glimpse.errors import UnsupportedContent
from glimpse.settings.model import Formats
from glimpse.transfer.inspect import Inspection
from tests.support.images import HOSTILE, VALID, Sample, noise

KIB = 1024
MIB = 1024 * KIB
SAMPLES = {**VALID, **HOSTILE}
FORMATS = ("raw", "qcow2", "qed", "vmdk", "vhd", "vhdx", "vdi", "iso", "gpt", "luks", "ami")
#: Where headers, tables and descriptors are, and where a change hurts.
OFFSETS = st.one_of(
    st.integers(0, 600),
    st.integers(32 * KIB, 34 * KIB),
    st.integers(192 * KIB, 193 * KIB),
    st.integers(2 * MIB, 2 * MIB + 70 * KIB),
    st.integers(0, 3 * MIB),
)
PATCHES = st.lists(
    st.tuples(OFFSETS, st.one_of(st.binary(min_size=1, max_size=16), st.sampled_from([b"\xff" * 8, bytes(8)]))),
    max_size=6,
)


@cache
def content(name: str) -> bytes:
    return SAMPLES[name].build()


def outcome(data: bytes, disk_format: str, cuts: list[int], *, strict: bool = True) -> int | str | None:
    """``virtual_size``, or the reason of the refusal; anything else that is raised fails the test."""
    inspection = Inspection(disk_format, "bare", Formats(require_image_format_match=strict))
    for start, end in pairwise(sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})):
        inspection.feed(data[start:end])
    try:
        return inspection.finish(len(data))
    except UnsupportedContent as exc:
        return str(exc)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    name=st.sampled_from(sorted(SAMPLES)),
    disk_format=st.sampled_from(FORMATS),
    patches=PATCHES,
    length=st.one_of(st.none(), OFFSETS),
    cuts=st.lists(OFFSETS, max_size=5),
    strict=st.booleans(),
)
def test_damaged_images(
    name: str, disk_format: str, patches: list[tuple[int, bytes]], length: int | None, cuts: list[int], strict: bool
) -> None:
    data = bytearray(content(name)[:length])
    for offset, patch in patches:
        if offset + len(patch) <= len(data):
            data[offset : offset + len(patch)] = patch
    whole = bytes(data)
    result = outcome(whole, disk_format, cuts, strict=strict)
    assert result == outcome(whole, disk_format, [], strict=strict)
    if isinstance(result, int):
        assert 0 < result < 1 << 63


@settings(max_examples=300, deadline=None)
@given(
    front=st.sampled_from(
        [b"", b"QFI\xfb", b"QED\0", b"conectix", b"vhdxfile", b"KDMV", b"LUKS\xba\xbe", b'createType="', b"# Disk"]
    ),
    data=st.binary(max_size=2000),
    text=st.text(max_size=600),
    disk_format=st.sampled_from(FORMATS),
    strict=st.booleans(),
)
def test_noise_behind_a_signature(front: bytes, data: bytes, text: str, disk_format: str, strict: bool) -> None:
    for whole in (front + data, front + text.encode(), front + text.encode() + data):
        assert outcome(whole, disk_format, [], strict=strict) == outcome(whole, disk_format, [1, 5, 70], strict=strict)


@pytest.mark.parametrize(
    "name", ["qcow2-v3", "vmdk-stream", "vhdx", "iso-hybrid", "luks", "gpt", "vmdk-text-descriptor"]
)
def test_every_length_of_the_front(name: str) -> None:
    whole = content(name)
    for length in [*range(min(len(whole), 1100)), 32 * KIB + 5, 34 * KIB, 256 * KIB, len(whole) - 1]:
        for disk_format in (SAMPLES[name].disk_format, "raw"):
            result = outcome(whole[:length], disk_format, [length // 2])
            assert result is None or isinstance(result, str) or result > 0


def qemu_image(folder: Path, kind: str, options: str, disk: bytes) -> bytes:
    raw, image = folder / "disk.raw", folder / "image"
    raw.write_bytes(disk)
    command = ["qemu-img", "convert", "-f", "raw", "-O", kind, *(["-o", options] if options else []), raw, image]
    subprocess.run(command, check=True, capture_output=True)
    return image.read_bytes()


@pytest.mark.skipif(shutil.which("qemu-img") is None, reason="qemu-img is not installed")
@pytest.mark.parametrize(
    ("kind", "options", "disk_format"),
    [
        ("qcow2", "", "qcow2"),
        ("qcow2", "compat=0.10", "qcow2"),
        ("vmdk", "", "vmdk"),
        ("vmdk", "subformat=streamOptimized", "vmdk"),
        ("vhdx", "", "vhdx"),
        ("vhdx", "subformat=fixed", "vhdx"),
        ("vpc", "force_size=on", "vhd"),
        ("vdi", "", "vdi"),
    ],
)
def test_images_made_by_qemu(tmp_path: Path, kind: str, options: str, disk_format: str) -> None:
    data = qemu_image(tmp_path, kind, options, bytes(MIB) + noise(MIB) + bytes(6 * MIB))
    assert outcome(data, disk_format, list(range(0, len(data), 100_001))) == 8 * MIB
    assert outcome(data, disk_format, []) == 8 * MIB
    assert outcome(data, "raw", []) == len(data)
    assert f"it is {disk_format}, but disk_format is ami" in str(outcome(data, "ami", []))


@pytest.mark.parametrize("sample", VALID.values(), ids=VALID)
def test_no_copy_of_the_stream_is_kept(sample: Sample) -> None:
    """A batch far behind the headers is not looked at, or at its end only."""
    inspection = Inspection(sample.disk_format, "bare", Formats())
    inspection.feed(sample.build().ljust(4 * MIB, b"\0"))
    batch = bytes(MIB)
    inspection.feed(batch)
    references = sys.getrefcount(batch)
    for _ in range(50):
        inspection.feed(batch)
    assert sys.getrefcount(batch) == references
