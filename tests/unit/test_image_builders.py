"""The image builders work: the inspector, qemu-img and a virtual PC agree."""

import io
import json
import shutil
import struct
import subprocess
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from oslo_utils.imageutils import format_inspector

from tests.support.images import (
    HOSTILE,
    MESSAGE,
    VALID,
    Sample,
    boot_code,
    bootable_disk,
    gpt_disk,
    iso,
    luks1,
    patched,
    qcow2,
    qed,
    sparse_disk,
    vdi,
    vhd,
    vhd_fixed,
    vhdx,
    vmdk_sparse,
    vmdk_stream,
)
from tests.support.images.vhd import geometry
from tests.support.images.vhdx import crc32c

KIB, MIB = 1024, 1024 * 1024
QEMU_IMG = shutil.which("qemu-img") or "qemu-img"
QEMU_SYSTEM = shutil.which("qemu-system-x86_64") or "qemu-system-x86_64"
needs_qemu_img = pytest.mark.skipif(not shutil.which("qemu-img"), reason="qemu-img is not installed")
needs_qemu_system = pytest.mark.skipif(
    not shutil.which("qemu-system-x86_64"), reason="qemu-system-x86_64 is not installed"
)
valid_samples = pytest.mark.parametrize("sample", VALID.values(), ids=list(VALID))
hostile_samples = pytest.mark.parametrize("sample", HOSTILE.values(), ids=list(HOSTILE))
Builder = Callable[[bytes], bytes]
QEMU_FORMATS = {"vhd": "vpc"}
convertible = {name: sample for name, sample in VALID.items() if sample.disk is not None}


def inspect(image: bytes, chunk_size: int = 64 * KIB) -> dict[str, format_inspector.FileInspector]:
    """The inspectors that recognise the image, by name."""
    stream = format_inspector.InspectWrapper(io.BytesIO(image))
    while stream.read(chunk_size):
        pass
    stream.close()
    return {str(inspector): inspector for inspector in stream.formats or []}


def outcome(sample: Sample, chunk_size: int = 64 * KIB) -> tuple[str | None, str]:
    """How inspection refuses the sample (None: it does not), and by which check."""
    found = inspect(sample.build(), chunk_size)
    assert found.keys() == sample.matches
    if len(found) > 1 and not (found.keys() == {"iso", "gpt"} and sample.disk_format == "iso"):
        return "mismatch", ""
    if sample.disk_format not in {"raw", sample.detected}:
        return "mismatch", ""
    inspector = found[sample.detected]
    try:
        inspector.safety_check()
    except format_inspector.SafetyCheckFailed as failed:
        return "safety", ",".join(failed.failures)
    except format_inspector.ImageFormatError:
        return "incomplete", ""
    try:
        size = inspector.virtual_size or None
    except LookupError:
        return "unsized", ""
    assert size == sample.virtual_size
    return None, ""


@valid_samples
@pytest.mark.parametrize("chunk_size", [500, 64 * KIB, MIB])
def test_valid_sample_passes_inspection(sample: Sample, chunk_size: int) -> None:
    assert (sample.refusal, sample.reason) == (None, "")
    if sample.beyond_library:
        found = inspect(sample.build(), chunk_size)
        assert found.keys() != sample.matches or outcome(sample, chunk_size)[0] is not None
    else:
        assert outcome(sample, chunk_size) == (None, "")


@hostile_samples
@pytest.mark.parametrize("chunk_size", [64 * KIB, MIB])
def test_hostile_sample_is_refused(sample: Sample, chunk_size: int) -> None:
    assert sample.reason
    assert outcome(sample, chunk_size) == (sample.refusal, sample.check)


@pytest.mark.parametrize("sample", [*VALID.values(), *HOSTILE.values()], ids=[*VALID, *HOSTILE])
def test_sample_is_the_same_on_every_build(sample: Sample) -> None:
    assert sample.build() == sample.build()


def test_catalogues_are_keyed_by_name_and_disjoint() -> None:
    assert [sample.name for sample in (*VALID.values(), *HOSTILE.values())] == [*VALID, *HOSTILE]
    assert not VALID.keys() & HOSTILE.keys()


def test_recorded_virtual_size_of_an_image_registered_as_raw_is_its_length() -> None:
    assert VALID["luks"].recorded_virtual_size == len(luks1())
    assert VALID["qcow2-v3"].recorded_virtual_size == MIB
    assert VALID["raw-empty"].recorded_virtual_size is None


def qemu_img(*arguments: str | Path) -> str:
    run = subprocess.run([QEMU_IMG, *map(str, arguments)], capture_output=True, text=True, timeout=30, check=False)
    assert run.returncode == 0, run.stderr
    return run.stdout


def converted(image: bytes, disk_format: str, directory: Path) -> bytes:
    """The raw disk qemu-img finds in the image."""
    source, target = directory / "image", directory / "disk.raw"
    source.write_bytes(image)
    qemu_img("convert", "-f", QEMU_FORMATS.get(disk_format, disk_format), "-O", "raw", source, target)
    return target.read_bytes()


@needs_qemu_img
@pytest.mark.parametrize("sample", convertible.values(), ids=list(convertible))
def test_qemu_img_converts_sample_back_to_its_disk(sample: Sample, tmp_path: Path) -> None:
    assert converted(sample.build(), sample.disk_format, tmp_path) == sample.disk


@needs_qemu_img
@pytest.mark.parametrize("size", [512, 64 * KIB, 3 * MIB + 512, 40 * MIB], ids=str)
@pytest.mark.parametrize(
    ("disk_format", "build"),
    [("qcow2", qcow2), ("vmdk", vmdk_sparse), ("vmdk", vmdk_stream), ("vhd", vhd), ("vdi", vdi), ("vhdx", vhdx)],
    ids=["qcow2", "vmdk-sparse", "vmdk-stream", "vhd", "vdi", "vhdx"],
)
def test_qemu_img_converts_disks_of_any_size(disk_format: str, build: Builder, size: int, tmp_path: Path) -> None:
    disk = patched(sparse_disk(size), size - 3, b"end")
    assert converted(build(disk), disk_format, tmp_path) == disk


@needs_qemu_img
@pytest.mark.parametrize("name", ["qcow2-v2", "qcow2-v3", "qcow2-small-clusters", "qcow2-extended-l2", "vdi", "vhdx"])
def test_qemu_img_check_finds_no_error_in_valid_sample(name: str, tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.write_bytes(VALID[name].build())
    report = json.loads(qemu_img("check", "-f", VALID[name].disk_format, "--output=json", image))
    assert report["check-errors"] == 0
    assert not {"leaks", "corruptions"} & report.keys()


@needs_qemu_img
@pytest.mark.parametrize(
    ("disk_format", "image", "disk_size"),
    [("luks", luks1(), 64 * KIB), ("qed", qed(MIB), MIB), ("vpc", vhd_fixed(sparse_disk()), MIB)],
    ids=["luks", "qed", "vhd-fixed"],
)
def test_qemu_img_reads_the_size_of(disk_format: str, image: bytes, disk_size: int, tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(image)
    report = json.loads(qemu_img("info", "-f", disk_format, "--output=json", path))
    assert report["virtual-size"] == disk_size


@needs_qemu_img
def test_hostile_backing_file_is_one_qemu_would_follow(tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(HOSTILE["qcow2-backing-file"].build())
    assert json.loads(qemu_img("info", "--output=json", path))["backing-filename"] == "/etc/passwd"


def test_gpt_headers_and_entries_carry_their_checksums() -> None:
    disk = gpt_disk()
    for at, own, other, entries_at in ((512, 1, 2047, 2), (MIB - 512, 2047, 1, 2047 - 32)):
        header = disk[at : at + 92]
        assert header[:8] == b"EFI PART"
        assert struct.unpack_from("<I", header, 16)[0] == zlib.crc32(patched(header, 16, bytes(4)))
        assert struct.unpack_from("<QQ", header, 24) == (own, other)
        assert struct.unpack_from("<Q", header, 72)[0] == entries_at
        entries = disk[entries_at * 512 : entries_at * 512 + 128 * 128]
        assert struct.unpack_from("<I", header, 88)[0] == zlib.crc32(entries)


@pytest.mark.parametrize("bootable", [False, True], ids=["plain", "bootable"])
def test_iso_holds_its_files(bootable: bool) -> None:
    files = {"HELLO.TXT": b"hello", "EMPTY.BIN": b"", "LARGE.BIN": bytes(range(256)) * 9}
    disc = iso(files, boot_code=boot_code() if bootable else None)
    assert len(disc) == struct.unpack_from("<I", disc, 16 * 2048 + 80)[0] * 2048
    block, size = struct.unpack_from("<I4xI", disc, 16 * 2048 + 156 + 2)
    directory = disc[block * 2048 : block * 2048 + size]
    found: dict[str, bytes] = {}
    while directory and directory[0]:
        record, directory = directory[: directory[0]], directory[directory[0] :]
        start, length = struct.unpack_from("<I4xI", record, 2)
        name = record[33 : 33 + record[32]].removesuffix(b";1").decode()
        found[name] = disc[start * 2048 : start * 2048 + length]
    assert {name: content for name, content in found.items() if name > "\1"} == files


def test_boot_catalog_validates_and_leads_to_the_code() -> None:
    disc = iso(boot_code=boot_code())
    catalog_at = struct.unpack_from("<I", disc, 17 * 2048 + 71)[0] * 2048
    words = struct.unpack_from("<16H", disc, catalog_at)
    assert sum(words) % 0x10000 == 0
    image_at = struct.unpack_from("<I", disc, catalog_at + 32 + 8)[0] * 2048
    assert disc[image_at:].startswith(boot_code())


def test_bootable_disk_is_incompressible_and_of_the_size_asked() -> None:
    disk = bootable_disk()
    assert len(disk) == 4 * MIB
    assert len(zlib.compress(disk)) > 0.97 * len(disk)
    assert disk[510:512] == b"\x55\xaa"
    assert disk[446] == 0x80
    assert len(bootable_disk(MIB)) == MIB


@needs_qemu_system
@pytest.mark.parametrize("kind", ["disk", "disc", "hybrid"])
def test_image_boots_and_says_its_message(kind: str, tmp_path: Path) -> None:
    image, serial = tmp_path / "image", tmp_path / "serial"
    message = f"Booted from a {kind}."
    drive = ["-drive", f"file={image},format=raw"]
    if kind == "disk":
        image.write_bytes(bootable_disk(message=message))
    elif kind == "disc":
        image.write_bytes(iso(boot_code=boot_code(message)))
        drive = ["-cdrom", str(image)]
    else:
        image.write_bytes(iso(boot_code=boot_code(message), hybrid=True))
    command = [QEMU_SYSTEM, "-display", "none", "-serial", f"file:{serial}", "-no-reboot", "-m", "64"]
    deadline = time.monotonic() + 30
    with subprocess.Popen([*command, "-nic", "none", *drive], stdin=subprocess.DEVNULL) as machine:
        try:
            while not serial.exists() or not serial.read_bytes().endswith(b"\r\n"):
                assert machine.poll() is None
                assert time.monotonic() < deadline, "no message on the serial port"
                time.sleep(0.05)
        finally:
            machine.kill()
    assert serial.read_text().strip() == message


def test_default_message_fits_and_a_long_one_is_refused() -> None:
    assert MESSAGE.encode() in boot_code()
    with pytest.raises(ValueError, match="does not fit"):
        boot_code("x" * 400)


def test_limits_of_the_builders_are_told() -> None:
    with pytest.raises(ValueError, match="inside the image"):
        patched(b"abc", 2, b"xy")
    with pytest.raises(ValueError, match="refcount table"):
        qcow2(b"\1" * (9 * MIB), cluster_bits=9)
    with pytest.raises(ValueError, match="directory block"):
        iso({f"FILE{number}.TXT": b"" for number in range(60)})


def test_crc32c_of_the_digits() -> None:
    assert crc32c(b"123456789") == 0xE3069283


@pytest.mark.parametrize(
    ("size", "expected"),
    [(MIB, (30, 4, 17)), (40 * MIB, (963, 5, 17)), (1024**4, (65535, 16, 255))],
    ids=["1 MiB", "40 MiB", "1 TiB"],
)
def test_vhd_geometry_covers_no_more_than_the_disk(size: int, expected: tuple[int, int, int]) -> None:
    cylinders, heads, per_track = geometry(size)
    assert cylinders * heads * per_track * 512 <= size
    assert (cylinders, heads, per_track) == expected
