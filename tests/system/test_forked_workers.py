"""Workers are forked from a process that has opened nothing but what they are to share: their listeners and links."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.raw_http import Api
from tests.support.service import Service
from tests.system.conftest import StartService

#: The state of a listening socket in /proc/PID/net/tcp.
LISTENING = "0A"


def opened(pid: int) -> list[str]:
    """What the descriptors and mappings of a process are: paths, ``socket:[inode]``, ``pipe:[inode]``."""
    names = [line.split(maxsplit=5)[5] for line in Path(f"/proc/{pid}/maps").read_text().splitlines() if "/" in line]
    for path in Path(f"/proc/{pid}/fd").iterdir():
        # one that is closed meanwhile is not open
        with suppress(FileNotFoundError):
            names.append(os.readlink(path))
    return names


def internet_sockets(pid: int) -> dict[str, tuple[int, str]]:
    """The local port and the state of each TCP socket of the process's network, by its name as a descriptor."""
    rows = [
        line.split()
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]
    ]
    return {f"socket:[{row[9]}]": (int(row[1].rpartition(":")[2], 16), row[3]) for row in rows}


def named_sockets(pid: int) -> set[str]:
    """Unix sockets that have a path or an abstract name; those of a socket pair have none."""
    rows = [line.split() for line in Path(f"/proc/{pid}/net/unix").read_text().splitlines()[1:]]
    return {f"socket:[{row[6]}]" for row in rows if len(row) > 7}


def in_data_directory(service: Service, pid: int) -> list[str]:
    return [name for name in opened(pid) if name.startswith(str(service.data_dir))]


def check_parent(service: Service) -> None:
    """Only listeners, links to the workers, pipes of signals, and the log."""
    names = opened(service.pid)
    assert in_data_directory(service, service.pid) == []
    sockets = internet_sockets(service.pid)
    found = [sockets[name] for name in names if name in sockets]
    assert found, "a listener is expected"
    assert set(found) == {(service.port, LISTENING)}
    assert named_sockets(service.pid).isdisjoint(names)
    assert len(list(Path(f"/proc/{service.pid}/task").iterdir())) == 1, "a fork copies only the thread that forks"


@pytest.mark.parametrize("server", ["granian", "uvicorn"])
def test_workers_inherit_no_connection_and_no_file(start_service: StartService, server: str) -> None:
    service = start_service(options={"glimpse": {"server": server}}, workers=2)
    api = Api(service.port)
    assert api.upload(api.new(), b"data").status == 204
    first = service.workers()
    assert len(first) == 2
    check_parent(service)
    # what the parent lacks each worker has opened itself
    assert all(str(service.database_file) in in_data_directory(service, pid) for pid in first)

    os.kill(first[0], signal.SIGKILL)
    deadline = time.monotonic() + 20
    while len(set(service.workers()) - {first[0]}) < 2:
        assert time.monotonic() < deadline, service.log
        time.sleep(0.05)
    assert api.upload(api.new(), b"data").status == 204
    check_parent(service)
