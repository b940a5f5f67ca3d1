"""Why imports end without all of their targets: the reasons that users read, and what happens to staged data."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from glimpse.errors import Conflict, Duplicate, GlimpseError, Invalid, LimitExceeded, UnsupportedContent
from glimpse.jobs.base import Run, TryAgain, WaitForStores, pause_after, waits_of
from glimpse.jobs.steps.import_plan import Plan
from glimpse.jobs.steps.import_source import SourceFailed
from glimpse.transfer.fan_out import TargetsFailed

#: What users read about a defect of the service.
DEFECT: Final = "The import failed because of an internal error; the log of the service has the reason."

_FAILURES = "failures"
#: How often a source that cannot be read is tried.
_TRIES = 3
#: How often staged data are looked for, by any node: these pauses take eight minutes in total.
_SEARCHES = 8
_OCCUPIED = "occupied"
#: How often, and after how many seconds, a store is tried that an earlier run has written to: for 50 seconds.
_OCCUPIED_TRIES = 10
_OCCUPIED_PAUSE = 5.0


class ImportFailed(Exception):
    """The import is over. ``str(error)`` is the reason for the user; ``discards``: its staged data are of no use.

    ``stores`` are those that have failed; None: all.
    """

    def __init__(self, reason: str, *, discards: bool = False, stores: Collection[str] | None = None) -> None:
        super().__init__(reason)
        self.discards = discards
        self.stores = stores


def failure(run: Run, plan: Plan, error: BaseException, failures: Mapping[str, BaseException]) -> BaseException:
    """Return the error to raise for ``error``, itself if neither the data, the source nor a store caused it.

    ``failures`` are the errors of stores by name.
    """
    match error:
        case TargetsFailed():
            stores = list(failures) if plan.copies or plan.is_staged else None
            return ImportFailed(reason_of(plan, failures), discards=not plan.all_must_succeed, stores=stores)
        case SourceFailed():
            return unreadable(run, plan, error)
        case UnsupportedContent() | Invalid():
            # the same data would be refused again
            return ImportFailed(str(error), discards=not plan.copies)
        case LimitExceeded():
            return ImportFailed(str(error))
        case Conflict():
            return ImportFailed(f"The image was changed during its import: {error}")
        case _:
            return error


def unreadable(run: Run, plan: Plan, error: SourceFailed) -> Exception:
    """Return what to raise for a source that cannot be read: it is tried again, but not for ever."""
    if error.is_gone and plan.is_staged:
        if waits_of(run.job) < _SEARCHES:
            # nodes may have a staging area each
            return WaitForStores("This node does not have the staged data; another node is to look for them.")
        return ImportFailed("The staged data are gone; stage the data again.", discards=True)
    failures = int(run.job.steps.get(_FAILURES, 0)) + 1
    if error.is_final or failures >= _TRIES:
        return ImportFailed(str(error))
    run.record(_FAILURES, failures)
    return TryAgain(str(error), pause_after(failures))


def in_the_way(run: Run, failures: Mapping[str, BaseException]) -> TryAgain | None:
    """Return what to raise for stores that already have data of the image, written by a process that died.

    Ceph does not remove an image before its dead client has been silent for 30 seconds.
    """
    occupied = [store_id for store_id, error in failures.items() if isinstance(error, Duplicate)]
    tries = int(run.job.steps.get(_OCCUPIED, 0))
    if not occupied or tries >= _OCCUPIED_TRIES:
        return None
    run.record(_OCCUPIED, tries + 1)
    names = ", ".join(sorted(occupied))
    return TryAgain(f"What a process that died has written to {names} cannot be removed yet.", _OCCUPIED_PAUSE)


def reason_of(plan: Plan, failures: Mapping[str, BaseException]) -> str:
    """Return a sentence about the first store that failed, and the names of all."""
    failed = [target for target in plan.targets if target in failures]
    error = failures[failed[0]]
    text = str(error) if isinstance(error, GlimpseError) else DEFECT
    return f"The import into {', '.join(failed)} failed: {text}" if plan.named else text
