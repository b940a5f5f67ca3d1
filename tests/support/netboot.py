"""Real input: the network installer of Debian as the ISO that installation media are, and a qcow2 made of it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

PACKAGES = "debian-installer-12-netboot-amd64, isolinux, xorriso, qemu-utils"
INSTALLER = Path("/usr/lib/debian-installer/images/12/amd64/gtk/debian-installer/amd64")
ISOLINUX = Path("/usr/lib/ISOLINUX")
MENU = "default install\nlabel install\n  kernel /linux\n  append initrd=/initrd.gz vga=788 --- quiet\n"


def missing() -> list[str]:
    """What is not installed of all that the images are made with; see :data:`PACKAGES`."""
    files = [INSTALLER / "linux", INSTALLER / "initrd.gz", ISOLINUX / "isolinux.bin", ISOLINUX / "isohdpfx.bin"]
    return [str(path) for path in files if not path.exists()] + [
        program for program in ("xorriso", "qemu-img") if shutil.which(program) is None
    ]


def build_iso(place: Path) -> Path:
    """A hybrid ISO, bootable from a drive and from a stick, of Debian's kernel and graphical installer."""
    tree = place / "tree"
    (tree / "isolinux").mkdir(parents=True)
    for name in ("linux", "initrd.gz"):
        shutil.copy(INSTALLER / name, tree / name)
    shutil.copy(ISOLINUX / "isolinux.bin", tree / "isolinux")
    shutil.copy(INSTALLER / "boot-screens" / "ldlinux.c32", tree / "isolinux")
    (tree / "isolinux" / "isolinux.cfg").write_text(MENU)
    iso = place / "netboot.iso"
    _run(
        "xorriso", "-as", "mkisofs", "-quiet", "-r", "-J", "-V", "NETBOOT", "-o", str(iso),
        "-isohybrid-mbr", str(ISOLINUX / "isohdpfx.bin"),
        "-b", "isolinux/isolinux.bin", "-c", "isolinux/boot.cat",
        "-no-emul-boot", "-boot-load-size", "4", "-boot-info-table", str(tree),
    )  # fmt: skip
    shutil.rmtree(tree)
    return iso


def build_qcow2(source: Path) -> Path:
    """What ``qemu-img convert`` makes of a disk or disc."""
    target = source.with_suffix(".qcow2")
    _run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", str(source), str(target))
    return target


def _run(*command: str) -> None:
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert ended.returncode == 0, f"{command[0]} ended with {ended.returncode}:\n{ended.stderr}"
