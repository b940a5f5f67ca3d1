"""Which stores work: each is probed from time to time, and sooner after a call that failed.

The state is read without waiting for a store. Each process watches for itself.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from threading import Condition, Thread

import msgspec

from glimpse.errors import Busy, GlimpseError
from glimpse.stores.base import Probed

LOG = logging.getLogger(__name__)

#: Seconds that a probe may take; a store that takes longer is down.
PROBE_SECONDS = 10.0
#: Seconds between probes of a store that is down, at most.
DOWN_INTERVAL = 5.0
#: Seconds between probes at least, however many calls fail.
LEAST_INTERVAL = 0.5


class StoreState(msgspec.Struct, frozen=True):
    """Whether a store works; if not, the ``reason`` and ``since`` when, in seconds since 1970."""

    id: str
    up: bool
    reason: str = ""
    since: float | None = None


class _Watched:
    """A store, its state, and the probe in progress; used only with the lock."""

    def __init__(self, store_id: str, probed: Probed) -> None:
        self.probed = probed
        self.state = StoreState(store_id, up=True)
        self.due = time.monotonic()
        self.started = 0.0
        self.running = False


class StoreHealth:
    """Watches the stores that can be probed, in threads of its own: one, and one per store while it is probed.

    A probe that hangs keeps its thread; the store is not probed again until it returns.
    """

    def __init__(self, stores: Mapping[str, Probed], interval: float, *, deadline: float = PROBE_SECONDS) -> None:
        """``interval`` is the time in seconds between probes of a store that works, ``deadline`` that of one probe.

        Starts no thread and calls no store.
        """
        self._interval = interval
        self._deadline = deadline
        self._watched = {store_id: _Watched(store_id, probed) for store_id, probed in stores.items()}
        #: the ids of the stores that do not work, for callers that cannot spare a call
        self.down_ids: set[str] = set()
        self._changed = Condition()
        self._stopped = False
        self._thread: Thread | None = None
        #: called with the id of a store and whether it works, when it is first known and when it changes
        self.on_change: Callable[[str, bool], None] = _ignore

    def add(self, store_id: str, probed: Probed) -> None:
        """Watch another store; only before the start."""
        self._watched[store_id] = _Watched(store_id, probed)

    def start(self) -> None:
        """Probe all stores now and from then on; no effect without stores that can be probed."""
        if self._watched and self._thread is None:
            self._thread = Thread(target=self._run, name="store-health", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Probe no more; does not wait for a probe that hangs. Safe to call twice."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def states(self) -> tuple[StoreState, ...]:
        """Return the states of all watched stores, in configuration order. Never waits."""
        return tuple(watched.state for watched in self._watched.values())

    def down(self) -> tuple[StoreState, ...]:
        """Return the states of the stores that do not work. Never waits."""
        return tuple(state for state in self.states() if not state.up)

    def noticed(self, store_id: str, *, worked: bool) -> None:
        """Take note of a call of a store: a result that contradicts the state lets it be probed soon."""
        watched = self._watched.get(store_id)
        if watched is None or watched.state.up == worked:
            return
        with self._changed:
            soon = max(time.monotonic(), watched.started + LEAST_INTERVAL)
            if soon < watched.due:
                watched.due = soon
                self._changed.notify_all()

    def _run(self) -> None:
        with self._changed:
            while not self._stopped:
                now = time.monotonic()
                moments = [self._look_at(watched, now) for watched in self._watched.values()]
                self._changed.wait(max(0.0, min(moments) - now))

    def _look_at(self, watched: _Watched, now: float) -> float:
        """Probe a store that is due, and note one that takes too long; return when to look again."""
        if not watched.running:
            if now < watched.due:
                return watched.due
            watched.started, watched.running = now, True
            name = f"store-probe-{watched.state.id}"
            Thread(target=self._probe, args=(watched,), name=name, daemon=True).start()
        late = watched.started + self._deadline
        if now < late:
            return late
        if watched.state.up:
            self._set(watched, f"Store {watched.state.id} did not answer in {self._deadline:g} s.")
        return now + self._interval

    def _probe(self, watched: _Watched) -> None:
        reason: str | None = None
        try:
            watched.probed.probe()
        except Busy:
            pass  # it works, and has enough to do
        except GlimpseError as error:
            reason = str(error)
        except Exception:
            LOG.exception("The probe of store %s failed", watched.state.id)
            reason = "The probe failed; the log has the reason."
        with self._changed:
            if self._stopped:
                return
            watched.running = False
            self._set(watched, reason)
            pause = self._interval if watched.state.up else min(self._interval, DOWN_INTERVAL)
            watched.due = time.monotonic() + pause
            self._changed.notify_all()

    def _set(self, watched: _Watched, reason: str | None) -> None:
        """Set and log the state of a store; ``reason`` None: it works."""
        before = watched.state
        if reason is None:
            watched.state = StoreState(before.id, up=True)
            self.down_ids.discard(before.id)
            if before.since is not None:
                LOG.warning("Store %s works again after %.0f s", before.id, time.time() - before.since)
        else:
            watched.state = StoreState(before.id, up=False, reason=reason, since=before.since or time.time())
            self.down_ids.add(before.id)
            if before.up:
                LOG.error("Store %s is down: %s", before.id, reason)
        self.on_change(before.id, watched.state.up)


def _ignore(_store_id: str, _up: bool) -> None:
    """Without metrics."""
