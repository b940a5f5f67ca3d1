"""qcow2 images, versions 2 and 3 (QEMU, docs/interop/qcow2): all integers are big endian.

Cluster by cluster: header, refcount table, refcount blocks, L1 table, L2 tables, data clusters.
"""

import struct

from tests.support.images.content import units, written_blocks

MAGIC = b"QFI\xfb"
HEADER_V2 = struct.Struct(">4sIQIIQIIQQIIQ")
HEADER_V3 = struct.Struct(">QQQII")  # feature words, refcount order, header length
INCOMPATIBLE_DATA_FILE = 1 << 2
INCOMPATIBLE_EXTENDED_L2 = 1 << 4
ALL_SUBCLUSTERS = 0xFFFFFFFF  # of 32, all with data
EXTENSION_END = 0
EXTENSION_BACKING_FORMAT = 0xE2792ACA
EXTENSION_DATA_FILE = 0x44415441
COPIED = 1 << 63  # in an L1 or L2 entry: the reference count of the target is exactly one
REFCOUNT_ORDER = 4  # reference counts of 2**4 bits


def qcow2(
    data: bytes,
    *,
    version: int = 3,
    cluster_bits: int = 16,
    backing_file: bytes | None = None,
    data_file: bytes | None = None,
    incompatible_features: int = 0,
    extended_l2: bool = False,
) -> bytes:
    """An image of the disk `data`; clusters of zeros are left unallocated."""
    cluster_size = 1 << cluster_bits
    words_per_entry = 2 if extended_l2 else 1
    entries_per_table = cluster_size // (8 * words_per_entry)
    clusters = list(written_blocks(data, cluster_size))
    l2_count = max(1, units(units(len(data), cluster_size), entries_per_table))
    l1_clusters = units(l2_count, cluster_size // 8)
    refcount_blocks = _refcount_blocks(2 + l1_clusters + l2_count + len(clusters), cluster_size)
    l1_at = 2 + refcount_blocks
    l2_at = l1_at + l1_clusters
    data_at = l2_at + l2_count
    used = data_at + len(clusters)

    header = _header(version, cluster_bits, len(data), l2_count, l1_at << cluster_bits)
    if data_file is not None:
        incompatible_features |= INCOMPATIBLE_DATA_FILE
    if extended_l2:
        incompatible_features |= INCOMPATIBLE_EXTENDED_L2
    if version >= 3:
        header += HEADER_V3.pack(incompatible_features, 0, 0, REFCOUNT_ORDER, HEADER_V2.size + HEADER_V3.size)
    if data_file is not None:
        header += _extension(EXTENSION_DATA_FILE, data_file)
    if backing_file is not None:
        header += _extension(EXTENSION_BACKING_FORMAT, b"raw")
    header += _extension(EXTENSION_END, b"")
    if backing_file is not None:  # its name follows the extensions; offset and length of it are at byte 8
        header = header[:8] + struct.pack(">QI", len(header), len(backing_file)) + header[20:] + backing_file

    l2 = [0] * (l2_count * entries_per_table * words_per_entry)
    for position, (index, _) in enumerate(clusters):
        l2[index * words_per_entry] = (data_at + position << cluster_bits) | COPIED
        if extended_l2:
            l2[index * words_per_entry + 1] = ALL_SUBCLUSTERS
    l1 = [(l2_at + index << cluster_bits) | COPIED for index in range(l2_count)]
    refcount_table = [2 + index << cluster_bits for index in range(refcount_blocks)]
    parts = [
        header.ljust(cluster_size, b"\0"),
        _table(refcount_table, cluster_size),
        struct.pack(f">{used}H", *[1] * used).ljust(refcount_blocks * cluster_size, b"\0"),
        _table(l1, l1_clusters * cluster_size),
        _table(l2, l2_count * cluster_size),
        *(content for _, content in clusters),
    ]
    return b"".join(parts)


def _refcount_blocks(others: int, cluster_size: int) -> int:
    """How many refcount blocks count `others` clusters and themselves."""
    refcounts_per_block = cluster_size * 8 >> REFCOUNT_ORDER
    blocks = units(others, refcounts_per_block - 1)  # each block spends one of its counts on itself
    if blocks > cluster_size // 8:
        raise ValueError("disk too large for a refcount table of one cluster")
    return blocks


def _header(version: int, cluster_bits: int, disk_size: int, l1_size: int, l1_offset: int) -> bytes:
    """The 72 bytes both versions share; no encryption, no snapshots, refcount table in cluster 1."""
    return HEADER_V2.pack(
        MAGIC, version, 0, 0, cluster_bits, disk_size, 0, l1_size, l1_offset, 1 << cluster_bits, 1, 0, 0
    )


def _extension(kind: int, content: bytes) -> bytes:
    """A header extension: type, length, content filled up to 8 bytes."""
    return struct.pack(">II", kind, len(content)) + content + bytes(-len(content) % 8)


def _table(entries: list[int], size: int) -> bytes:
    return struct.pack(f">{len(entries)}Q", *entries).ljust(size, b"\0")
