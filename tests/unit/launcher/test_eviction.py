"""Which connections are closed, with real sockets and short times."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest

from glimpse.launcher import eviction
from glimpse.launcher.descriptors import SPARE_DESCRIPTORS, normal_peer, open_connections
from glimpse.launcher.eviction import IdleEviction

Pair = tuple[socket.socket, socket.socket]


class RequestActivity:
    def __init__(self) -> None:
        self.busy: dict[tuple[str, int], int] = {}
        self.served: dict[tuple[str, int], None] = {}


class Port:
    """A listening socket, and both ends of the connections to it."""

    def __init__(self, stack: ExitStack, family: socket.AddressFamily = socket.AF_INET) -> None:
        self._stack = stack
        dual = family == socket.AF_INET6
        self.listener = stack.enter_context(socket.create_server(("", 0), family=family, dualstack_ipv6=dual))
        self.number: int = self.listener.getsockname()[1]

    def connect(self) -> Pair:
        client = self._stack.enter_context(socket.create_connection(("127.0.0.1", self.number)))
        accepted = self._stack.enter_context(self.listener.accept()[0])
        return client, accepted


@pytest.fixture
def port() -> Iterator[Port]:
    with ExitStack() as stack:
        yield Port(stack)


def ended(pair: Pair) -> bool:
    pair[1].settimeout(0)
    try:
        return pair[1].recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False


def drip_into(pair: Pair) -> bytes:
    """One more byte of a request head, as the server reads it; nothing when the connection has ended."""
    with suppress(OSError):
        pair[0].sendall(b"G")
    pair[1].settimeout(20)
    try:
        return pair[1].recv(1)
    except ConnectionResetError:
        return b""


def wait_for(condition: object) -> None:
    deadline = time.monotonic() + 20
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_connections_of_other_ports_and_plain_files_are_none(port: Port) -> None:
    with ExitStack() as stack:
        other = Port(stack)
        other.connect()
        client, accepted = port.connect()
        found = [(one.peer, one.waiting) for one in open_connections(port.number)]
        assert found == [(client.getsockname(), 0)]
        client.sendall(b"abc")
        wait_for(lambda: [one.waiting for one in open_connections(port.number)] == [3])
        assert accepted.recv(3) == b"abc"


def test_what_a_client_did_not_take_yet_is_waiting(port: Port) -> None:
    _, accepted = port.connect()
    accepted.setblocking(False)
    accepted.send(b"x" * (1 << 22))
    assert [one.waiting > 0 for one in open_connections(port.number)] == [True]


def test_ipv4_clients_of_an_ipv6_socket() -> None:
    if not socket.has_dualstack_ipv6():
        pytest.skip("no IPv6")
    with ExitStack() as stack:
        port = Port(stack, socket.AF_INET6)
        client, accepted = port.connect()
        assert [one.peer for one in open_connections(port.number)] == [client.getsockname()]
        assert normal_peer(*accepted.getpeername()[:2]) == client.getsockname()


def test_ports_of_scopes_may_be_text() -> None:
    assert normal_peer("fe80::1%eth0", "80") == ("fe80::1", 80)


def test_a_head_that_never_ends_is_cut_off(port: Port, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HEAD_SECONDS", "BUSY_INTERVAL", "CALM_INTERVAL"):
        monkeypatch.setattr(eviction, name, 0.05)
    monkeypatch.setattr(eviction, "QUIET_SECONDS", 3600.0)
    traffic = RequestActivity()
    dripping, asking, served = port.connect(), port.connect(), port.connect()
    traffic.busy[asking[0].getsockname()] = 1
    traffic.served[served[0].getsockname()] = None
    watch = IdleEviction(traffic, port.number, most=5)
    watch.start()
    # data come all the time, a request never does
    wait_for(lambda: drip_into(dripping) == b"")
    watch.stop()
    assert not ended(asking)
    assert not ended(served)


def test_addresses_that_are_gone_are_forgotten(port: Port, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eviction, "CALM_INTERVAL", 0.02)
    monkeypatch.setattr(eviction, "BUSY_INTERVAL", 0.02)
    traffic = RequestActivity()
    client, _ = port.connect()
    traffic.served[client.getsockname()] = None
    traffic.served.update({("192.0.2.1", number): None for number in range(1, 50_000)})
    watch = IdleEviction(traffic, port.number, most=4096)
    watch.start()
    wait_for(lambda: list(traffic.served) == [client.getsockname()])
    watch.stop()


def affordable(hard: int, soft: int, wanted: int) -> tuple[list[str], str]:
    """What a process with these limits can hold and its soft limit then; and its log."""
    program = (
        "import logging, resource\n"
        "from glimpse.launcher.descriptors import affordable_connections\n"
        "logging.basicConfig(level=logging.INFO)\n"
        f"resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))\n"
        f"print(affordable_connections({wanted}), resource.getrlimit(resource.RLIMIT_NOFILE)[0])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.split(), done.stderr


def test_the_soft_limit_is_raised_to_the_hard_one() -> None:
    (connections, soft), log = affordable(hard=1000, soft=200, wanted=400)
    assert (int(connections), int(soft)) == (400, 1000)
    assert not log


def test_a_low_hard_limit_is_told_with_what_it_is_enough_for() -> None:
    (connections, soft), log = affordable(hard=512, soft=256, wanted=4096)
    assert (int(connections), int(soft)) == ((512 - SPARE_DESCRIPTORS) // 2, 512)
    assert "WARNING" in log
    assert "is 512, which allows 192 connections per worker instead of 4096" in log
    assert "to 8320" in log
