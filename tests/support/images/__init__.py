"""Disk images built byte by byte, and two catalogues of them: what to accept and what to refuse.

Everything is made from the published layout of each format, needs nothing but the standard library, and
comes out the same on every run.
"""

from tests.support.images.boot import MESSAGE, boot_code, bootable_disk
from tests.support.images.catalogue import VALID
from tests.support.images.content import noise, patched, sparse_disk
from tests.support.images.hostile import HOSTILE
from tests.support.images.iso import iso
from tests.support.images.luks import luks1, luks2
from tests.support.images.partitions import Partition, fat_volume, gpt_disk, mbr_disk
from tests.support.images.qcow2 import qcow2
from tests.support.images.qed import qed
from tests.support.images.sample import Refusal, Sample
from tests.support.images.vdi import vdi
from tests.support.images.vhd import vhd, vhd_fixed
from tests.support.images.vhdx import vhdx
from tests.support.images.vmdk import vmdk_descriptor, vmdk_sparse, vmdk_stream

__all__ = [
    "HOSTILE",
    "MESSAGE",
    "VALID",
    "Partition",
    "Refusal",
    "Sample",
    "boot_code",
    "bootable_disk",
    "fat_volume",
    "gpt_disk",
    "iso",
    "luks1",
    "luks2",
    "mbr_disk",
    "noise",
    "patched",
    "qcow2",
    "qed",
    "sparse_disk",
    "vdi",
    "vhd",
    "vhd_fixed",
    "vhdx",
    "vmdk_descriptor",
    "vmdk_sparse",
    "vmdk_stream",
]
