"""Programs with limits: what they may use, and that they never outlive whoever waits for them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from glimpse.conversion.limited import Ended, Limits, TookTooLong, run_limited

AMPLE = Limits(seconds=120, cpu_seconds=60, address_space=1 << 30, file_size=1 << 20)
PYTHON = [sys.executable, "-I", "-S", "-c"]


def nothing() -> None:
    """What waits has nothing to do."""


def run(text: str, limits: Limits = AMPLE) -> Ended:
    return run_limited([*PYTHON, text], limits, nothing)


def until(holds: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


def is_alive(process: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except OSError:
        return False


def test_output_errors_and_exit_code() -> None:
    ended = run("import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)")
    assert (ended.code, ended.output) == (3, "out\n")
    assert ended.errors.endswith("err\n")


def test_it_gets_neither_the_environment_nor_files_nor_privileges(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GLIMPSE_SECRET", "secret")
    with (tmp_path / "open").open("w") as file:
        os.set_inheritable(file.fileno(), True)
        ended = run(
            "import os; print('GLIMPSE_SECRET' in os.environ); print(max(map(int, os.listdir('/proc/self/fd'))) > 9);"
            "print([line for line in open('/proc/self/status') if line.startswith('NoNewPrivs')])"
        )
    assert ended.output == "False\nFalse\n['NoNewPrivs:\\t1\\n']\n"


def test_it_has_no_network_where_the_host_can_take_it_away() -> None:
    ended = run("print(open('/proc/self/net/dev').read())")
    if "does not allow network namespaces" in ended.errors:
        assert "EPERM" in ended.errors or "ENOSPC" in ended.errors
    else:
        names = [line.partition(":")[0].strip() for line in ended.output.splitlines() if ":" in line]
        assert names == ["lo"]


def test_cpu_time() -> None:
    ended = run("while True: pass", Limits(seconds=120, cpu_seconds=1, address_space=1 << 30, file_size=0))
    assert ended.code == -signal.SIGXCPU


def test_memory() -> None:
    ended = run("bytearray(2 << 30)")
    assert "MemoryError" in ended.errors


def test_the_size_of_files(tmp_path: Path) -> None:
    ended = run(f"open({str(tmp_path / 'big')!r}, 'wb').write(bytes(2 << 20))")
    assert ended.code != 0
    assert (tmp_path / "big").stat().st_size <= 1 << 20


def test_time() -> None:
    with pytest.raises(TookTooLong):
        run("import time; time.sleep(600)", Limits(seconds=1, cpu_seconds=9, address_space=1 << 30, file_size=0))


def test_a_program_that_does_not_exist() -> None:
    assert run_limited(["/nonexistent/program"], AMPLE, nothing).code == 127


def test_what_waits_can_end_it(tmp_path: Path) -> None:
    mark = tmp_path / "pid"

    class Enough(Exception):
        pass

    def stop() -> None:
        if mark.exists() and mark.read_text():
            raise Enough

    with pytest.raises(Enough):
        run_limited(["/bin/sh", "-c", f"echo $$ >{mark}; exec sleep 600"], AMPLE, stop)
    assert not is_alive(int(mark.read_text()))


def test_it_dies_with_the_service(tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    text = (
        "from glimpse.conversion.limited import Limits, run_limited\n"
        "limits = Limits(seconds=600, cpu_seconds=60, address_space=1 << 30, file_size=1 << 20)\n"
        f"run_limited(['/bin/sh', '-c', 'echo $$ >{mark}; exec sleep 600'], limits, lambda: None)"
    )
    service = subprocess.Popen([sys.executable, "-c", text])
    until(lambda: mark.exists() and mark.read_text())
    child = int(mark.read_text())
    assert is_alive(child)
    service.kill()
    service.wait()
    until(lambda: not is_alive(child))
