"""The lock of an image: who holds it, and when it may be taken over (imports-and-stores 2.9)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any, Final, cast

from glimpse.domain.clock import now
from glimpse.domain.image import Image
from glimpse.domain.imports import released
from glimpse.domain.job import ENDED
from glimpse.domain.properties import IMPORT_LOCK
from glimpse.domain.task import TaskStatus
from glimpse.errors import Conflict, NotFound
from glimpse.services.deps import Deps

#: How long an unfinished task of Glance counts as running after it was last saved.
_LONGEST: Final[Mapping[str, timedelta]] = {
    TaskStatus.PENDING: timedelta(minutes=120),
    TaskStatus.PROCESSING: timedelta(minutes=60),
}


def take_over(deps: Deps, image: Image) -> dict[str, str | None]:
    """Return the changes to the image's properties, besides the lock itself, that a new holder of the lock makes.

    The stores of an earlier import leave the two lists of stores, if the image still has its lock.

    :raises Conflict: the holder is an unfinished job, or a task of Glance that is still running.
    """
    holder = image.properties.get(IMPORT_LOCK)
    if holder is None:
        return {}
    running, stores = _state_of(deps, holder)
    if running:
        raise Conflict(f"An import of image {image.id} is under way (task {holder}).")
    return released(image.properties, stores)


def _state_of(deps: Deps, holder: str) -> tuple[bool, Iterable[str]]:
    """Return whether a holder is still running, and the stores that it imports into; an unknown one is not running."""
    try:
        job = deps.database.get_job(holder)
    except NotFound:
        pass
    else:
        return job.status not in ENDED, _texts(job.input.get("stores"))
    try:
        task = deps.database.get_task(holder, 0)
    except NotFound:
        return False, ()
    return now() - task.updated_at < _LONGEST.get(task.status, timedelta()), _texts(task.input.get("backend"))


def _texts(given: object) -> list[str]:
    """Return the store ids in an input; Glance has null for a store without a name."""
    return [one for one in cast("list[Any]", given) if isinstance(one, str)] if isinstance(given, list | tuple) else []
