"""Job ``location_import``: what ``POST …/locations`` asked for (spec 02, section 5.4)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any

import msgspec

from glimpse.db.base import Database
from glimpse.db.base_records import Viewer
from glimpse.domain.allowance import Allowance
from glimpse.domain.image import Image, ImageChange, Location
from glimpse.domain.job import Job, JobStatus
from glimpse.domain.location_data import Digest
from glimpse.domain.properties import IMPORT_LOCK
from glimpse.domain.status import Status
from glimpse.errors import Conflict, DataNotFound, Invalid, LimitExceeded, NotFound, StoreUnavailable
from glimpse.jobs.base import Outcome, Run, TryAgain
from glimpse.jobs.runner import pause_after
from glimpse.jobs.steps.hashing import hash_location
from glimpse.settings.model import Locations
from glimpse.stores.multi import StoreSet
from glimpse.stores.placing import place, store_of

LOG = logging.getLogger(__name__)

TYPE = "location_import"

_LOCATED = "located"
_FAILURES = "failures"
_NO_DATA = {"size": None, "virtual_size": None, "checksum": None, "os_hash_algo": None, "os_hash_value": None}
_USABLE = (Status.ACTIVE, Status.DEACTIVATED)
_ANYBODY = Viewer(None, is_admin=True)


def unique_key(image_id: str) -> str:
    """What keeps two imports from one image."""
    return f"import:{image_id}"


class LocationImport:
    """Adds the location, which makes the image active, and hashes the data.

    With a digest to compare with, the image is ``importing`` until the data have been found to have it.
    """

    type = TYPE

    def __init__(
        self,
        database: Database,
        stores: StoreSet,
        digest_threads: Executor,
        *,
        settings: Locations,
        hashing_algorithm: str,
        size_cap: int,
        allowance_of: Callable[[Image], Allowance | None] | None = None,
    ) -> None:
        """``allowance_of`` tells what new locations count against, where there is a quota (spec 01, section 6.2)."""
        self._database = database
        self._stores = stores
        self._digest_threads = digest_threads
        self._hashes = settings.do_secure_hash
        self._tries = max(1, settings.http_retries)
        self._algorithm = hashing_algorithm
        self._size_cap = size_cap
        self._allowance_of = allowance_of
        #: failed readings are counted apart: these are for processes that ended
        self.most_attempts = self._tries + 10

    def run(self, run: Run) -> Outcome:
        """See :meth:`glimpse.jobs.base.JobHandler.run`."""
        image = self._image(run.job)
        if image is None:
            return _gone()
        digest = _digest(run.job)
        if _LOCATED not in run.job.steps:
            try:
                added = self._addition(run.job, image, digest)
            except (Invalid, LimitExceeded, Conflict) as error:
                return self._failed(run.job, image, str(error))
            except StoreUnavailable as error:
                return self._after_failure(run, image, error)
            if not self._hashes and added.within is None:
                return _done(image, run.job, added)
            try:
                run.record(_LOCATED, True, added)  # noqa: FBT003 - the outcome of the step
            except LimitExceeded as error:
                return self._failed(run.job, image, str(error))
            image = self._image(run.job)
        if image is not None and not self._hashes and image.status is not Status.IMPORTING:
            return _done(image, run.job, ImageChange())
        return _gone() if image is None else self._hash(run, image, digest)

    def give_up(self, run: Run, reason: str) -> Outcome:
        """See :meth:`glimpse.jobs.base.JobHandler.give_up`."""
        image = self._image(run.job)
        return _gone() if image is None else self._failed(run.job, image, reason)

    def stopped(self, run: Run) -> Outcome:
        """See :meth:`glimpse.jobs.base.JobHandler.stopped`."""
        image = self._image(run.job)
        if image is None:
            return _gone()
        outcome = self._failed(run.job, image, "The operation was cancelled.")
        return msgspec.structs.replace(outcome, status=JobStatus.CANCELLED, message="The operation was cancelled.")

    def _image(self, job: Job) -> Image | None:
        try:
            return self._database.get_image(job.image_id or "", _ANYBODY)
        except NotFound:
            return None

    def _addition(self, job: Job, image: Image, digest: Digest | None) -> ImageChange:
        """What adding the location changes.

        :raises Invalid: it cannot be a location, or the image has no formats yet.
        :raises LimitExceeded: the data are larger than an image may be.
        :raises Conflict: the image is not queued any more.
        :raises StoreUnavailable: the store cannot be asked now.
        """
        if image.status is not Status.QUEUED:
            raise Conflict(f"The image is {image.status}, a location is added only while it is queued.")
        if image.disk_format is None or image.container_format is None:
            raise Invalid("The image has no disk_format or no container_format yet.")
        url: str = job.input["loc_url"]
        placed = place(self._stores, url, size_cap=self._size_cap)
        columns: dict[str, Any] = {**_NO_DATA, "size": placed.size, "status": Status.ACTIVE}
        if not self._hashes:
            if digest is not None:
                columns |= {"os_hash_algo": digest.algorithm, "os_hash_value": digest.value}
        elif digest is not None:
            columns["status"] = Status.IMPORTING
        else:
            columns["os_hash_algo"] = self._algorithm
        return ImageChange(
            columns=columns,
            add_locations=(Location(url=url, metadata=placed.metadata),),
            # what a failed import left (spec 02, section 13, quirk 33)
            drop_locations=tuple(location.id for location in image.locations if location.id is not None),
            takes=placed.size,
            within=None if self._allowance_of is None else self._allowance_of(image),
            from_status=(Status.QUEUED,),
        )

    def _hash(self, run: Run, image: Image, digest: Digest | None) -> Outcome:
        location = _location(image, run.job)
        if location is None:
            return self._failed(run.job, image, "The location was removed meanwhile.")
        algorithm = self._algorithm if digest is None else digest.algorithm
        try:
            store = self._stores.for_location(location)
            found = hash_location(run, store, location.url, image.size, algorithm, self._digest_threads)
        except (DataNotFound, StoreUnavailable) as error:
            return self._after_failure(run, image, error)
        if digest is not None and found.hash_value != digest.value:
            return self._failed(run.job, image, f"The data do not have the digest of {algorithm} that was given.")
        columns: dict[str, Any] = {"checksum": found.checksum, "os_hash_value": found.hash_value}
        if digest is None:
            return _done(image, run.job, ImageChange(columns=columns, from_status=_USABLE, if_location=location.id))
        columns |= {"os_hash_algo": algorithm, "status": Status.ACTIVE}
        change = ImageChange(columns=columns, from_status=(Status.IMPORTING,), if_location=location.id)
        return _done(image, run.job, change)

    def _after_failure(self, run: Run, image: Image, error: DataNotFound | StoreUnavailable) -> Outcome:
        """Have another attempt made, or end as spec 02, section 5.4 says.

        :raises TryAgain: there are attempts left, and they may help.
        """
        failures = int(run.job.steps.get(_FAILURES, 0)) + 1
        if isinstance(error, DataNotFound) or failures >= self._tries:
            return self._failed(run.job, image, str(error))
        run.record(_FAILURES, failures)
        raise TryAgain(str(error), pause_after(failures))

    def _failed(self, job: Job, image: Image, reason: str) -> Outcome:
        """The end of an import that did not come to its own.

        Without a digest an image that has its location stays active, and its hashes unknown: that is a success.
        With one it is queued again. Its location goes, but one that no store can delete stays for the client to see;
        it is no data of a queued image.
        """
        if image.status in _USABLE and _LOCATED in job.steps:
            LOG.warning("The data of image %s could not be hashed: %s", image.id, reason)
            return _done(image, job, ImageChange())
        unlocked = _unlocked(image, job, ImageChange())
        if image.status is not Status.IMPORTING or _LOCATED not in job.steps:
            return Outcome(status=JobStatus.FAILED, message=reason, change=unlocked)
        location = _location(image, job)
        deletable = location is not None and self._deletable(location)
        change = msgspec.structs.replace(
            unlocked,
            columns={**_NO_DATA, "status": Status.QUEUED},
            drop_locations=(location.id,) if deletable and location is not None and location.id is not None else (),
            from_status=(Status.IMPORTING,),
        )
        return Outcome(status=JobStatus.FAILED, message=reason, change=change)

    def _deletable(self, location: Location) -> bool:
        try:
            return store_of(self._stores, location.url).capabilities.writable
        except Invalid:
            return True


def _location(image: Image, job: Job) -> Location | None:
    """The location that the job added, while it is there."""
    return next((one for one in reversed(image.locations) if one.url == job.input["loc_url"]), None)


def _digest(job: Job) -> Digest | None:
    given: dict[str, str] = job.input["validation_data"]
    return Digest(given["os_hash_algo"], given["os_hash_value"]) if given else None


def _unlocked(image: Image, job: Job, change: ImageChange) -> ImageChange:
    """``change``, and the lock dropped if it is still this job's."""
    held = image.properties.get(IMPORT_LOCK) == job.id
    return msgspec.structs.replace(change, drop_properties=(IMPORT_LOCK,)) if held else change


def _done(image: Image, job: Job, change: ImageChange) -> Outcome:
    result = {"image_id": image.id}
    return Outcome(status=JobStatus.SUCCEEDED, result=result, change=_unlocked(image, job, change))


def _gone() -> Outcome:
    return Outcome(status=JobStatus.CANCELLED, message="The image was deleted meanwhile.")
