"""Memory that a transfer takes above an idle process, for each driver and whatever the size of the object."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.contract.stores.memory_steps import STREAMS
from tests.contract.stores.rigs.all import parameters
from tests.contract.stores.rigs.base import Rig
from tests.support.needs import unavailable
from tests.support.processes import watched_memory

MIB = 1 << 20
#: Budgets of one transfer, and of each further stream of a parallel download; in bytes.
TRANSFER, STREAM = 64 * MIB, 16 * MIB
BUDGETS = {
    "write": TRANSFER,
    "write_unknown": TRANSFER,
    "read": TRANSFER,
    "read_ranges": TRANSFER + (STREAMS - 1) * STREAM,
}


class Transfers:
    """The program ``memory_steps`` in a process of its own, where nothing else takes or frees memory."""

    def __init__(self, build: Callable[[Path], Rig], directory: Path) -> None:
        command = [sys.executable, "-m", "tests.contract.stores.memory_steps"]
        self.process = subprocess.Popen(
            [*command, build.__module__, build.__name__, str(directory)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def start(self) -> None:
        """Wait until the store is in use."""
        self._expect("ready")

    def run(self, step: str) -> None:
        assert self.process.stdin is not None
        print(step, file=self.process.stdin, flush=True)
        self._expect("done")

    def end(self) -> None:
        """Let it remove its objects; its standard error says what failed."""
        self.process.communicate(timeout=120)
        assert self.process.returncode == 0

    def _expect(self, word: str) -> None:
        assert self.process.stdout is not None
        assert self.process.stdout.readline().strip() == word


@pytest.mark.parametrize("parameter", [one for one in parameters() if one.id != "memory"])
def test_memory_of_transfers(
    parameter: tuple[str | None, Callable[[Path], Rig]],
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    """Peak of the process with its children in each kind of transfer, above what they take when idle."""
    needs, build = parameter
    if needs and not os.environ.get(needs):
        unavailable(f"{needs} names no server; dev/rigs starts one")
    transfers = Transfers(build, tmp_path)
    try:
        transfers.start()
        taken: dict[str, int] = {}
        idle: int | None = None
        for step in BUDGETS:
            with watched_memory(transfers.process.pid, 0.02) as memory:
                transfers.run(step)
            idle = memory.before if idle is None else idle
            taken[step] = memory.peak - idle
    finally:
        transfers.end()
    report = ", ".join(f"{step} {used / MIB:.0f} MiB" for step, used in taken.items())
    record_property("report", f"memory above idle, {build.__name__}: {report}")
    assert {step: used for step, used in taken.items() if used > BUDGETS[step]} == {}, report
