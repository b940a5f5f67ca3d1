"""Retries of failed database work, per engine."""

from __future__ import annotations

import random
from weakref import WeakKeyDictionary

import msgspec
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from glimpse.db.sql.driver_errors import collided, connection_lost, may_come_back
from glimpse.settings.model import DatabaseSettings

# seconds: of the first pause after a collision, on average, and of the longest
_COLLISION_PAUSE = 0.0125
_LONGEST_COLLISION_PAUSE = 0.25


class Retries(msgspec.Struct, frozen=True, kw_only=True):
    """Numbers of retries (-1: no limit) and pauses in seconds.

    ``collisions`` are after deadlocks and serialization failures, ``reconnects`` while the server cannot be reached. In
    addition, a lost connection is always reopened once.
    """

    collisions: int = 20
    reconnects: int = 0
    pause: float = 1.0
    pause_grows: bool = True
    longest_pause: float = 10.0

    def after_collision(self, number: int) -> float | None:
        """Return the seconds to wait after collision ``number``, counted from 1; None to give up."""
        if 0 <= self.collisions < number:
            return None
        return min(number * _COLLISION_PAUSE, _LONGEST_COLLISION_PAUSE) * random.uniform(0.5, 1.5)

    def after_failed_connect(self, number: int) -> float | None:
        """Return the seconds to wait after failed connect ``number``, counted from 1; None to give up."""
        if 0 <= self.reconnects < number:
            return None
        # beyond 2 ** 30 it is the longest pause anyhow
        return min(self.pause * 2 ** min(number - 1, 30), self.longest_pause) if self.pause_grows else self.pause


class Attempts:
    """The failures of one piece of work so far."""

    __slots__ = ("_collisions", "_fresh", "_reconnects", "_retries")

    def __init__(self, retries: Retries) -> None:
        self._retries = retries
        self._fresh = False
        self._collisions = self._reconnects = 0

    def pause_after(self, error: SQLAlchemyError) -> float | None:
        """Seconds until the next run, or None when there is none."""
        if connection_lost(error) and not self._fresh:
            self._fresh = True
            return 0.0
        if collided(error):
            self._collisions += 1
            return self._retries.after_collision(self._collisions)
        if may_come_back(error):
            self._reconnects += 1
            return self._retries.after_failed_connect(self._reconnects)
        return None


def retries_of(settings: DatabaseSettings) -> Retries:
    """Return the configured retries (``db_max_retries`` and related options)."""
    return Retries(
        collisions=settings.db_max_retries,
        reconnects=settings.db_max_retries if settings.use_db_reconnect else 0,
        pause=settings.db_retry_interval,
        pause_grows=settings.db_inc_retry_interval,
        longest_pause=settings.db_max_retry_interval,
    )


DEFAULT = Retries()

#: Of engines whose operator said more than nothing. Looked at after a failure only.
RETRIES: WeakKeyDictionary[Engine, Retries] = WeakKeyDictionary()

#: A replica → the main database, which answers reads while the replica does not.
FALLBACK: WeakKeyDictionary[Engine, Engine] = WeakKeyDictionary()
