"""Programs that read data of users, run with limits on time, memory and files, and without network.

The program dies with the thread that waits for it, also by ``kill -9`` of the service. It gets no environment, no open
files and no privileges of the service but its user.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryFile
from time import monotonic
from typing import IO, Final

import msgspec

#: The script that a program is started by.
STARTER: Final = Path(__file__).with_name("limited_exec.py")
#: An allocator that reserves space for each thread would soon reach the limit of a program with many.
ENVIRONMENT: Final = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", "MALLOC_ARENA_MAX": "2"}
#: Seconds between calls of ``while_waiting``.
_TICK: Final = 0.5
#: Bytes of the output of a program that are read.
_OUTPUT_BYTES: Final = 256 << 10


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What one run of a program may use: seconds in total, seconds of CPU time, bytes of memory and of each file."""

    seconds: int
    cpu_seconds: int
    address_space: int
    file_size: int


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """How a program ended. ``code`` is its exit code, or minus the signal that ended it; the outputs may be cut."""

    code: int
    output: str
    errors: str


class TookTooLong(Exception):
    """The program was ended because its time was over."""


def run_limited(command: Sequence[str], limits: Limits, while_waiting: Callable[[], None]) -> Ended:
    """Run a program, given by its path and arguments, to its end.

    ``while_waiting`` is called about twice a second. What it raises ends the program, and is raised.

    :raises TookTooLong: see :class:`Limits`.
    :raises OSError: the service can start no process.
    """
    numbers = (os.getpid(), limits.cpu_seconds, limits.address_space, limits.file_size)
    until = monotonic() + limits.seconds
    with TemporaryFile() as output, TemporaryFile() as errors:
        child = subprocess.Popen(  # noqa: S603 - the command is the service's own
            [sys.executable, "-I", "-S", str(STARTER), *map(str, numbers), *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            env=ENVIRONMENT,
            cwd="/",
            start_new_session=True,
        )
        try:
            while (code := _code(child)) is None:
                while_waiting()
                if monotonic() >= until:
                    raise TookTooLong
        finally:
            if child.poll() is None:
                child.kill()
            child.wait()
        return Ended(code=code, output=_text(output), errors=_text(errors))


def _code(child: subprocess.Popen[bytes]) -> int | None:
    try:
        return child.wait(_TICK)
    except subprocess.TimeoutExpired:
        return None


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read(_OUTPUT_BYTES).decode(errors="replace")
