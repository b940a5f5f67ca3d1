"""How an import goes on with the data of a URL that an earlier run has received, whose process died.

From time to time a run records a mark: how many bytes it has received, and their checksum. The bytes themselves are in
the unfinished objects of its target stores. Before these are swept, the next run opens the one that has most, compares
it with the marks, and reads it as the beginning of the data; only the rest is fetched (docs/adr/0026).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Final
from zlib import crc32

import msgspec

from glimpse.errors import GlimpseError
from glimpse.fetch.entity import Entity
from glimpse.jobs.base import Run
from glimpse.jobs.steps.import_leftovers import attempt_of
from glimpse.jobs.steps.import_plan import Plan, saved_of, unsaved
from glimpse.stores.base import Reader, Unfinished, ability
from glimpse.stores.multi import StoreSet
from glimpse.transfer.pump import BATCH_BYTES

LOG = logging.getLogger(__name__)

#: Seconds between marks.
MARK_SECONDS: Final = 5.0
#: Marks that are kept: the stores may be behind what was received.
_KEPT: Final = 8
_RECEIVED: Final = "received"


class Mark(msgspec.Struct, frozen=True, array_like=True):
    """The first ``position`` bytes of the data, and the CRC-32 of these."""

    position: int
    crc: int


class _Received(msgspec.Struct, frozen=True, kw_only=True):
    """Outcome of the step: the marks of one claim, the oldest first."""

    generation: int
    entity: Entity
    marks: tuple[Mark, ...] = ()


class Marker:
    """Records marks while a run receives data."""

    def __init__(self, run: Run, earlier: Earlier | None = None) -> None:
        """``earlier`` is what this run does not fetch. Raises the errors of :meth:`Run.record`."""
        self._run = run
        self._now = Mark(0, 0) if earlier is None else earlier.mark
        self._marks = () if earlier is None else earlier.marks
        self._next = time.monotonic() + MARK_SECONDS
        if earlier is not None:
            # the stores get it from this run too, under the name of its own attempt
            self._record(earlier.entity)

    def took(self, batch: bytes, entity: Entity) -> None:
        """Count ``batch``, the next bytes of ``entity``. Raises the errors of :meth:`Run.record`."""
        self._now = Mark(self._now.position + len(batch), crc32(batch, self._now.crc))
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + MARK_SECONDS
            self._marks = (*self._marks, self._now)[-_KEPT:]
            self._record(entity)

    def _record(self, entity: Entity) -> None:
        received = _Received(generation=self._run.job.generation, entity=entity, marks=self._marks)
        self._run.record(_RECEIVED, msgspec.to_builtins(received))


class Earlier:
    """The beginning of the data, as an earlier run has received it: up to the last of ``marks``, of ``entity``."""

    def __init__(self, reader: Reader, marks: tuple[Mark, ...], entity: Entity) -> None:
        self.marks = marks
        self.mark = marks[-1]
        self.entity = entity
        self._reader = reader
        self._left = self.mark.position

    def next_batch(self) -> bytes | None:
        """Return the next bytes; None after the last one that was received.

        :raises StoreUnavailable: they cannot be read.
        """
        batch = self._reader.read(min(BATCH_BYTES, self._left)) if self._left else b""
        self._left -= len(batch)
        return batch or None

    def close(self) -> None:
        """Close the reader; safe to call twice."""
        self._reader.close()


@contextmanager
def earlier_data(run: Run, plan: Plan, stores: StoreSet) -> Generator[Earlier | None]:
    """Open what earlier runs have received of the URL of an import; None: there is nothing that can be used.

    What is opened can be read to its end although it is swept meanwhile.
    """
    steps = run.job.steps
    if _RECEIVED not in steps or not plan.is_fetched or saved_of(run.job).done:
        yield None
        return
    received = msgspec.convert(steps[_RECEIVED], _Received)
    found = _most(run, plan, stores, received)
    if found is not None:
        LOG.info("Import %s goes on at byte %d", run.job.id, found.mark.position)
    try:
        yield found
    finally:
        if found is not None:
            found.close()


def _most(run: Run, plan: Plan, stores: StoreSet, received: _Received) -> Earlier | None:
    """Return the longest beginning of the data that a target store has."""
    attempt = attempt_of(run.job, received.generation)
    best: Earlier | None = None
    for store_id in unsaved(run.job, plan):
        store = ability(stores.by_id(store_id), Unfinished) if store_id in stores.ids() else None
        if store is None:
            continue
        try:
            found = _of_store(run, lambda store=store: store.unfinished(run.job.image_id or "", attempt), received)
        except GlimpseError as error:
            LOG.info("What import %s has left in store %s cannot be read: %s", run.job.id, store_id, error)
            continue
        if found is not None and (best is None or found.mark.position > best.mark.position):
            found, best = best, found
        if found is not None:
            found.close()
    return best


def _of_store(run: Run, opens: Callable[[], Reader | None], received: _Received) -> Earlier | None:
    """Return the data up to the last mark that they reach."""
    reader = opens()
    if reader is None:
        return None
    try:
        marks = _true(run, reader, received.marks)
    finally:
        reader.close()
    again = opens() if marks else None
    return None if again is None else Earlier(again, marks, received.entity)


def _true(run: Run, reader: Reader, marks: tuple[Mark, ...]) -> tuple[Mark, ...]:
    """Return the marks that the data reach, up to the first one that is not true of them."""
    position = crc = 0
    for count, mark in enumerate(marks):
        while position < mark.position:
            run.check()
            data = reader.read(min(BATCH_BYTES, mark.position - position))
            if not data:
                return marks[:count]
            position, crc = position + len(data), crc32(data, crc)
        if crc != mark.crc:
            return marks[:count]
    return marks
