"""The images the service has to accept."""

from functools import partial

from tests.support.images.boot import boot_code, bootable_disk
from tests.support.images.content import KIB, MIB, noise, patched, sparse_disk
from tests.support.images.iso import BLOCK, iso
from tests.support.images.luks import luks1, luks2
from tests.support.images.partitions import MEDIA_FIXED, TABLE_AT, fat_volume, gpt_disk, mbr_disk
from tests.support.images.qcow2 import qcow2
from tests.support.images.sample import Sample
from tests.support.images.vdi import vdi
from tests.support.images.vhd import vhd, vhd_fixed
from tests.support.images.vhdx import vhdx
from tests.support.images.vmdk import vmdk_sparse, vmdk_stream

DISK = sparse_disk(MIB)

_SAMPLES = (
    Sample(name="raw", disk_format="raw", detected="raw", virtual_size=MIB, build=lambda: DISK),
    Sample(name="raw-empty", disk_format="raw", detected="raw", build=bytes),
    Sample(
        name="raw-odd-size",
        disk_format="raw",
        detected="raw",
        virtual_size=70_001,
        build=partial(noise, 70_001),
    ),
    Sample(
        name="fat-disk",
        disk_format="raw",
        detected="raw",
        virtual_size=1440 * KIB,
        build=partial(fat_volume, media=MEDIA_FIXED),
    ),
    Sample(
        name="qcow2-v2",
        disk_format="qcow2",
        detected="qcow2",
        virtual_size=MIB,
        build=partial(qcow2, DISK, version=2),
        disk=DISK,
    ),
    Sample(
        name="qcow2-v3",
        disk_format="qcow2",
        detected="qcow2",
        virtual_size=MIB,
        build=partial(qcow2, DISK),
        disk=DISK,
    ),
    Sample(
        name="qcow2-small-clusters",
        disk_format="qcow2",
        detected="qcow2",
        virtual_size=MIB,
        build=partial(qcow2, DISK, cluster_bits=9),
        disk=DISK,
    ),
    Sample(
        name="qcow2-extended-l2",
        disk_format="qcow2",
        detected="qcow2",
        virtual_size=MIB,
        beyond_library=True,
        build=partial(qcow2, DISK, extended_l2=True),
        disk=DISK,
    ),
    Sample(
        name="vmdk-sparse",
        disk_format="vmdk",
        detected="vmdk",
        virtual_size=MIB,
        build=partial(vmdk_sparse, DISK),
        disk=DISK,
    ),
    Sample(
        name="vmdk-stream",
        disk_format="vmdk",
        detected="vmdk",
        virtual_size=MIB,
        build=partial(vmdk_stream, DISK),
        disk=DISK,
    ),
    Sample(
        name="vhd",
        disk_format="vhd",
        detected="vhd",
        virtual_size=MIB,
        build=partial(vhd, DISK),
        disk=DISK,
    ),
    Sample(
        name="vhdx",
        disk_format="vhdx",
        detected="vhdx",
        virtual_size=MIB,
        build=partial(vhdx, DISK),
        disk=DISK,
    ),
    Sample(
        name="vdi",
        disk_format="vdi",
        detected="vdi",
        virtual_size=MIB,
        build=partial(vdi, DISK),
        disk=DISK,
    ),
    Sample(name="iso", disk_format="iso", detected="iso", virtual_size=25 * BLOCK, build=iso),
    Sample(
        name="iso-bootable",
        disk_format="iso",
        detected="iso",
        virtual_size=28 * BLOCK,
        build=lambda: iso(boot_code=boot_code()),
    ),
    Sample(
        name="iso-hybrid",
        disk_format="iso",
        detected="iso",
        also=("gpt",),
        virtual_size=28 * BLOCK,
        build=lambda: iso(boot_code=boot_code(), hybrid=True),
    ),
    Sample(
        name="iso-hybrid-as-raw",
        disk_format="raw",
        detected="iso",
        also=("gpt",),
        beyond_library=True,
        build=lambda: iso(boot_code=boot_code(), hybrid=True),
    ),
    Sample(
        name="vhd-fixed",
        disk_format="vhd",
        detected="raw",
        virtual_size=MIB,
        beyond_library=True,
        build=partial(vhd_fixed, DISK),
    ),
    Sample(
        name="vhd-fixed-partitioned",
        disk_format="vhd",
        detected="gpt",
        virtual_size=MIB,
        beyond_library=True,
        build=lambda: vhd_fixed(mbr_disk()),
    ),
    Sample(name="floppy", disk_format="raw", detected="raw", beyond_library=True, build=fat_volume),
    Sample(
        name="boot-sector",
        disk_format="raw",
        detected="raw",
        beyond_library=True,
        build=partial(mbr_disk, partitions=()),
    ),
    Sample(
        name="boot-sector-with-code-for-a-table",
        disk_format="raw",
        detected="raw",
        beyond_library=True,
        build=lambda: patched(mbr_disk(), TABLE_AT, b"\x7f"),
    ),
    Sample(name="luks2", disk_format="raw", detected="luks", virtual_size=64 * KIB, beyond_library=True, build=luks2),
    Sample(name="mbr", disk_format="raw", detected="gpt", virtual_size=MIB, build=mbr_disk),
    Sample(name="gpt", disk_format="raw", detected="gpt", virtual_size=MIB, build=gpt_disk),
    Sample(name="luks", disk_format="raw", detected="luks", virtual_size=64 * KIB, build=luks1),
    Sample(name="boot-disk", disk_format="raw", detected="gpt", virtual_size=4 * MIB, build=bootable_disk),
)

VALID: dict[str, Sample] = {sample.name: sample for sample in _SAMPLES}
