"""Job ``location_import``: what ``POST …/locations`` asked for (imports-and-stores 5.4)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any

import msgspec

from glimpse.db.base import Database
from glimpse.db.records import Viewer
from glimpse.domain.allowance import Allowance
from glimpse.domain.image import Image, ImageChange, Location
from glimpse.domain.job import Job, JobStatus
from glimpse.domain.job_kinds import LOCATION_IMPORT, LocationImportInput, input_of
from glimpse.domain.location_data import Digest
from glimpse.domain.properties import FAILED_UPLOAD, IMPORT_LOCK, about_old_data
from glimpse.domain.status import Status
from glimpse.errors import (
    Conflict,
    DataNotFound,
    Invalid,
    LimitExceeded,
    NotFound,
    Refused,
    StoreUnavailable,
    UnsupportedContent,
)
from glimpse.jobs.base import Outcome, Run, TryAgain, pause_after
from glimpse.jobs.steps.location_check import NO_DATA, USABLE, LocationCheck, refused
from glimpse.jobs.steps.reading import read_location
from glimpse.settings.model import Formats, Locations
from glimpse.stores.multi import StoreSet, place, store_of
from glimpse.transfer.inspect import Inspection

LOG = logging.getLogger(__name__)

_LOCATED = "located"
_FAILURES = "failures"
_ANYBODY = Viewer(None, is_admin=True)


def unique_key(image_id: str) -> str:
    """What keeps two imports from one image."""
    return f"import:{image_id}"


class LocationImport:
    """Adds the location, which makes the image active, then reads, inspects and hashes the data.

    Until that is done no data are served from the location. With a digest to compare with, the image is ``importing``
    until the data have been found to have it.
    """

    type = LOCATION_IMPORT
    at_once = None

    def __init__(
        self,
        database: Database,
        stores: StoreSet,
        digest_threads: Executor,
        *,
        settings: Locations,
        formats: Formats,
        size_cap: int,
        allowance_of: Callable[[Image], Allowance | None] | None = None,
    ) -> None:
        """``allowance_of`` tells what new locations count against, where there is a quota (images-api 6.2)."""
        self._database = database
        self._stores = stores
        self._digest_threads = digest_threads
        self._hashes = settings.do_secure_hash
        self._tries = max(1, settings.http_retries)
        self._formats = formats
        self._checks = LocationCheck(
            database, stores, digest_threads, settings=settings, formats=formats, records_digests=True
        )
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
            try:
                run.record(_LOCATED, True, added)  # noqa: FBT003 - the outcome of the step
            except LimitExceeded as error:
                return self._failed(run.job, image, str(error))
            image = self._image(run.job)
        if image is None:
            return _gone()
        if image.status is Status.IMPORTING and digest is not None:
            return self._compare(run, image, digest)
        return self._check(run, image)

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
        url = _input(job).loc_url
        placed = place(self._stores, url, size_cap=self._size_cap)
        columns: dict[str, Any] = {**NO_DATA, "size": placed.size, "status": Status.ACTIVE}
        if not self._hashes:
            if digest is not None:
                columns |= {"os_hash_algo": digest.algorithm, "os_hash_value": digest.value}
        elif digest is not None:
            columns["status"] = Status.IMPORTING
        else:
            columns["os_hash_algo"] = self._formats.hashing_algorithm
        return ImageChange(
            columns=columns,
            add_locations=(Location(url=url, metadata=placed.metadata),),
            mark_unverified=True,
            drop_properties=about_old_data(image.properties),
            # what a failed import left (imports-and-stores 13, quirk 33)
            drop_locations=tuple(location.id for location in image.locations if location.id is not None),
            takes=placed.size,
            within=None if self._allowance_of is None else self._allowance_of(image),
            from_status=(Status.QUEUED,),
        )

    def _check(self, run: Run, image: Image) -> Outcome:
        """Verify the location of an image that is active already, or refuse it."""
        location = _location(image, run.job)
        if location is None:
            return self._failed(run.job, image, "The location was removed meanwhile.")
        verdict = self._checks.check(run, image, location)
        if verdict.refusal is None or not verdict.unsafe:
            # data that cannot be read leave the hashes unknown, and are a success (imports-and-stores 5.4)
            return _done(image, run.job, verdict.change)
        return Outcome(
            status=JobStatus.FAILED, message=verdict.refusal, change=_unlocked(image, run.job, verdict.change)
        )

    def _compare(self, run: Run, image: Image, digest: Digest) -> Outcome:
        """Make the image active if its data have the digest that was given."""
        location = _location(image, run.job)
        if location is None:
            return self._failed(run.job, image, "The location was removed meanwhile.")
        try:
            content = read_location(
                run,
                self._stores.holding(location),
                location.url,
                image.size,
                self._digest_threads,
                algorithm=digest.algorithm,
                inspection=Inspection(image.disk_format, image.container_format, self._formats, image.id),
            )
        except UnsupportedContent as error:
            return self._failed(run.job, image, str(error))
        except (DataNotFound, Refused) as error:
            return self._failed(run.job, image, str(error))
        except StoreUnavailable as error:
            return self._after_failure(run, image, error)
        if content.hash_value != digest.value:
            return self._failed(
                run.job, image, f"The data do not have the digest of {digest.algorithm} that was given."
            )
        change = ImageChange(
            columns={
                "checksum": content.checksum,
                "os_hash_algo": digest.algorithm,
                "os_hash_value": content.hash_value,
                "virtual_size": content.virtual_size,
                "status": Status.ACTIVE,
            },
            verified_locations=() if location.id is None else (location.id,),
            from_status=(Status.IMPORTING,),
            if_location=location.id,
        )
        return _done(image, run.job, change)

    def _after_failure(self, run: Run, image: Image, error: StoreUnavailable) -> Outcome:
        """Retry the job, or finish it as a failed location import (imports-and-stores 5.4).

        :raises TryAgain: there are attempts left, and they may help.
        """
        failures = int(run.job.steps.get(_FAILURES, 0)) + 1
        if failures >= self._tries:
            return self._failed(run.job, image, str(error))
        run.record(_FAILURES, failures)
        raise TryAgain(str(error), pause_after(failures))

    def _failed(self, job: Job, image: Image, reason: str) -> Outcome:
        """The end of an import that did not come to its own.

        Without a digest an image that has its location stays active, and its hashes unknown: that is a success, but
        the location is not served. With one it is queued again. Its location goes, but one that no store can delete
        stays for the client to see; it is no data of a queued image.
        """
        if image.status in USABLE and _LOCATED in job.steps:
            location = _location(image, job)
            return _done(image, job, ImageChange() if location is None else refused(image, location, reason).change)
        unlocked = _unlocked(image, job, ImageChange())
        if image.status is not Status.IMPORTING or _LOCATED not in job.steps:
            return Outcome(status=JobStatus.FAILED, message=reason, change=unlocked)
        location = _location(image, job)
        deletable = location is not None and self._deletable(location)
        change = msgspec.structs.replace(
            unlocked,
            columns={**NO_DATA, "status": Status.QUEUED},
            set_properties={FAILED_UPLOAD: reason},
            drop_locations=(location.id,) if deletable and location is not None and location.id is not None else (),
            from_status=(Status.IMPORTING,),
        )
        return Outcome(status=JobStatus.FAILED, message=reason, change=change)

    def _deletable(self, location: Location) -> bool:
        try:
            return store_of(self._stores, location.url).writable
        except Invalid:
            return True


def _location(image: Image, job: Job) -> Location | None:
    """The location that the job added, while it is there."""
    url = _input(job).loc_url
    return next((one for one in reversed(image.locations) if one.url == url), None)


def _input(job: Job) -> LocationImportInput:
    given: LocationImportInput = input_of(job)
    return given


def _digest(job: Job) -> Digest | None:
    given = _input(job).validation_data
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
