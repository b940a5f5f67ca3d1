"""Closes idle connections of a worker that has nearly as many as it can hold, the longest idle first.

Otherwise idle connections would block all others, including health checks, until their idle timeout.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from glimpse.launcher.descriptors import Peer, count_descriptors, normal_peer, open_connections, raise_soft_limit

LOG = logging.getLogger(__name__)

#: Seconds between two checks, normally and in a worker that is more than half full.
CALM_INTERVAL = 1.0
BUSY_INTERVAL = 0.2
#: Seconds without data after which a connection may be closed to make room for others.
QUIET_SECONDS = 1.0
#: Seconds that a new connection has for its first complete request head, once the worker is half full.
HEAD_SECONDS = 10.0
#: Descriptors that must stay free.
_SPARE = 64
#: Seconds between two log lines about the same problem.
_LOG_INTERVAL = 60.0


class RequestActivity(Protocol):
    """What the worker knows of its connections, by the ``client`` of ASGI scopes.

    ``busy`` serve a request now, ``served`` have served one. Another thread changes both.
    """

    @property
    def busy(self) -> dict[tuple[str, int], int]: ...

    @property
    def served(self) -> dict[tuple[str, int], None]: ...


@dataclass(slots=True)
class _Survey:
    """The connections by what they are worth; those in lists with the negative of the seconds without data.

    ``silent`` never sent a request, ``late`` have not sent one in time, ``fresh`` are still within that time. ``idle``
    have served one before. ``busy`` are serving one now.
    """

    busy: int
    fresh: int = 0
    late: set[Peer] = field(default_factory=set[Peer])
    silent: list[tuple[float, Peer]] = field(default_factory=list[tuple[float, Peer]])
    idle: list[tuple[float, Peer]] = field(default_factory=list[tuple[float, Peer]])

    def longest_idle(self, count: int) -> set[Peer]:
        """Return at most ``count`` connections to close; those that have served a request only if there are no
        others.
        """
        silent = sorted(self.silent)[: max(0, count)]
        idle = sorted(self.idle)[: max(0, count - len(silent) - self.fresh)]
        return {peer for _, peer in (*silent, *idle)}


class IdleEviction:
    """Monitors the connections of this process in a separate thread, from `start` to `stop`.

    While fewer than half of ``most`` connections are open, a check costs one listing of a small directory.
    """

    def __init__(self, traffic: RequestActivity, port: int, most: int) -> None:
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
        # one descriptor in reserve, for the check if no other is left
        self._reserve = os.open(os.devnull, os.O_RDONLY)
        self._thread = threading.Thread(target=self._run, name="glimpse-connections", daemon=True)

    def start(self) -> None:
        """Start monitoring."""
        self._thread.start()

    def stop(self) -> None:
        """Stop monitoring; returns at once."""
        self._ended.set()

    def _run(self) -> None:
        interval = CALM_INTERVAL
        while not self._ended.wait(interval):
            try:
                crowded = self._look()
            except OSError as error:
                self._warn("Cannot look for idle connections: %s", error)
                crowded = True
            interval = BUSY_INTERVAL if crowded else CALM_INTERVAL
        os.close(self._reserve)

    def _look(self) -> bool:
        """Close connections if needed; return whether the worker is more than half full."""
        os.close(self._reserve)
        try:
            descriptors = count_descriptors()
            # every connection is a descriptor, so there cannot be more connections than descriptors
            crowded = descriptors * 2 > self._most or descriptors >= self._descriptors
            if crowded or len(self._traffic.served) > 2 * self._most:
                self._evict(no_descriptor_left=descriptors >= self._descriptors)
        finally:
            self._reserve = os.open(os.devnull, os.O_RDONLY)
        return crowded

    def _evict(self, *, no_descriptor_left: bool) -> None:
        seen = self._survey()
        count = len(self._since)
        chosen = seen.late if count * 2 > self._most else set[Peer]()
        if count >= self._nearly_full or no_descriptor_left:
            goal = count - min(self._kept, count * 3 // 4)
            chosen |= seen.longest_idle(goal - len(chosen))
            if seen.busy >= self._nearly_full:
                self._warn("All %d connections of this worker are in use; new connections wait.", count)
        if chosen:
            closed = self._close(chosen, seen.late)
            self._warn(
                "%d of at most %d connections are open in this worker: closed %d idle connections, first those that "
                "never sent a request, then the longest idle.", count, self._most, closed,
            )  # fmt: skip

    def _survey(self) -> _Survey:
        """Classify all connections; remembers since when each has been open."""
        now = time.monotonic()
        busy = {normal_peer(*peer) for peer in list(self._traffic.busy)}
        served = {normal_peer(*peer) for peer in list(self._traffic.served)}
        since: dict[Peer, float] = {}
        seen = _Survey(busy=len(busy))
        for connection in open_connections(self._port):
            peer = connection.peer
            began = since[peer] = self._since.get(peer, now - connection.quiet_seconds)
            quiet = connection.quiet_seconds >= QUIET_SECONDS and not connection.waiting
            if peer in busy:
                continue
            if peer in served:
                if quiet:
                    seen.idle.append((-connection.quiet_seconds, peer))
            elif now - began >= HEAD_SECONDS:
                seen.late.add(peer)
            elif quiet:
                seen.silent.append((-connection.quiet_seconds, peer))
            else:
                seen.fresh += 1
        self._since = since
        self._forget_served(since)
        return seen

    def _close(self, chosen: set[Peer], late: set[Peer]) -> int:
        """Close those of ``chosen`` that got no request meanwhile; ``late`` are those that send no complete head."""
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
