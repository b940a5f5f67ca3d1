"""Images written by the usual tools are accepted, and the service reports the same properties as QEMU."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import netboot
from tests.support.needs import unavailable
from tests.support.raw_http import Api
from tests.support.service import Service

MIB = 1 << 20
MEMTEST = Path("/boot/memtest86+x64.bin")
MBR = Path("/usr/lib/syslinux/mbr/mbr.bin")


def run(*command: str | Path, stdin: bytes = b"") -> None:
    if shutil.which(str(command[0]), path="/usr/sbin:/usr/bin:/sbin:/bin") is None:
        unavailable(f"{command[0]} is not installed")
    ended = subprocess.run(command, input=stdin, capture_output=True, check=False, timeout=120)
    assert ended.returncode == 0, (command, ended.stderr)


def present(path: Path) -> Path:
    if not path.exists():
        unavailable(f"{path} is not installed")
    return path


def blank(folder: Path, mib: float) -> Path:
    disk = folder / "disk"
    with disk.open("wb") as file:
        file.truncate(int(mib * MIB))
    return disk


def volume(mib: float, *command: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        disk = blank(folder, mib)
        run(*command, disk)
        return disk

    return make


def converted(kind: str, options: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        run("qemu-img", "convert", "-f", "raw", "-O", kind, "-o", options, blank(folder, 8), folder / "image")
        return folder / "image"

    return make


def luks2(folder: Path) -> Path:
    disk = blank(folder, 20)
    fast = ("--pbkdf", "argon2id", "--pbkdf-memory", "1024", "--pbkdf-parallel", "1", "--pbkdf-force-iterations", "4")
    run("cryptsetup", "luksFormat", "--type", "luks2", "--batch-mode", *fast, disk, "-", stdin=b"secret")
    return disk


def boot_sector(folder: Path) -> Path:
    disk = blank(folder, 1)
    with disk.open("r+b") as file:
        file.write(present(MBR).read_bytes().ljust(510, b"\0") + b"\x55\xaa")
    return disk


def hybrid_iso(folder: Path) -> Path:
    if missing := netboot.missing():
        unavailable(f"not installed: {', '.join(missing)}")
    return netboot.build_iso(folder)


#: what is made, how, the disk format, and the size of the disk inside; None: that of the file
MADE: dict[str, tuple[Callable[[Path], Path], str, int | None]] = {
    "floppy": (volume(1.40625, "mkfs.vfat"), "raw", None),
    "FAT32": (volume(64, "mkfs.vfat", "-F", "32"), "raw", None),
    "NTFS": (volume(16, "mkfs.ntfs", "-F", "-Q", "-q"), "raw", None),
    "exFAT": (volume(16, "mkfs.exfat"), "raw", None),
    "ext4": (volume(16, "mkfs.ext4", "-q"), "raw", None),
    "fixed VHD": (converted("vpc", "subformat=fixed,force_size=on"), "vhd", 8 * MIB),
    "fixed VHD as raw": (converted("vpc", "subformat=fixed,force_size=on"), "raw", None),
    "dynamic VHD": (converted("vpc", "subformat=dynamic,force_size=on"), "vhd", 8 * MIB),
    "extended L2 entries": (converted("qcow2", "extended_l2=on"), "qcow2", 8 * MIB),
    "zstd": (converted("qcow2", "compression_type=zstd"), "qcow2", 8 * MIB),
    "LUKS2": (luks2, "raw", None),
    "boot sector": (boot_sector, "raw", None),
    "memtest": (lambda _: present(MEMTEST), "raw", None),
    "kernel": (lambda _: present(netboot.INSTALLER / "linux"), "raw", None),
    "hybrid ISO as raw": (hybrid_iso, "raw", None),
}


@pytest.mark.timeout(240)
@pytest.mark.parametrize("name", MADE)
def test_what_tools_make_is_let_in(service: Service, tmp_path: Path, name: str) -> None:
    make, disk_format, disk_bytes = MADE[name]
    data = make(tmp_path).read_bytes()
    api = Api(service.port)
    image_id = api.new(disk_format=disk_format)
    answer = api.upload(image_id, data)
    assert answer.status == 204, answer.text
    shown = api.show(image_id)
    assert (shown["status"], shown["virtual_size"]) == ("active", disk_bytes or len(data))


def test_a_kernel_is_let_in_as_aki(service: Service) -> None:
    api = Api(service.port)
    image_id = api.new(disk_format="aki")
    assert api.upload(image_id, present(netboot.INSTALLER / "linux").read_bytes()).status == 204


@pytest.mark.parametrize("options", ["backing_file=BASE,backing_fmt=raw", "data_file=BASE,data_file_raw=on"])
def test_a_disk_that_needs_another_file_is_refused(service: Service, tmp_path: Path, options: str) -> None:
    base = blank(tmp_path, 8)
    run("qemu-img", "create", "-q", "-f", "qcow2", "-o", options.replace("BASE", str(base)), tmp_path / "image", "8M")
    api = Api(service.port)
    for disk_format in ("qcow2", "raw"):
        answer = api.upload(api.new(disk_format=disk_format), (tmp_path / "image").read_bytes())
        assert answer.status == 415
        assert "qcow2 check " in answer.text
