"""Images that are not what they claim: of another format, of several at once, or cut short."""

from functools import partial

from tests.support.images.catalogue import DISK
from tests.support.images.content import KIB, MIB, SECTOR, noise, patched
from tests.support.images.iso import iso
from tests.support.images.luks import luks1
from tests.support.images.partitions import TABLE_AT, mbr_disk
from tests.support.images.qcow2 import qcow2
from tests.support.images.sample import Sample
from tests.support.images.vdi import vdi
from tests.support.images.vhd import vhd
from tests.support.images.vhdx import vhdx
from tests.support.images.vmdk import vmdk_descriptor, vmdk_sparse


def iso_behind(image: bytes) -> bytes:
    """A disc whose system area, the 32 KiB no disc reader looks at, begins with another image."""
    return patched(iso(), 0, image[: 16 * KIB])


def qcow2_with_partitions() -> bytes:
    """A qcow2 header that leaves room for a partition table in the same sector."""
    return patched(qcow2(DISK), TABLE_AT, mbr_disk()[TABLE_AT:SECTOR])


_OTHER_FORMAT = (
    Sample(
        name="noise-as-vmdk",
        disk_format="vmdk",
        detected="raw",
        build=partial(noise, 64 * KIB, "no image at all"),
        reason="is noise",
        refusal="mismatch",
    ),
    Sample(
        name="raw-as-qcow2",
        disk_format="qcow2",
        detected="raw",
        build=lambda: DISK,
        reason="is a raw disk",
        refusal="mismatch",
    ),
    Sample(
        name="qcow2-as-vmdk",
        disk_format="vmdk",
        detected="qcow2",
        build=partial(qcow2, DISK),
        reason="is a qcow2 image",
        refusal="mismatch",
    ),
    Sample(
        name="vmdk-text-descriptor-sparse",
        disk_format="vmdk",
        detected="vmdk",
        build=partial(vmdk_descriptor, MIB),
        reason="is a mere descriptor that claims to be embedded in the disk it describes",
        strict="vmdk check descriptor",
        refusal="unsized",
    ),
)

_POLYGLOTS = (
    Sample(
        name="polyglot-qcow2-iso",
        disk_format="qcow2",
        detected="qcow2",
        also=("iso",),
        build=lambda: iso_behind(qcow2(DISK)),
        reason="is a qcow2 image and a disc",
        strict="qcow2 check tables",
        refusal="mismatch",
    ),
    Sample(
        name="polyglot-iso-qcow2-backing-file",
        disk_format="iso",
        detected="iso",
        also=("qcow2",),
        build=lambda: iso_behind(qcow2(DISK, backing_file=b"/etc/passwd")),
        reason="is a disc and a qcow2 image with a backing file",
        strict="qcow2 check backing_file",
        refusal="mismatch",
    ),
    Sample(
        name="polyglot-qcow2-mbr",
        disk_format="raw",
        detected="qcow2",
        also=("gpt",),
        build=qcow2_with_partitions,
        reason="is a qcow2 image and a partitioned disk",
        refusal="mismatch",
    ),
    Sample(
        name="polyglot-vmdk-iso",
        disk_format="iso",
        detected="iso",
        also=("vmdk",),
        build=lambda: iso_behind(vmdk_sparse(DISK)),
        reason="is a disc and a VMDK",
        strict="vmdk check directory",
        refusal="mismatch",
    ),
    Sample(
        name="polyglot-vhd-iso",
        disk_format="vhd",
        detected="vhd",
        also=("iso",),
        build=lambda: iso_behind(vhd(DISK)),
        reason="is a VHD and a disc",
        strict="vhd check footer",
        refusal="mismatch",
    ),
    Sample(
        name="polyglot-luks-iso",
        disk_format="raw",
        detected="luks",
        also=("iso",),
        build=lambda: iso_behind(luks1()),
        reason="is a LUKS container and a disc",
        refusal="mismatch",
    ),
)

_CUT_SHORT = (
    *(
        Sample(
            name=f"{name}-{length}-bytes",
            disk_format=name,
            detected="raw",
            build=lambda image=image, length=length: image()[:length],
            reason="ends before its format can be recognised",
            refusal="mismatch",
            strict=strict,
        )
        for name, image, length, strict in (
            ("qcow2", partial(qcow2, DISK), 4, "qcow2 check unknown_features"),
            ("qcow2", partial(qcow2, DISK), 511, "qcow2 check tables"),
            ("vhd", partial(vhd, DISK), 4, ""),
            ("vhdx", partial(vhdx, DISK), 4, ""),
            ("vdi", partial(vdi, DISK), 511, "vdi check blocks"),
            ("iso", iso, 32 * KIB + 6, ""),
        )
    ),
    *(
        Sample(
            name=f"{detected}-{length}-bytes",
            disk_format="raw" if detected == "luks" else detected,
            detected=detected,
            build=lambda image=image, length=length: image()[:length],
            reason="ends before it can be checked",
            refusal="incomplete",
            strict=strict,
        )
        for detected, image, length, strict in (
            ("vmdk", partial(vmdk_sparse, DISK), 4, "vmdk check descriptor"),
            ("vmdk", partial(vmdk_sparse, DISK), 511, "vmdk check descriptor"),
            ("vhd", partial(vhd, DISK), 511, "vhd check header"),
            ("vhdx", partial(vhdx, DISK), MIB, "vhdx check regions"),
            ("luks", luks1, 511, ""),
        )
    ),
)

IMPOSTORS = (*_OTHER_FORMAT, *_POLYGLOTS, *_CUT_SHORT)
