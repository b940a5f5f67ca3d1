"""Images that make a reader open another file, or allocate beyond reason: the library lets most of them in.

``qemu-img`` follows those that are marked so: it opens :data:`CANARY` beside the image, or says that it would.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from tests.support.images.catalogue import DISK
from tests.support.images.content import KIB, MIB, SECTOR, patched
from tests.support.images.luks import luks1
from tests.support.images.qcow2 import qcow2
from tests.support.images.qed import qed
from tests.support.images.vdi import vdi
from tests.support.images.vhd import COOKIE, vhd, vhd_fixed
from tests.support.images.vhdx import FILE_PARAMETERS, HEADERS_AT, METADATA_AT, REGION_TABLES_AT, vhdx
from tests.support.images.vmdk import HEADER, SparseHeader, vmdk_descriptor, vmdk_sparse, vmdk_stream

#: The file that the attacks are after.
CANARY = "canary"
HINT = f'parentFileNameHint="{CANARY}"'
FLAT = f'RW 128 FLAT "{CANARY}" 0'
HUGE = b"\xff\xff\xff\x7f"


@dataclass(frozen=True, kw_only=True)
class Attack:
    """One image, and what refuses it under every ``disk_format``."""

    check: str
    """The check, as "FORMAT check NAME"."""
    build: Callable[[], bytes]
    followed: bool = False
    """Whether QEMU 7.2 opens the canary, or names it in what it says about the image."""


def _lines(*lines: str | bytes, end: bytes = b"\n") -> bytes:
    return b"".join((line if isinstance(line, bytes) else line.encode()) + end for line in lines)


def descriptor_text(*extra: str | bytes, front: bytes = b"# Disk DescriptorFile\n", end: bytes = b"\n") -> bytes:
    """A descriptor on its own, whose data are in the canary."""
    fields = ("version=1", "CID=6c1a0b5e", "parentCID=ffffffff", 'createType="monolithicFlat"', FLAT)
    return front + _lines(*fields, *extra, end=end)


def descriptor_when_told() -> bytes:
    """A text that nobody takes for a VMDK unless told so, as `qemu-img -f vmdk` is."""
    return b"\xff\n" + descriptor_text(front=b"").replace(b"version=1\n", b"")


def without_capacity(descriptor: bytes, **header: int) -> bytes:
    """A sparse file of capacity 0: QEMU reads what its descriptor says instead."""
    return SparseHeader(capacity=0, **header).pack() + descriptor.ljust(20 * SECTOR, b"\0")


def sparse_with(*extra: str | bytes, **changes: str) -> bytes:
    """A sparse file whose descriptor has further lines, or other values of some fields."""
    text = vmdk_descriptor(len(DISK)).decode()
    for name, value in changes.items():
        before = next(line for line in text.split("\n") if line.startswith(name))
        text = text.replace(before, value)
    return vmdk_sparse(DISK, descriptor=text.encode() + _lines(*extra))


def sparse_header(**changes: int | bytes) -> bytes:
    """A sparse file with other values in its header."""
    fields = ["magic", "version", "flags", "capacity", "grain", "descriptor_offset", "descriptor_size"]
    fields += ["table_entries", "redundant_directory", "directory", "overhead", "unclean", "newlines", "compression"]
    image = vmdk_sparse(DISK)
    values = dict(zip(fields, HEADER.unpack_from(image), strict=True))
    return patched(image, 0, HEADER.pack(*(values | changes).values()))


def _cowd() -> bytes:
    """An ESX sparse file of 2,048 sectors that names its parent."""
    header = struct.pack("<4sIIIIIIII", b"COWD", 1, 3, 2048, 1, 4, 1, 5, 0)
    return (header + CANARY.encode().ljust(1024, b"\0")).ljust(8 * SECTOR, b"\0")


def _vdi_with(offset: int, value: bytes) -> bytes:
    return patched(vdi(DISK), offset, value)


def _vhd_with(changes: dict[int, bytes]) -> bytes:
    """A dynamic disk with the changes in both copies of its footer, or in its header."""
    image = vhd(DISK)
    for offset, value in changes.items():
        image = patched(image, offset, value)
        if offset < SECTOR:
            image = patched(image, len(image) - SECTOR + offset, value)
    return image


def _vhdx_with(offset: int, value: bytes) -> bytes:
    return patched(vhdx(DISK), offset, value)


def _vhdx_has_parent() -> bytes:
    return patched(vhdx(DISK), METADATA_AT + 64 * KIB + 4, b"\2")


def _vhdx_locator() -> bytes:
    """A parent locator in the place of the physical sector size."""
    image = vhdx(DISK)
    locator = bytes.fromhex("2d5fd3a80bb34d45abf7d3d84834ab0c")
    return patched(image, METADATA_AT + 5 * 32, locator)


def _vhdx_second_parameters() -> bytes:
    return patched(vhdx(DISK), METADATA_AT + 5 * 32, FILE_PARAMETERS.bytes_le)


def _vhdx_large_table() -> bytes:
    image = vhdx(DISK)
    for at in REGION_TABLES_AT:
        image = patched(image, at + 16 + 24, HUGE)
    return image


def _bochs(kind: bytes, entries: int) -> bytes:
    text = b"Bochs Virtual HD Image".ljust(32, b"\0") + b"Redolog".ljust(16, b"\0") + kind.ljust(16, b"\0")
    return (text + struct.pack("<IIIIIQ", 0x00020000, 512, entries, 1, 4096, MIB)).ljust(8 * SECTOR, b"\0")


def _cloop(block: int, blocks: int) -> bytes:
    script = b"#!/bin/sh\n#V2.0 Format\nmodprobe cloop file=$0 && mount -r -t iso9660 /dev/cloop $1\n"
    return script.ljust(128, b"\0") + struct.pack(">II", block, blocks).ljust(SECTOR, b"\0")


def _stream_footer(**changes: int) -> bytes:
    """A stream whose footer differs from its header in more than the place of the grain directory."""
    image = vmdk_stream(DISK)
    at = len(image) - 2 * SECTOR
    fields = HEADER.unpack_from(image, at)
    footer = SparseHeader(
        version=fields[1],
        flags=fields[2],
        capacity=fields[3],
        descriptor_size=fields[6],
        directory=fields[9],
        compression=fields[13],
    )
    return patched(image, at, replace(footer, **changes).pack())


def _vmdk(build: Callable[[], bytes], check: str = "descriptor", *, followed: bool = False) -> Attack:
    return Attack(check=f"vmdk check {check}", build=build, followed=followed)


_TEXTS: dict[str, bytes] = {
    "plain": descriptor_text(),
    "crlf": descriptor_text(front=b"# Disk DescriptorFile\r\n", end=b"\r\n"),
    "without-title": descriptor_text(front=b""),
    "blank-lines": descriptor_text(front=b"  \n# a\n   \r\n"),
    "control-byte": descriptor_text(front=b"# \1\n"),
    "beyond-ascii": descriptor_text(front=b"# \xff\n"),
    "in-utf-8": descriptor_text(front="# Größe\n".encode()),
    "long-comment": descriptor_text(front=b"# " + b"x" * 480 + b"\n"),
    "comment-of-a-page": descriptor_text(front=b"# " + b"x" * 4096 + b"\n"),
    "padded": descriptor_text().ljust(64 * KIB, b"\0"),
    "padded-comment": descriptor_text(front=b"# \0\0\0\0\n"),
    "byte-order-mark": b"\xef\xbb\xbf" + descriptor_text(),
    "odd-createtype": descriptor_text(front=b'# \xff createType = "x"\n'),
    "createtype-twice": descriptor_text('createType="monolithicSparse"', front=b"# \xff\n"),
    "cloop": b"#!/bin/sh\n#V2.0 Format\n" + descriptor_text(),
    "two-gb-flat": descriptor_text(front=b"").replace(b"monolithicFlat", b"twoGbMaxExtentFlat"),
    "two-gb-sparse": descriptor_text(front=b"").replace(b"monolithicFlat", b"twoGbMaxExtentSparse"),
    "vmfs": descriptor_text(front=b"").replace(b"monolithicFlat", b"vmfs").replace(b" FLAT ", b" VMFS "),
    "vmfs-raw-device-map": descriptor_text(front=b"").replace(b"monolithicFlat", b"vmfsRawDeviceMap"),
    "full-device": descriptor_text(front=b"").replace(b"monolithicFlat", b"fullDevice"),
    "title-only": b"\n# DISK DESCRIPTORFILE\nCID=1\n",
}
_FOLLOWED_TEXTS = {"plain", "crlf", "blank-lines", "without-title", "control-byte", "beyond-ascii", "in-utf-8"}

_DESCRIPTORS: dict[str, Attack] = {
    "capacity-0": _vmdk(partial(without_capacity, descriptor_text()), "capacity", followed=True),
    "capacity-0-other-case-first": _vmdk(
        partial(without_capacity, descriptor_text(front=b'CREATETYPE="monolithicSparse"\n')), "capacity", followed=True
    ),
    "capacity-0-in-a-comment": _vmdk(
        partial(without_capacity, descriptor_text(front=b'# createtype="monolithicSparse"\n')),
        "capacity",
        followed=True,
    ),
    "capacity-0-tabs": _vmdk(
        partial(without_capacity, descriptor_text().replace(FLAT.encode(), f'RW\t128\tFLAT\t"{CANARY}"\t0 ='.encode())),
        "capacity",
        followed=True,
    ),
    "hint": _vmdk(partial(sparse_with, HINT), "parent", followed=True),
    "hint-in-a-comment": _vmdk(partial(sparse_with, f"# {HINT}"), "parent", followed=True),
    "hint-in-the-data-base": _vmdk(partial(sparse_with, f'ddb.comment = "{HINT}'), "parent", followed=True),
    "hint-in-other-case": _vmdk(partial(sparse_with, HINT.lower()), "parent"),
    "parent-cid": _vmdk(partial(sparse_with, parentCID="parentCID=12345678"), "parent"),
    "parent-cid-twice": _vmdk(partial(sparse_with, "# parentCID=12345678")),
    "parent-of-virtualbox": _vmdk(
        partial(sparse_with, 'ddb.uuid.parent="6c1a0b5e-0000-0000-0000-000000000001"'), "parent"
    ),
    "native-parent": _vmdk(partial(sparse_with, 'ddb.nativeParentHint = "canary"'), "parent"),
    "createtype-in-other-case": _vmdk(partial(sparse_with, createType='createtype="monolithicSparse"')),
    "createtype-value-in-other-case": _vmdk(partial(sparse_with, createType='createType="monolithicsparse"')),
    "createtype-in-a-comment": _vmdk(partial(sparse_with, '# createType="monolithicFlat"')),
    "createtype-of-parts": _vmdk(partial(sparse_with, createType='createType="twoGbMaxExtentSparse"')),
    "extent-with-tabs": _vmdk(partial(sparse_with, RW='RW\t2048\tSPARSE\t"disk.vmdk"')),
    "extent-with-an-equals-sign": _vmdk(partial(sparse_with, RW='RW 2048 FLAT "canary" 0 =')),
    "extent-flat": _vmdk(partial(sparse_with, RW=FLAT)),
    "extent-second": _vmdk(partial(sparse_with, 'RW 2048 SPARSE "canary"')),
    "extent-in-a-directory": _vmdk(partial(sparse_with, RW='RW 2048 SPARSE "..\\canary"')),
    "extent-of-a-protocol": _vmdk(partial(sparse_with, RW='RW 2048 SPARSE "json:{}"')),
    "extent-of-another-size": _vmdk(partial(sparse_with, RW='RW 4096 SPARSE "disk.vmdk"')),
    "change-tracking": _vmdk(partial(sparse_with, 'changeTrackPath="canary"')),
    "odd-line": _vmdk(partial(sparse_with, f'include "{CANARY}"')),
    "control-character": _vmdk(partial(sparse_with, b"# \x1b")),
    "text-behind-the-end": _vmdk(partial(sparse_with, b"\0" + HINT.encode())),
    "no-cid": _vmdk(partial(sparse_with, CID="")),
    "no-version": _vmdk(partial(sparse_with, version="")),
    "descriptor-elsewhere": _vmdk(partial(sparse_header, descriptor_offset=2)),
    "descriptor-that-nothing-ends": _vmdk(
        lambda: patched(sparse_header(descriptor_size=1), SECTOR, vmdk_descriptor(len(DISK)).ljust(SECTOR)[:SECTOR])
    ),
    "descriptor-too-long": _vmdk(partial(sparse_header, descriptor_size=2000)),
    "grain-0": _vmdk(partial(sparse_header, grain=0), "grains"),
    "grain-huge": _vmdk(partial(sparse_header, grain=0x200000), "grains"),
    "grain-tables": _vmdk(partial(sparse_header, table_entries=1), "grains"),
    "compression": _vmdk(partial(sparse_header, compression=2), "grains"),
    "directory-0": _vmdk(partial(sparse_header, directory=0), "directory"),
    "directory-beyond-the-end": _vmdk(partial(sparse_header, directory=1 << 20), "directory"),
    "redundant-directory-beyond-the-end": _vmdk(partial(sparse_header, redundant_directory=1 << 20), "directory"),
    "first-grain-beyond-the-end": _vmdk(partial(sparse_header, overhead=1 << 20), "directory"),
    "footer-capacity": _vmdk(partial(_stream_footer, capacity=0), "footer"),
    "footer-flags": _vmdk(partial(_stream_footer, flags=1), "footer"),
    "footer-off-by-a-byte": _vmdk(lambda: vmdk_stream(DISK) + b"\0", "footer"),
    "cowd": _vmdk(_cowd, "kind"),
}

_OTHERS: dict[str, Attack] = {
    "qcow2-shorter-than-a-sector": Attack(
        check="qcow2 check backing_file",
        build=lambda: qcow2(bytes(SECTOR), backing_file=CANARY.encode())[:140],
        followed=True,
    ),
    "qcow2-backing-file": Attack(
        check="qcow2 check backing_file",
        build=partial(qcow2, bytes(SECTOR), backing_file=CANARY.encode()),
        followed=True,
    ),
    "qcow2-backing-file-json": Attack(
        check="qcow2 check backing_file",
        build=partial(qcow2, bytes(SECTOR), backing_file=b'json:{"driver":"file","filename":"canary"}'),
        followed=True,
    ),
    "qcow2-data-file": Attack(
        check="qcow2 check data_file", build=partial(qcow2, DISK, data_file=CANARY.encode()), followed=True
    ),
    "qcow2-data-file-without-its-bit": Attack(
        check="qcow2 check data_file",
        build=lambda: patched(qcow2(DISK, data_file=CANARY.encode()), 72, bytes(8)),
    ),
    "qcow2-unknown-feature": Attack(
        check="qcow2 check unknown_features", build=partial(qcow2, DISK, incompatible_features=1 << 40)
    ),
    "qcow2-version-1": Attack(
        check="qcow2 check unknown_features", build=lambda: patched(qcow2(DISK, version=2), 4, b"\0\0\0\1")
    ),
    "qcow2-clusters": Attack(check="qcow2 check header", build=lambda: patched(qcow2(DISK), 20, b"\0\0\0\x3f")),
    "qcow2-long-extension": Attack(
        check="qcow2 check header", build=lambda: patched(qcow2(DISK), 104, struct.pack(">II", 1, 0x7FFFFFFF))
    ),
    "qcow2-many-extensions": Attack(
        check="qcow2 check header", build=lambda: patched(qcow2(DISK), 104, struct.pack(">II", 1, 0) * 100)
    ),
    "qcow2-encrypted-without-a-header": Attack(
        check="qcow2 check header", build=lambda: patched(qcow2(DISK), 32, b"\0\0\0\2")
    ),
    "qcow2-l1-table": Attack(check="qcow2 check tables", build=lambda: patched(qcow2(DISK), 36, HUGE)),
    "qcow2-l1-table-beyond-the-end": Attack(
        check="qcow2 check tables", build=lambda: patched(qcow2(DISK), 40, struct.pack(">Q", 1 << 40))
    ),
    "qcow2-refcount-table": Attack(check="qcow2 check tables", build=lambda: patched(qcow2(DISK), 56, HUGE)),
    "qcow2-snapshots": Attack(check="qcow2 check tables", build=lambda: patched(qcow2(DISK), 60, HUGE)),
    "qcow2-snapshots-beyond-the-end": Attack(
        check="qcow2 check tables", build=lambda: patched(qcow2(DISK), 60, struct.pack(">IQ", 1000, 1 << 40))
    ),
    "qcow2-bitmaps": Attack(
        check="qcow2 check tables",
        build=lambda: patched(
            qcow2(DISK), 104, struct.pack(">IIIIQQ", 0x23852875, 24, 0x7FFFFFFF, 0, 1 << 40, 1 << 16)
        ),
    ),
    "qed-backing-file": Attack(
        check="qed check banned",
        build=lambda: patched(
            patched(qed(MIB), 16, struct.pack("<Q", 1)),
            56,
            struct.pack("<II", 100, len(CANARY)) + bytes(36) + b"canary",
        ),
        followed=True,
    ),
    "qed-shorter-than-a-sector": Attack(check="qed check banned", build=lambda: qed(MIB)[:100]),
    "cow-of-user-mode-linux": Attack(
        check="cow check backing_file",
        build=lambda: (b"OOOM\0\0\0\2" + CANARY.encode()).ljust(8 * SECTOR, b"\0"),
    ),
    "vhd-differencing": Attack(check="vhd check parent", build=partial(_vhd_with, {60: b"\0\0\0\4"})),
    "vhd-type-0": Attack(check="vhd check footer", build=partial(_vhd_with, {60: b"\0\0\0\0"})),
    "vhd-parent-identifier": Attack(check="vhd check parent", build=partial(_vhd_with, {SECTOR + 40: b"x"})),
    "vhd-parent-name": Attack(check="vhd check parent", build=partial(_vhd_with, {SECTOR + 64: b"\0c"})),
    "vhd-parent-locator": Attack(check="vhd check parent", build=partial(_vhd_with, {SECTOR + 576: b"W2ku"})),
    "vhd-table": Attack(check="vhd check table", build=partial(_vhd_with, {SECTOR + 28: HUGE})),
    "vhd-blocks": Attack(check="vhd check table", build=partial(_vhd_with, {SECTOR + 32: b"\x7f\xff\xff\xff"})),
    "vhd-header-elsewhere": Attack(
        check="vhd check header", build=partial(_vhd_with, {16: struct.pack(">Q", 1 << 62)})
    ),
    "vhd-header-missing": Attack(check="vhd check header", build=partial(_vhd_with, {SECTOR: b"none"})),
    "vhd-footer-at-the-end-differs": Attack(
        check="vhd check footer", build=lambda: patched(vhd(DISK), len(vhd(DISK)) - SECTOR + 60, b"\0\0\0\4")
    ),
    "vhd-differencing-footer-alone": Attack(
        check="vhd check parent", build=lambda: patched(vhd_fixed(DISK), len(DISK) + 60, b"\0\0\0\4")
    ),
    "vhd-differencing-footer-of-511-bytes": Attack(
        check="vhd check parent", build=lambda: patched(vhd_fixed(DISK), len(DISK) + 60, b"\0\0\0\4")[:-1]
    ),
    "vhd-footer-behind-qcow2": Attack(
        check="vhd check parent",
        build=lambda: qcow2(DISK) + (COOKIE.ljust(60, b"\0") + b"\0\0\0\4").ljust(SECTOR, b"\0"),
    ),
    "vhdx-differencing": Attack(check="vhdx check parent", build=_vhdx_has_parent),
    "vhdx-parent-locator": Attack(check="vhdx check parent", build=_vhdx_locator),
    "vhdx-two-parameters": Attack(check="vhdx check metadata", build=_vhdx_second_parameters),
    "vhdx-no-metadata": Attack(check="vhdx check metadata", build=partial(_vhdx_with, METADATA_AT, b"none")),
    "vhdx-many-items": Attack(check="vhdx check metadata", build=partial(_vhdx_with, METADATA_AT + 10, b"\xff\xff")),
    "vhdx-log": Attack(check="vhdx check log", build=partial(_vhdx_with, HEADERS_AT[1] + 48, b"x")),
    "vhdx-region-tables-differ": Attack(
        check="vhdx check regions", build=partial(_vhdx_with, REGION_TABLES_AT[1] + 20, b"x")
    ),
    "vhdx-table": Attack(check="vhdx check regions", build=_vhdx_large_table),
    "vdi-parent": Attack(check="vdi check parent", build=partial(_vdi_with, 440, b"x")),
    "vdi-link": Attack(check="vdi check parent", build=partial(_vdi_with, 424, b"x")),
    "vdi-differencing": Attack(check="vdi check parent", build=partial(_vdi_with, 76, b"\4")),
    "vdi-version-0": Attack(check="vdi check header", build=partial(_vdi_with, 68, b"\2\0\0\0")),
    "vdi-blocks": Attack(check="vdi check blocks", build=partial(_vdi_with, 384, HUGE)),
    "vdi-block-size": Attack(check="vdi check blocks", build=partial(_vdi_with, 376, b"\1")),
    "luks-iterations": Attack(check="luks check iterations", build=lambda: patched(luks1(), 164, b"\xff")),
    "luks-stripes": Attack(
        check="luks check key_material",
        build=lambda: patched(luks1(), 208, b"\x00\xac\x71\xf3" + bytes(40) + b"\xff" * 4),
    ),
    "parallels-table": Attack(
        check="parallels check table",
        build=lambda: (b"WithoutFreeSpace" + struct.pack("<IIIII", 2, 16, 1, 63, 0x1FFFFFFF)).ljust(SECTOR, b"\0"),
    ),
    "bochs-of-another-disk": Attack(check="bochs check kind", build=partial(_bochs, b"Undoable", 1)),
    "bochs-table": Attack(check="bochs check table", build=partial(_bochs, b"Growing", 0x100000)),
    "cloop-blocks": Attack(check="cloop check table", build=partial(_cloop, 1 << 30, 1)),
    "cloop-table": Attack(check="cloop check table", build=partial(_cloop, 64 * KIB, 0x3FFFFFF)),
}

ATTACKS: dict[str, Attack] = {
    **{
        f"vmdk-text-{name}": _vmdk(lambda text=text: text, followed=name in _FOLLOWED_TEXTS)
        for name, text in _TEXTS.items()
    },
    **{f"vmdk-{name}": attack for name, attack in _DESCRIPTORS.items()},
    **_OTHERS,
}
