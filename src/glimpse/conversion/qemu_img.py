"""``qemu-img``: what it says about a file, and conversion. Only for files that content inspection has accepted."""

from __future__ import annotations

import json
import logging
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from glimpse.conversion.limited import Ended, Limits, TookTooLong, run_limited
from glimpse.errors import Unavailable, UnsupportedContent

LOG = logging.getLogger(__name__)

#: The names that ``qemu-img`` has for disk formats.
DRIVERS: Final = {"raw": "raw", "qcow2": "qcow2", "vmdk": "vmdk", "vhd": "vpc", "vhdx": "vhdx", "vdi": "vdi"}
PROGRAM: Final = "qemu-img"

#: Limits of ``qemu-img info`` (imports-and-stores 2.16). Only its output is written.
_INFO: Final = Limits(seconds=60, cpu_seconds=2, address_space=1 << 30, file_size=1 << 20)
#: Address space of a conversion: its threads have stacks that they use little of.
_ADDRESS_SPACE: Final = 2 << 30
#: Formats whose tables ``qemu-img check`` compares with the length of the file, and what it says of one that was cut.
#: Its other findings do not matter to a file that is only read.
_CHECKED: Final = frozenset({"qcow2", "vmdk"})
_CUT: Final = ("exceeding the end of the file", "points after EOF")
_OPTIONS: Final = {"vmdk": "subformat=monolithicSparse", "qcow2": "compat=1.1"}


class DiskInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What ``qemu-img info`` says: the driver that it chose, bytes of the disk, the type of a VMDK.

    ``refers``: the file names other files.
    """

    driver: str
    virtual_size: int
    create_type: str | None = None
    refers: bool = False


class QemuImg:
    """Runs ``qemu-img``. Shared by threads."""

    def __init__(self, seconds: int) -> None:
        """A conversion may take ``seconds``, and as many of CPU time."""
        self._seconds = seconds

    def info(self, path: Path, while_waiting: Callable[[], None]) -> DiskInfo:
        """Return what ``qemu-img`` makes of a file whose format it is not told.

        :raises UnsupportedContent: it cannot read the file.
        :raises Unavailable: it cannot be run.
        """
        ended = self._run(["info", "--output=json", str(path.absolute())], _INFO, while_waiting)
        if ended.code == -signal.SIGXCPU:
            raise UnsupportedContent("The data cannot be converted: they take too much time to look at.")
        try:
            found = json.loads(ended.output) if ended.code == 0 else None
        except json.JSONDecodeError:
            found = None
        if found is None:
            raise _unreadable(ended)
        specific: dict[str, Any] = found.get("format-specific", {}).get("data", {})
        return DiskInfo(
            driver=found["format"],
            virtual_size=found["virtual-size"],
            create_type=specific.get("create-type"),
            refers="backing-filename" in found or "data-file" in specific,
        )

    def require_complete(self, path: Path, disk_format: str, while_waiting: Callable[[], None]) -> None:
        """Check that a file has all data that its tables name; a conversion would read zeros instead of the others.

        :raises UnsupportedContent: it was cut, or checking it takes too long.
        :raises Unavailable: ``qemu-img`` cannot be run.
        """
        if disk_format not in _CHECKED:
            return
        limits = msgspec.structs.replace(_INFO, seconds=self._seconds, cpu_seconds=self._seconds)
        try:
            ended = self._run(["check", _opened(path, disk_format)], limits, while_waiting)
        except TookTooLong as error:
            raise _too_slow(self._seconds) from error
        if any(text in ended.errors + ended.output for text in _CUT):
            raise UnsupportedContent(f"The {disk_format} data are incomplete: their tables name data behind the end.")

    def convert(
        self,
        source: Path,
        disk_format: str,
        target: Path,
        target_format: str,
        *,
        max_bytes: int,
        while_waiting: Callable[[], None],
    ) -> None:
        """Write the disk in ``source``, a file of ``disk_format``, to the file ``target``.

        The formats are those of images (:data:`DRIVERS`). No other file is opened, whatever the source names.

        :param max_bytes: maximum size of the target.
        :raises UnsupportedContent: it cannot be converted, or takes more time or space than is allowed.
        :raises Unavailable: ``qemu-img`` cannot be run, or was killed, or there is no space.
        """
        options = _OPTIONS.get(target_format)
        command = [
            "convert", "-O", DRIVERS[target_format], *(["-o", options] if options else []),
            _opened(source, disk_format), str(target.absolute()),
        ]  # fmt: skip
        limits = Limits(
            seconds=self._seconds, cpu_seconds=self._seconds, address_space=_ADDRESS_SPACE, file_size=max_bytes
        )
        try:
            ended = self._run(command, limits, while_waiting)
        except TookTooLong as error:
            raise _too_slow(self._seconds) from error
        if ended.code == 0:
            return
        LOG.warning("qemu-img ended with %d: %s", ended.code, ended.errors.strip())
        if ended.code == -signal.SIGXCPU:
            raise _too_slow(self._seconds)
        if ended.code == -signal.SIGXFSZ or "File too large" in ended.errors:
            raise UnsupportedContent(f"The converted data are too large: image_size_cap allows {max_bytes} bytes.")
        if "No space left" in ended.errors:
            raise Unavailable("The staging area has no space left for the converted data.")
        if ended.code < 0:
            raise Unavailable(f"The conversion was ended by signal {-ended.code}.")
        raise UnsupportedContent(
            f"qemu-img could not convert the data from {disk_format} to {target_format}; they may be damaged."
        )

    def _run(self, arguments: list[str], limits: Limits, while_waiting: Callable[[], None]) -> Ended:
        program = shutil.which(PROGRAM)
        if program is None:
            raise Unavailable("Images cannot be converted here: qemu-img is not installed.")
        try:
            ended = run_limited([program, *arguments], limits, while_waiting)
        except OSError as error:
            LOG.warning("qemu-img cannot be started: %s", error)
            raise Unavailable("The conversion cannot be started now.") from error
        if ended.code == 127:
            LOG.warning("qemu-img cannot be started: %s", ended.errors.strip())
            raise Unavailable("The conversion cannot be started now.")
        return ended


def _opened(path: Path, disk_format: str) -> str:
    """Return how ``qemu-img`` opens a file: as this format, read-only, and without any other file."""
    opened = {
        "driver": DRIVERS[disk_format],
        "read-only": True,
        "backing": None,
        "file": {"driver": "file", "filename": str(path.absolute()), "read-only": True},
    }
    return f"json:{json.dumps(opened)}"


def _unreadable(ended: Ended) -> UnsupportedContent:
    LOG.warning("qemu-img info ended with %d: %s", ended.code, ended.errors.strip())
    return UnsupportedContent("qemu-img cannot read the data; they may be damaged.")


def _too_slow(seconds: int) -> UnsupportedContent:
    return UnsupportedContent(f"The conversion takes too long: it may take {seconds} seconds.")
