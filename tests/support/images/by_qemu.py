"""Images that a real ``qemu-img`` writes: every format and subformat that it can write, alone and with a parent."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.support.images.attacks import CANARY
from tests.support.images.content import MIB, noise

#: Format, options, and the ``disk_format`` under which the image is let in; none if it never is.
STAND_ALONE: dict[str, tuple[str, str, str | None]] = {
    "raw": ("raw", "", "raw"),
    "qcow2": ("qcow2", "", "qcow2"),
    "qcow2-compat": ("qcow2", "compat=0.10", "qcow2"),
    "qcow2-clusters-512": ("qcow2", "cluster_size=512", "qcow2"),
    "qcow2-clusters-2m": ("qcow2", "cluster_size=2M", "qcow2"),
    "qcow2-zstd": ("qcow2", "compression_type=zstd", "qcow2"),
    "qcow2-lazy": ("qcow2", "lazy_refcounts=on,refcount_bits=64", "qcow2"),
    "qcow2-preallocated": ("qcow2", "preallocation=metadata", "qcow2"),
    "vmdk-sparse": ("vmdk", "subformat=monolithicSparse", "vmdk"),
    "vmdk-sparse-6": ("vmdk", "compat6=on,zeroed_grain=on", "vmdk"),
    "vmdk-stream": ("vmdk", "subformat=streamOptimized", "vmdk"),
    "vmdk-flat": ("vmdk", "subformat=monolithicFlat", None),
    "vmdk-parts": ("vmdk", "subformat=twoGbMaxExtentSparse", None),
    "vmdk-flat-parts": ("vmdk", "subformat=twoGbMaxExtentFlat", None),
    "vdi": ("vdi", "", "vdi"),
    "vdi-static": ("vdi", "static=on", "vdi"),
    "vpc": ("vpc", "", "vhd"),
    "vpc-exact": ("vpc", "force_size=on", "vhd"),
    "vpc-fixed": ("vpc", "subformat=fixed,force_size=on", "raw"),
    "vhdx": ("vhdx", "", "vhdx"),
    "vhdx-fixed": ("vhdx", "subformat=fixed", "vhdx"),
    "qed": ("qed", "", None),
    "qcow": ("qcow", "", None),
    "parallels": ("parallels", "", "ploop"),
}
WITH_BACKING_FILE = ("qcow2", "qed", "qcow", "vmdk")


def write_all(place: Path) -> dict[str, bytes]:
    """Write every kind of a disk of 1 MiB into ``place``; return the bytes of what has the name given."""
    images: dict[str, bytes] = {}
    disk = place / "disk.raw"
    disk.write_bytes(bytes(4096) + noise(8192) + bytes(MIB - 4096 - 2 * 8192) + noise(8192, "end"))
    for name, (kind, options, _) in STAND_ALONE.items():
        target = place / f"{name}.image"
        _qemu_img("convert", "-f", "raw", "-O", kind, *(["-o", options] if options else []), disk, target)
        images[name] = target.read_bytes()
    canary = place / CANARY
    canary.write_bytes(noise(64 * 1024))
    for kind in WITH_BACKING_FILE:
        backing = canary
        if kind == "vmdk":  # whose parents are VMDKs
            backing = place / f"{CANARY}.vmdk"
            _qemu_img("create", "-f", "vmdk", backing, "1M")
        target = place / f"{kind}-backed.image"
        _qemu_img("create", "-f", kind, "-b", backing.name, "-F", "vmdk" if kind == "vmdk" else "raw", target, "1M")
        images[f"{kind}-backed"] = target.read_bytes()
    data = place / "qcow2-data.image"
    _qemu_img("create", "-f", "qcow2", "-o", f"data_file={place / 'data'}", data, "1M")
    images["qcow2-data-file"] = data.read_bytes()
    secret = ("--object", "secret,id=s,data=secret")
    for kind, options in (
        ("luks", "key-secret=s,iter-time=10"),
        ("qcow2", "encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10"),
    ):
        target = place / f"{kind}-encrypted.image"
        _qemu_img("create", *secret, "-f", kind, "-o", options, target, "1M")
        images[f"{kind}-encrypted"] = target.read_bytes()
    snapshot = place / "qcow2.image"
    _qemu_img("snapshot", "-c", "first", snapshot)
    _qemu_img("bitmap", "--add", snapshot, "changes")
    images["qcow2-snapshot"] = snapshot.read_bytes()
    return images


def _qemu_img(*arguments: str | Path) -> None:
    command = ["qemu-img", *map(str, arguments)]
    for _ in range(20):
        ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        if "accurate CPU usage" not in ended.stderr:  # it times the derivation of keys, and gives up on a busy machine
            break
    assert ended.returncode == 0, f"{' '.join(command)}:\n{ended.stderr}"
