"""Closes idle connections of a worker that has nearly as many as it can hold, the longest idle first.

Without it, silent connections keep everybody else out until their idle time is over, health checks included.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from contextlib import suppress
from typing import Protocol

from glimpse.launcher.descriptors import raise_soft_limit
from glimpse.launcher.open_connections import Peer, count_descriptors, normal_peer, open_connections

LOG = logging.getLogger(__name__)

#: Seconds between two looks, and between those of a worker that is more than half full.
CALM_INTERVAL = 1.0
BUSY_INTERVAL = 0.2
#: Seconds without data after which a connection may be closed in favour of others.
QUIET_SECONDS = 1.0
#: Seconds that a new connection gets for its first complete request head, once the worker is half full.
HEAD_SECONDS = 10.0
#: Descriptors that must stay free.
_SPARE = 64
#: Seconds between two lines of the log about the same.
_LOG_INTERVAL = 60.0


class Traffic(Protocol):
    """What the worker knows of its connections, by the ``client`` of ASGI scopes.

    ``busy`` serve a request now, ``served`` have served one. Another thread changes both.
    """

    @property
    def busy(self) -> dict[tuple[str, int], int]: ...

    @property
    def served(self) -> dict[tuple[str, int], None]: ...


class IdleEviction:
    """Watches the connections of this process in a thread of its own, from `start` to `stop`.

    As long as less than half of ``most`` connections are open, a look costs one listing of a small directory.
    """

    def __init__(self, traffic: Traffic, port: int, most: int) -> None:
        """``port`` is the local TCP port, ``most`` the number of connections that the worker can hold."""
        self._traffic = traffic
        self._port = port
        self._most = most
        self._nearly_full = most - most // 16
        self._kept = most * 3 // 4
        self._descriptors = raise_soft_limit() - _SPARE
        self._since: dict[Peer, float] = {}
        self._silent_until: dict[str, float] = {}
        self._ended = threading.Event()
        # one descriptor in reserve, to look with when no other is left
        self._reserve = os.open(os.devnull, os.O_RDONLY)
        self._thread = threading.Thread(target=self._run, name="glimpse-connections", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """End the watch; returns at once."""
        self._ended.set()

    def _run(self) -> None:
        interval = CALM_INTERVAL
        while not self._ended.wait(interval):
            try:
                crowded = self._look()
            except OSError as error:
                self._warn("Idle connections cannot be looked for: %s", error)
                crowded = True
            interval = BUSY_INTERVAL if crowded else CALM_INTERVAL
        os.close(self._reserve)

    def _look(self) -> bool:
        """Close what has to go; returns whether the worker is more than half full."""
        os.close(self._reserve)
        try:
            descriptors = count_descriptors()
            # every connection is a descriptor: there are no more of the one than of the other
            crowded = descriptors * 2 > self._most or descriptors >= self._descriptors
            if crowded or len(self._traffic.served) > 2 * self._most:
                self._evict(no_descriptor_left=descriptors >= self._descriptors)
        finally:
            self._reserve = os.open(os.devnull, os.O_RDONLY)
        return crowded

    def _evict(self, *, no_descriptor_left: bool) -> None:
        now = time.monotonic()
        busy = {normal_peer(*peer) for peer in list(self._traffic.busy)}
        served = {normal_peer(*peer) for peer in list(self._traffic.served)}
        since: dict[Peer, float] = {}
        idle: list[tuple[bool, float, Peer]] = []
        late: set[Peer] = set()
        for connection in open_connections(self._port):
            peer = connection.peer
            began = since[peer] = self._since.get(peer, now - connection.quiet_seconds)
            if peer in busy:
                continue
            if peer not in served and now - began >= HEAD_SECONDS:
                late.add(peer)
            elif connection.quiet_seconds >= QUIET_SECONDS and not connection.waiting:
                # those that never asked for anything go first
                idle.append((peer in served, -connection.quiet_seconds, peer))
        self._since = since
        self._forget_served(since)
        count = len(since)
        chosen = late if count * 2 > self._most else set[Peer]()
        if count >= self._nearly_full or no_descriptor_left:
            goal = count - min(self._kept, count * 3 // 4)
            idle.sort()
            chosen |= {peer for _, _, peer in idle[: max(0, goal - len(chosen))]}
            if len(busy) >= self._nearly_full:
                self._warn("All %d connections of this worker are in use, so that new ones wait.", count)
        if chosen:
            closed = self._close(chosen, late)
            self._warn(
                "%d connections are open in this worker, which holds %d at most: closed %d that serve no request, "
                "first those that never sent one, then the longest idle.", count, self._most, closed,
            )  # fmt: skip

    def _close(self, chosen: set[Peer], late: set[Peer]) -> int:
        """Close those of ``chosen`` that got no request meanwhile; ``late`` are those that send, but no whole head."""
        closed = 0
        chosen = chosen - {normal_peer(*peer) for peer in list(self._traffic.busy)}
        for connection in open_connections(self._port):
            if connection.peer not in chosen:
                continue
            if connection.peer in late or (connection.quiet_seconds >= QUIET_SECONDS and not connection.waiting):
                connection.shut()
                closed += 1
        return closed

    def _forget_served(self, present: dict[Peer, float]) -> None:
        served = self._traffic.served
        for peer in list(served):
            if normal_peer(*peer) not in present:
                with suppress(KeyError):
                    del served[peer]

    def _warn(self, message: str, *arguments: object) -> None:
        now = time.monotonic()
        if now >= self._silent_until.get(message, 0.0):
            self._silent_until[message] = now + _LOG_INTERVAL
            LOG.warning(message, *arguments)
