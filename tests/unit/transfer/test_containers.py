"""Images in containers: content with a disk that refers to another file is refused, legitimate content is accepted."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import lzma
import random
import tarfile
import zlib

import pytest

from glimpse.errors import UnsupportedContent
from glimpse.settings.model import Formats
from glimpse.transfer.inspect import Inspection
from tests.support.images.content import KIB, MIB, noise, sparse_disk
from tests.support.images.qcow2 import qcow2
from tests.support.images.vmdk import vmdk_stream

DISK = sparse_disk(256 * KIB)
UNSAFE = qcow2(DISK, backing_file=b"/etc/passwd")
SAFE = qcow2(DISK)
STREAM = vmdk_stream(DISK)
FLAT = b'# Disk DescriptorFile\nversion=1\ncreateType="monolithicFlat"\nRW 2048 FLAT "/etc/passwd" 0\n'
OVF = b'<?xml version="1.0"?>\n<Envelope><References><File href="disk.vmdk"/></References></Envelope>\n'
PACKERS = {"gzip": gzip.compress, "bzip2": bz2.compress, "xz": lzma.compress}
TAR_FORMATS = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}
CONTAINERS = ("ovf", "ova", "ami", "aki", "ari", "docker", "compressed", "other")


def archive(*members: tuple[str, bytes], kind: int = tarfile.USTAR_FORMAT) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=kind) as tar:
        for name, content in members:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return made.getvalue()


def ova(disk: bytes = STREAM, kind: int = tarfile.USTAR_FORMAT) -> bytes:
    return archive(
        ("vm.ovf", OVF), ("vm.mf", b"SHA256(vm.ovf)= 00\n"), ("disk.vmdk", disk), ("version", b"v"), kind=kind
    )


def inspect(data: bytes, container: str = "ova", *, step: int = MIB, formats: Formats | None = None) -> None:
    inspection = Inspection("qcow2", container, formats or Formats())
    for start in range(0, len(data), step):
        inspection.feed(data[start : start + step])
    assert inspection.finish(len(data)) is None


def refuse(data: bytes, container: str = "ova", *, step: int = MIB) -> str:
    with pytest.raises(UnsupportedContent) as caught:
        inspect(data, container, step=step)
    return str(caught.value)


@pytest.mark.parametrize("container", CONTAINERS)
class TestAnyContainer:
    @pytest.mark.parametrize("unsafe", [UNSAFE, FLAT], ids=["qcow2", "vmdk"])
    def test_a_disk_that_names_another_file_is_refused(self, container: str, unsafe: bytes) -> None:
        assert "uninspected_containers" in refuse(unsafe, container)
        assert "uninspected_containers" in refuse(archive(("a", OVF), ("b", unsafe)), container)
        for pack in PACKERS.values():
            refuse(pack(unsafe), container)
            refuse(pack(ova(unsafe)), container)

    def test_the_operator_can_turn_it_off(self, container: str) -> None:
        inspect(UNSAFE, container, formats=Formats(uninspected_containers=(container,)))
        with pytest.raises(UnsupportedContent):
            inspect(UNSAFE, container, formats=Formats(uninspected_containers=("bare2",)))

    @pytest.mark.parametrize(
        "data",
        [
            b"", b"x", bytes(2 * MIB), noise(2 * MIB), SAFE, STREAM, bytes(1024) + b"\x53\xef" + noise(MIB),
            b"MZ" + noise(MIB), gzip.compress(b"070701" + noise(MIB)), gzip.compress(bytes(8 * MIB)),
            b"070701" + noise(4096),
            b"\x28\xb5\x2f\xfd" + noise(4096), b"PK\x03\x04" + noise(4096), b"BZh9" + noise(999),
            b"\x1f\x8b\x08" + noise(2000), b"\xfd7zXZ\0" + noise(2000), lzma.compress(noise(MIB), preset=9),
            gzip.compress(SAFE), gzip.compress(SAFE)[:-9000], gzip.compress(SAFE) + bytes(4096),
            gzip.compress(SAFE) + gzip.compress(b"more"),
        ],
    )  # fmt: skip
    def test_honest_data_pass(self, container: str, data: bytes) -> None:
        """ext file systems, kernels, initial ramdisks, disks, and what only begins like something else."""
        for step in (MIB, 4099):
            inspect(data, container, step=step)


@pytest.mark.parametrize("kind", TAR_FORMATS.values(), ids=TAR_FORMATS)
class TestArchives:
    def test_honest_ones_pass(self, kind: int) -> None:
        inspect(ova(kind=kind))
        inspect(ova(gzip.compress(STREAM), kind=kind))
        inspect(archive(("long/" * 40 + "name.vmdk" if kind != tarfile.USTAR_FORMAT else "x", STREAM), kind=kind))
        layers = [
            (f"{number}/layer.tar", archive(("bin/sh", b"#!/bin/sh\nexit 0\n"), kind=kind)) for number in range(4)
        ]
        inspect(archive(("manifest.json", b"[]"), ("0/VERSION", b"1.0"), ("run", b"#!/bin/sh\n"), *layers, kind=kind))

    @pytest.mark.parametrize("step", [1021, 64 * KIB, 4 * MIB])
    def test_each_member_is_inspected_however_the_bytes_are_cut(self, kind: int, step: int) -> None:
        for position in range(3):
            members = [(f"member-{number}", noise(1000 * number)) for number in range(3)]
            members[position] = ("disk.img", UNSAFE)
            refuse(archive(*members, kind=kind), step=step)
        refuse(archive(("disk.img.gz", gzip.compress(UNSAFE)), kind=kind), step=step)


class TestOddArchives:
    """What two readers read differently is refused."""

    def header(self, name: bytes = b"a", kind: bytes = b"0", size: bytes = b"%011o\0" % 0) -> bytes:
        block = name.ljust(100, b"\0") + b"0000644\0" * 3 + size + b"00000000000\0" + b" " * 8 + kind + bytes(100)
        block += b"ustar\x0000".ljust(255, b"\0")
        return block[:148] + b"%06o\0 " % sum(block) + block[156:]

    def test_the_builder_of_these_tests_builds_what_readers_read(self) -> None:
        good = self.header(b"a", size=b"%011o\0" % 3) + b"abc".ljust(512, b"\0") + bytes(1024)
        with tarfile.open(fileobj=io.BytesIO(good)) as tar:
            assert [(entry.name, entry.size) for entry in tar] == [("a", 3)]
        inspect(good)

    def test_data_behind_the_end(self) -> None:
        refuse(ova() + UNSAFE)
        refuse(self.header() + bytes(512) + ova(UNSAFE))
        inspect(ova() + bytes(1 * MIB))

    def test_damaged_headers(self) -> None:
        assert "damaged" in refuse(self.header() + noise(512) + ova(UNSAFE))

    @pytest.mark.parametrize("kind", [b"1", b"2", b"3", b"4", b"5", b"6"])
    def test_links_and_directories_with_content(self, kind: bytes) -> None:
        refuse(self.header(kind=kind, size=b"%011o\0" % 512) + ova(UNSAFE))
        inspect(self.header(kind=kind) + bytes(1024))

    def test_old_directories_with_content(self) -> None:
        refuse(self.header(b"a/", b"\0", b"%011o\0" % 512) + ova(UNSAFE))

    def test_sparse_members(self) -> None:
        refuse(self.header(kind=b"S") + bytes(1024))
        record = b"22 GNU.sparse.major=1\n"
        refuse(self.header(kind=b"x", size=b"%011o\0" % len(record)) + record.ljust(512, b"\0") + ova())

    def test_a_size_in_an_extended_header_counts(self) -> None:
        record = b"15 size=%06d\n" % len(UNSAFE)
        pax = self.header(kind=b"x", size=b"%011o\0" % len(record)) + record.ljust(512, b"\0")
        data = pax + self.header(size=b"%011o\0" % 0) + UNSAFE.ljust(-(-len(UNSAFE) // 512) * 512, b"\0") + bytes(1024)
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            assert [entry.size for entry in tar] == [len(UNSAFE)]
        assert "backing_file" in refuse(data)

    @pytest.mark.parametrize("size", [b"-0000000001\0", b"0x000000000\0", b"\xff" * 12])
    def test_sizes_that_are_none(self, size: bytes) -> None:
        refuse(self.header(size=size) + bytes(1024))

    def test_a_size_beyond_octal_digits(self) -> None:
        inspect(self.header(size=b"\x80" + (1 << 40).to_bytes(11)) + noise(MIB))

    def test_endless_extended_headers(self) -> None:
        refuse(self.header(kind=b"x", size=b"%011o\0" % (2 * MIB)) + bytes(MIB))


class TestBombs:
    def test_a_sparse_disk_is_not_unpacked_whole(self) -> None:
        """Its first MiB tells that it is no disk of a format: the rest costs nothing."""
        packed = gzip.compress(bytes(300 * MIB), 1)
        inspect(packed, "compressed")

    def test_an_archive_that_unpacks_to_too_much_is_refused(self) -> None:
        first = tarfile.TarInfo("zeros")
        first.size = 350 * MIB
        pack = zlib.compressobj(6, zlib.DEFLATED, zlib.MAX_WBITS | 16)
        data = pack.compress(first.tobuf(tarfile.GNU_FORMAT))
        data += b"".join(pack.compress(bytes(MIB)) for _ in range(350)) + pack.flush()
        assert len(data) < MIB
        assert "200 times" in refuse(data, "compressed")

    def test_layers_of_compression_end(self) -> None:
        data = UNSAFE
        for _ in range(3):
            data = gzip.compress(data)
        refuse(data, "compressed")
        inspect(gzip.compress(data), "compressed")

    def test_many_empty_streams_end(self) -> None:
        empty = gzip.compress(archive(("a", b""))[:512]) + gzip.compress(b"") * 20_000
        assert "times" in refuse(empty, "compressed")

    def test_too_large_a_window(self) -> None:
        filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 256 * MIB}]
        packed = lzma.compress(UNSAFE, lzma.FORMAT_XZ, filters=filters)
        assert "memory" in refuse(packed, "compressed")


CASES = 400


def test_fuzz_what_a_reader_finds_in_a_damaged_archive_was_inspected() -> None:
    """Python's tarfile is the reader: an unsafe disk that it gives whole must have been refused."""
    chance = random.Random(20261130)
    found = refused = 0
    unsafe = UNSAFE[: 128 * KIB]
    sources = [
        archive(("vm.ovf", OVF), ("disk", unsafe), ("end", b"x" * 700), kind=kind) for kind in TAR_FORMATS.values()
    ]
    for case in range(CASES):
        data = bytearray(chance.choice(sources))
        for _ in range(chance.randrange(4)):
            block = chance.randrange(4) * 512 if chance.random() < 0.8 else chance.randrange(len(data) // 512) * 512
            data[block + chance.randrange(512)] = chance.choice(
                (0, 0x30, 0x37, 0x78, 0x80, 0xFF, chance.randrange(256))
            )
        if chance.random() < 0.2:
            del data[chance.randrange(len(data)) :]
        packed = chance.choice((bytes, bytes, bytes, gzip.compress))(bytes(data))
        inspection = Inspection("raw", "ova", Formats())
        step = chance.choice((313, 4096, 65536, MIB))
        for start in range(0, len(packed), step):
            inspection.feed(packed[start : start + step])
        try:
            inspection.finish(len(packed))
        except UnsupportedContent:
            refused += 1
            accepted = False
        else:
            accepted = True
        if any(content.startswith(unsafe[:4096]) for content in _read(bytes(data))):
            found += 1
            assert not accepted, case
    assert found > CASES // 4
    assert refused >= found


def _read(data: bytes) -> list[bytes]:
    contents: list[bytes] = []
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar:
            for entry in tar:
                reader = tar.extractfile(entry) if entry.isreg() else None
                if reader is not None:
                    contents.append(reader.read(MIB))
    except (tarfile.TarError, ValueError, OverflowError, EOFError, OSError, KeyError):
        pass
    return contents


def test_fuzz_damaged_compressed_streams_only_ever_end_or_are_refused() -> None:
    chance = random.Random(7)
    sources = [pack(data) for pack in PACKERS.values() for data in (SAFE, ova(), UNSAFE, noise(5000))]
    for _ in range(300):
        data = bytearray(chance.choice(sources))
        for _ in range(chance.randrange(1, 6)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        inspection = Inspection("raw", "compressed", Formats())
        step = chance.choice((97, 4096, MIB))
        for start in range(0, len(data), step):
            inspection.feed(bytes(data[start : start + step]))
        with contextlib.suppress(UnsupportedContent):
            inspection.finish(len(data))
