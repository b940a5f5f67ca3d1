"""Slows down password guessing, by address and by user and address.

All tables are bounded, and belong to one process. An attempt counts as failed until it succeeds, so that concurrent
attempts cannot bypass the limit.
"""

from __future__ import annotations

import ipaddress
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache
from typing import Generic, TypeVar

from glimpse.errors import TooManyAttempts

LOG = logging.getLogger(__name__)

#: Wrong passwords of one user at one address without a delay.
FREE_FAILURES = 5
#: Delay in seconds after the next one; it doubles each time.
FIRST_DELAY = 1.0
LONGEST_DELAY = 60.0
#: Wrong passwords of an address that are checked without a delay in between.
MOST_AT_ONCE = 10
#: Seconds for which failures, and the addresses of successful logins, are remembered.
FAILURES_LAST = 900.0
SUCCESS_LASTS = 86_400.0
#: Size of each table; the least recently used entries are dropped first.
MOST_ENTRIES = 8192

K = TypeVar("K")
V = TypeVar("V")


class LoginThrottle:
    """Decides whether a password may be checked now. Thread-safe.

    After :data:`FREE_FAILURES` wrong passwords, a user must wait at that address, longer each time; the user can still
    log in at other addresses. An address may try ``per_minute`` wrong passwords per minute for all users together, ten
    at once (0: no limit); users who logged in from there before are exempt.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_minute = per_minute
        self._at_once = float(min(per_minute, MOST_AT_ONCE))
        self._clock = clock
        self._lock = threading.Lock()
        self._failures: _Bounded[tuple[str, str], tuple[int, float]] = _Bounded()
        self._addresses: _Bounded[str, tuple[float, float]] = _Bounded()
        self._successes: _Bounded[tuple[str, str], float] = _Bounded()

    def begin(self, peer: str | None, user: str) -> None:
        """Allow an attempt, and count it as failed until :meth:`succeeded`.

        :raises TooManyAttempts: the attempt is too early.
        """
        address = _network_of(peer)
        with self._lock:
            now = self._clock()
            count, last = self._failures.get((address, user)) or (0, now)
            if now - last > FAILURES_LAST:
                count = 0
            if count >= FREE_FAILURES:
                delay = min(FIRST_DELAY * 2 ** min(count - FREE_FAILURES, 16), LONGEST_DELAY)
                if now < last + delay:
                    raise _too_many(last + delay - now)
            at_home = now < (self._successes.get((address, user)) or 0.0)
            if self._per_minute and not at_home:
                self._take(address, now)
            self._failures.put((address, user), (count + 1, now))
        if count + 1 == FREE_FAILURES:
            LOG.warning("%d failed logins of user %s from %s: further attempts are delayed.", count + 1, user, address)

    def succeeded(self, peer: str | None, user: str) -> None:
        """Record a success: forget the failures of this user at this address."""
        address = _network_of(peer)
        with self._lock:
            now = self._clock()
            self._failures.drop((address, user))
            left = self._addresses.get(address)
            if left is not None:
                self._addresses.put(address, (min(left[0] + 1, self._at_once), left[1]))
            self._successes.put((address, user), now + SUCCESS_LASTS)

    def _take(self, address: str, now: float) -> None:
        """Take one of the attempts of an address, which are refilled every minute."""
        left, then = self._addresses.get(address) or (self._at_once, now)
        left = min(left + (now - then) * self._per_minute / 60, self._at_once)
        if left < 1:
            self._addresses.put(address, (left, now))
            raise _too_many((1 - left) * 60 / self._per_minute)
        if left < 2:
            LOG.warning("Too many failed logins from %s: further attempts are delayed.", address)
        self._addresses.put(address, (left - 1, now))


class _Bounded(Generic[K, V]):
    """A table with at most :data:`MOST_ENTRIES` entries."""

    def __init__(self) -> None:
        self._entries: OrderedDict[K, V] = OrderedDict()

    def get(self, key: K) -> V | None:
        return self._entries.get(key)

    def put(self, key: K, value: V) -> None:
        self._entries[key] = value
        self._entries.move_to_end(key)
        if len(self._entries) > MOST_ENTRIES:
            self._entries.popitem(last=False)

    def drop(self, key: K) -> None:
        self._entries.pop(key, None)


def _too_many(seconds: float) -> TooManyAttempts:
    return TooManyAttempts("Too many failed logins; try again later.", seconds)


@lru_cache(maxsize=1024)
def _network_of(peer: str | None) -> str:
    """Return the address to count; for IPv6 the first 64 bits, because one host has all addresses that share them."""
    try:
        address = ipaddress.ip_address(peer or "")
    except ValueError:
        return peer or "-"
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((int(address), 64), strict=False))
    return str(address)
