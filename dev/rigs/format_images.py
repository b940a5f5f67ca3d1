"""Make small images of every format, usable and unusable, and the manifest that Tempest reads.

usage: format_images.py DIRECTORY          (needs qemu-img and genisoimage)
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

#: name, disk_format, usable, what `qemu-img convert` makes it with
CONVERTED = (
    ("raw", "raw", True, ("raw",)),
    ("qcow2", "qcow2", True, ("qcow2",)),
    ("qcow2-v2", "qcow2", True, ("qcow2", "-o", "compat=0.10")),
    ("qcow2-lazy-refcounts", "qcow2", True, ("qcow2", "-o", "lazy_refcounts=on")),
    ("vdi", "vdi", True, ("vdi",)),
    ("vhd", "vhd", True, ("vpc",)),
    ("vhdx", "vhdx", True, ("vhdx",)),
    ("vmdk-sparse", "vmdk", True, ("vmdk", "-o", "subformat=monolithicSparse")),
    ("vmdk-stream", "vmdk", True, ("vmdk", "-o", "subformat=streamOptimized")),
    ("vmdk-flat", "vmdk", False, ("vmdk", "-o", "subformat=monolithicFlat")),
)


def run(*command: str | Path) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def main() -> None:
    place = Path(sys.argv[1])
    place.mkdir(parents=True, exist_ok=True)
    manifest: list[dict[str, object]] = []

    def add(name: str, disk_format: str, *, usable: bool) -> Path:
        manifest.append({"name": name, "format": disk_format, "usable": usable, "filename": f"{name}.img"})
        return place / f"{name}.img"

    base = place / "base.bin"
    base.write_bytes(bytes(range(256)) * 4096)
    for name, disk_format, usable, options in CONVERTED:
        run("qemu-img", "convert", "-f", "raw", base, "-O", *options, add(name, disk_format, usable=usable))

    backing = ("-u", "-b", "/etc/hostname", "-F", "raw")
    run("qemu-img", "create", "-f", "qcow2", *backing, add("qcow2-backing-file", "qcow2", usable=False), "1M")
    external = ("-o", f"data_file={place / 'data.bin'},data_file_raw=on")
    run("qemu-img", "create", "-f", "qcow2", *external, add("qcow2-data-file", "qcow2", usable=False), "1M")
    content = place / "iso-content"
    content.mkdir(exist_ok=True)
    (content / "readme.txt").write_text("rig\n")
    run("genisoimage", "-quiet", "-o", add("iso", "iso", usable=True), content)

    (place / "manifest.yaml").write_text(json.dumps({"images": manifest}, indent=2))


if __name__ == "__main__":
    main()
