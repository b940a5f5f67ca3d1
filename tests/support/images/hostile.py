"""The images the service has to refuse: they break a safety condition of their format."""

from collections.abc import Callable
from functools import partial

from tests.support.images.catalogue import DISK
from tests.support.images.content import MIB, SECTOR, patched
from tests.support.images.impostors import IMPOSTORS
from tests.support.images.partitions import (
    TABLE_AT,
    TYPE_PROTECTIVE,
    Partition,
    gpt_disk,
)
from tests.support.images.qcow2 import qcow2
from tests.support.images.qed import qed
from tests.support.images.sample import Sample
from tests.support.images.vmdk import vmdk_descriptor, vmdk_sparse, vmdk_stream

FLAT_EXTENT = 'RW 2048 FLAT "disk-flat.vmdk" 0'


def vmdk_described(*, create_type: str = "monolithicSparse", extents: list[str] | None = None) -> bytes:
    """A sparse VMDK whose descriptor says something else about it."""
    return vmdk_sparse(DISK, descriptor=vmdk_descriptor(len(DISK), create_type=create_type, extents=extents))


def vmdk_odd_line() -> bytes:
    return vmdk_sparse(DISK, descriptor=vmdk_descriptor(len(DISK)) + b"an odd line\n")


def vmdk_footer_patched(offset: int, replacement: bytes) -> bytes:
    """A stream whose last three sectors (footer marker, footer, end of stream) differ at `offset`."""
    stream = vmdk_stream(DISK)
    return patched(stream, len(stream) - 3 * SECTOR + offset, replacement)


def gpt_protected_by(*entries: Partition) -> bytes:
    return gpt_disk(protective=entries)


def _refused(name: str, detected: str, check: str, reason: str, build: Callable[[], bytes]) -> Sample:
    """A sample that is what it claims to be (disks are registered as raw) but fails a check."""
    disk_format = "raw" if detected in {"gpt", "luks", "qed"} else detected
    return Sample(
        name=name,
        disk_format=disk_format,
        detected=detected,
        build=build,
        reason=reason,
        refusal="safety",
        check=check,
    )


_QCOW2 = (
    _refused(
        "qcow2-backing-file",
        "qcow2",
        "backing_file",
        "names a file of the host as its backing file",
        partial(qcow2, DISK, backing_file=b"/etc/passwd"),
    ),
    _refused(
        "qcow2-v2-backing-file",
        "qcow2",
        "backing_file",
        "names a file of the host as its backing file",
        partial(qcow2, DISK, version=2, backing_file=b"/etc/passwd"),
    ),
    _refused(
        "qcow2-data-file",
        "qcow2",
        "data_file",
        "keeps its data in an external file",
        partial(qcow2, DISK, data_file=b"/etc/passwd"),
    ),
    _refused(
        "qcow2-unknown-feature",
        "qcow2",
        "unknown_features",
        "sets an incompatible feature bit nobody defined",
        partial(qcow2, DISK, incompatible_features=1 << 9),
    ),
    _refused(
        "qcow2-version-1",
        "qcow2",
        "unknown_features",
        "has version 1",
        lambda: patched(qcow2(DISK, version=2), 4, b"\0\0\0\1"),
    ),
    _refused(
        "qcow2-version-4",
        "qcow2",
        "unknown_features",
        "has a version that does not exist",
        partial(qcow2, DISK, version=4),
    ),
    _refused("qed", "qed", "banned", "is a QED image", partial(qed, MIB)),
)

_VMDK = (
    _refused(
        "vmdk-monolithic-flat",
        "vmdk",
        "descriptor",
        "has a create type that is not allowed",
        partial(vmdk_described, create_type="monolithicFlat", extents=[FLAT_EXTENT]),
    ),
    _refused(
        "vmdk-two-gb-sparse",
        "vmdk",
        "descriptor",
        "has a create type that is not allowed",
        partial(vmdk_described, create_type="twoGbMaxExtentSparse"),
    ),
    _refused(
        "vmdk-extent-path",
        "vmdk",
        "descriptor",
        "has an extent outside its directory",
        partial(vmdk_described, extents=['RW 2048 SPARSE "/etc/passwd"']),
    ),
    _refused(
        "vmdk-no-extents",
        "vmdk",
        "descriptor",
        "has no extents",
        partial(vmdk_described, extents=[]),
    ),
    _refused(
        "vmdk-no-descriptor",
        "vmdk",
        "descriptor",
        "has no descriptor",
        partial(vmdk_sparse, DISK, descriptor=b""),
    ),
    _refused(
        "vmdk-binary-descriptor",
        "vmdk",
        "descriptor",
        "has a descriptor that is no text",
        partial(vmdk_sparse, DISK, descriptor=b"\xff\xfe\xfd\xfc"),
    ),
    _refused("vmdk-odd-line", "vmdk", "descriptor", "has an odd line in its descriptor", vmdk_odd_line),
    _refused(
        "vmdk-version-4",
        "vmdk",
        "descriptor",
        "has a header version that does not exist",
        lambda: patched(vmdk_sparse(DISK), 4, b"\4\0\0\0"),
    ),
    _refused(
        "vmdk-text-descriptor",
        "vmdk",
        "descriptor",
        "is a mere descriptor, the data being elsewhere",
        partial(vmdk_descriptor, MIB, create_type="monolithicFlat", extents=[FLAT_EXTENT]),
    ),
    _refused(
        "vmdk-footer-descriptor",
        "vmdk",
        "footer",
        "has a footer that places the descriptor elsewhere",
        partial(vmdk_footer_patched, SECTOR + 28, b"\x10"),
    ),
    _refused(
        "vmdk-footer-at-end-again",
        "vmdk",
        "footer",
        "has a footer that points to yet another footer",
        partial(vmdk_footer_patched, SECTOR + 56, b"\xff" * 8),
    ),
    _refused(
        "vmdk-footer-marker",
        "vmdk",
        "footer",
        "has a footer behind a marker of another type",
        partial(vmdk_footer_patched, 12, b"\x09"),
    ),
    _refused(
        "vmdk-footer-missing",
        "vmdk",
        "footer",
        "lacks the footer its header announces",
        lambda: vmdk_stream(DISK)[: -3 * SECTOR],
    ),
)

_DISKS = (
    _refused(
        "gpt-protective-flag",
        "gpt",
        "mbr",
        "has an entry with an invalid boot flag beside the protective one",
        lambda: patched(gpt_disk(), TABLE_AT + 16, b"\x7f"),
    ),
    _refused(
        "gpt-protective-start",
        "gpt",
        "mbr",
        "has a protective entry that does not start at sector 1",
        partial(gpt_protected_by, Partition(start=2, sectors=2046, kind=TYPE_PROTECTIVE)),
    ),
    _refused(
        "gpt-protective-others",
        "gpt",
        "mbr",
        "has another partition beside the protective entry",
        partial(
            gpt_protected_by,
            Partition(start=1, sectors=2047, kind=TYPE_PROTECTIVE),
            Partition(start=64, sectors=64),
        ),
    ),
)

HOSTILE: dict[str, Sample] = {sample.name: sample for sample in (*_QCOW2, *_VMDK, *_DISKS, *IMPOSTORS)}
