"""QED images (QEMU enhanced disk, docs/interop/qed_spec): all integers are little endian."""

import struct

MAGIC = b"QED\0"
HEADER = struct.Struct("<4sIIIQQQQQII")
CLUSTER_SIZE = 4096
TABLE_CLUSTERS = 2


def qed(size: int) -> bytes:
    """An empty image of a disk of `size` bytes: header cluster, then an L1 table of two clusters."""
    header = HEADER.pack(MAGIC, CLUSTER_SIZE, TABLE_CLUSTERS, 1, 0, 0, 0, CLUSTER_SIZE, size, 0, 0)
    return header.ljust((1 + TABLE_CLUSTERS) * CLUSTER_SIZE, b"\0")
