"""Job ``location_check``: reads what clients added to images by PATCH before anybody gets it (docs/adr/0013)."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from concurrent.futures import Executor
from typing import Any

import msgspec

from glimpse.db.base import Database
from glimpse.db.records import Viewer
from glimpse.domain.image import Image, ImageChange, Location
from glimpse.domain.job import JobStatus
from glimpse.domain.job_kinds import LOCATION_CHECK
from glimpse.domain.properties import FAILED_UPLOAD
from glimpse.domain.status import Status
from glimpse.errors import DataNotFound, NotFound, Refused, StoreUnavailable, UnsupportedContent
from glimpse.jobs.base import Outcome, Run, TryAgain, pause_after
from glimpse.jobs.steps.reading import Content, read_location
from glimpse.settings.model import Formats, Locations
from glimpse.stores.multi import StoreSet
from glimpse.transfer.inspect import Inspection
from glimpse.transfer.pump import is_supported

LOG = logging.getLogger(__name__)

#: What an image knows of its data, and forgets when it is queued again.
NO_DATA = {"size": None, "virtual_size": None, "checksum": None, "os_hash_algo": None, "os_hash_value": None}
USABLE = (Status.ACTIVE, Status.DEACTIVATED)
_ANYBODY = Viewer(None, is_admin=True)


class _OtherData(Exception):
    """The data are not those of the image; the text says why."""


class Verdict(msgspec.Struct, frozen=True):
    """What is to be changed of an image after its location was read; ``refusal`` says why it will not be served.

    ``unsafe`` tells data that inspection refuses from data that are others, or that cannot be read.
    """

    change: ImageChange
    refusal: str | None = None
    unsafe: bool = False


class LocationCheck:
    """Reads each location of an image that is not verified, and verifies or refuses it.

    Each further location must have the digests of the first one, where ``do_secure_hash`` wants them. With
    ``records_digests`` the image gets these; after a PATCH it has none, as on Glance, unless the client gave them.
    Shared by threads, as every handler.
    """

    type = LOCATION_CHECK
    at_once = None

    def __init__(
        self,
        database: Database,
        stores: StoreSet,
        digest_threads: Executor,
        *,
        settings: Locations,
        formats: Formats,
        records_digests: bool = False,
    ) -> None:
        self._database = database
        self._stores = stores
        self._digest_threads = digest_threads
        self._hashes = settings.do_secure_hash
        self._tries = max(1, settings.http_retries)
        self._formats = formats
        self._records_digests = records_digests
        #: failed readings are counted apart: these are for processes that ended
        self.most_attempts = self._tries + 10

    def run(self, run: Run) -> Outcome:
        """See :meth:`glimpse.jobs.base.JobHandler.run`."""
        refusal: str | None = None
        while True:
            image = self._image(run)
            if image is None:
                return Outcome(status=JobStatus.CANCELLED, message="The image was deleted meanwhile.")
            marks = self._database.unverified_locations(image.id)
            waiting = [one for one in image.locations if one.id in marks and marks[one.id] is None]
            if not waiting:
                break
            verdict = self.check(run, image, waiting[0])
            refusal = verdict.refusal or refusal
            run.record(f"location {waiting[0].id}", verdict.refusal or "verified", verdict.change)
        if refusal is not None:
            return Outcome(status=JobStatus.FAILED, message=refusal)
        return Outcome(status=JobStatus.SUCCEEDED, result={"image_id": image.id})

    def check(self, run: Run, image: Image, location: Location) -> Verdict:
        """Read one location of an active image.

        :raises TryAgain: it cannot be read now.
        """
        marks = self._database.unverified_locations(image.id)
        try:
            reference = self._reference(run, image, marks)
            inspection = Inspection(image.disk_format, image.container_format, self._formats, image.id)
            content = self._read(run, reference, location, inspection)
            change = self._verified(reference, location, content)
            return Verdict(_still(reference if self._records_digests else image, change))
        except UnsupportedContent as error:
            return _unsafe(image, marks, location, str(error))
        except (_OtherData, DataNotFound, Refused) as error:
            return refused(image, location, str(error))
        except StoreUnavailable as error:
            failures = int(run.job.steps.get(f"failures {location.id}", 0)) + 1
            if failures >= self._tries:
                return refused(image, location, str(error))
            run.record(f"failures {location.id}", failures)
            raise TryAgain(str(error), pause_after(failures)) from error

    def give_up(self, run: Run, reason: str) -> Outcome:
        """See :meth:`glimpse.jobs.base.JobHandler.give_up`."""
        return self._refuse_all(run, JobStatus.FAILED, reason)

    def stopped(self, run: Run) -> Outcome:
        """See :meth:`glimpse.jobs.base.JobHandler.stopped`."""
        return self._refuse_all(run, JobStatus.CANCELLED, "The operation was cancelled.")

    def _refuse_all(self, run: Run, status: JobStatus, reason: str) -> Outcome:
        image = self._image(run)
        if image is None:
            return Outcome(status=status, message=reason)
        marks = self._database.unverified_locations(image.id)
        refused = tuple((location_id, reason) for location_id, refusal in marks.items() if refusal is None)
        return Outcome(status=status, message=reason, change=ImageChange(refused_locations=refused))

    def _image(self, run: Run) -> Image | None:
        try:
            return self._database.get_image(run.job.image_id or "", _ANYBODY)
        except NotFound:
            return None

    def _reference(self, run: Run, image: Image, marks: Mapping[int, str | None]) -> Image:
        """``image`` with the digests that its locations must have.

        Of an image that has data of its own and no digest these data are read first, so that what is added cannot
        take their place.
        """
        own = next((one for one in image.locations if one.id not in marks), None)
        if image.os_hash_value is not None or image.checksum is not None or own is None or not self._hashes:
            return image
        content = self._read(run, image, own, None)
        columns = self._digests(image, content)
        if self._records_digests:
            run.record("digests", True, _still(image, ImageChange(columns=columns, if_location=own.id)))  # noqa: FBT003
        return msgspec.structs.replace(image, **columns)

    def _read(self, run: Run, image: Image, location: Location, inspection: Inspection | None) -> Content:
        algorithm = None
        if self._hashes or image.os_hash_value is not None or image.checksum is not None:
            algorithm = (image.os_hash_value and image.os_hash_algo) or self._formats.hashing_algorithm
            if not is_supported(algorithm):
                raise _OtherData(f"The digest of the image is of {algorithm}, which cannot be computed here.")
        store = self._stores.holding(location)
        return read_location(
            run,
            store,
            location.url,
            image.size,
            self._digest_threads,
            algorithm=algorithm,
            inspection=inspection,
        )

    def _verified(self, image: Image, location: Location, content: Content) -> ImageChange:
        """The change for data that inspection let pass; ``image`` has the digests that they must have.

        :raises _OtherData: they have others.
        """
        for name, found in (("os_hash_value", content.hash_value), ("checksum", content.checksum)):
            wanted = getattr(image, name)
            if wanted is not None and found != wanted:
                raise _OtherData(f"The data at the location do not have the {name} of the image.")
        columns = self._digests(image, content) if self._records_digests and self._hashes else {}
        if image.virtual_size is None and content.virtual_size is not None:
            columns["virtual_size"] = content.virtual_size
        return ImageChange(
            columns=columns,
            verified_locations=() if location.id is None else (location.id,),
            from_status=USABLE,
            if_location=location.id,
        )

    def _digests(self, image: Image, content: Content) -> dict[str, Any]:
        columns: dict[str, Any] = {}
        if image.os_hash_value is None and content.hash_value is not None and image.checksum is None:
            columns |= {"os_hash_algo": self._formats.hashing_algorithm, "os_hash_value": content.hash_value}
        if image.checksum is None and content.checksum is not None:
            columns["checksum"] = content.checksum
        return columns


def _still(image: Image, change: ImageChange) -> ImageChange:
    """``change``, to be made only while the image has the digests that the data were compared with."""
    return msgspec.structs.replace(
        change, if_columns={"os_hash_value": image.os_hash_value, "checksum": image.checksum}
    )


def refused(image: Image, location: Location, reason: str) -> Verdict:
    """The location stays for its owner to see, and nobody reads it."""
    LOG.warning("Location %s of image %s is not served: %s", location.id, image.id, reason)
    change = ImageChange(refused_locations=() if location.id is None else ((location.id, reason),))
    return Verdict(change, reason)


def _unsafe(image: Image, marks: Mapping[int, str | None], location: Location, reason: str) -> Verdict:
    """What becomes of an image at one of whose locations are data that inspection refuses.

    An image with verified data loses the location. One without any data, or hope of them, is queued again, as after
    an upload that is refused: its locations go, and a property tells why. Else the location stays, refused.
    """
    others = [one.id or 0 for one in image.locations if one.id != location.id]
    verified = any(other not in marks for other in others)
    waiting = any(other in marks and marks[other] is None for other in others)
    if location.id is None or image.status is not Status.ACTIVE or (waiting and not verified):
        return msgspec.structs.replace(refused(image, location, reason), unsafe=True)
    LOG.warning("Location %s is taken from image %s: %s", location.id, image.id, reason)
    if verified:
        change = ImageChange(drop_locations=(location.id,), from_status=(Status.ACTIVE,))
    else:
        change = ImageChange(
            columns={**NO_DATA, "status": Status.QUEUED},
            set_properties={FAILED_UPLOAD: reason},
            drop_locations=tuple(one.id for one in image.locations if one.id is not None),
            from_status=(Status.ACTIVE,),
        )
    return Verdict(change, reason, unsafe=True)
