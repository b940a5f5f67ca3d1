"""The database with URLs of locations encrypted in its rows: the same operations, for those who configured a key."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Engine

from glimpse.db.base_records import Lease, Viewer
from glimpse.db.sql.database import SqlDatabase
from glimpse.db.sql.location_cipher import LocationCipher
from glimpse.domain.image import Image, ImageChange, Location, StoredData
from glimpse.domain.job import Job, JobChange, JobQuery
from glimpse.domain.listing import ListQuery

#: The key of a job's input whose value is a URL of a location (imports-and-stores 3.7).
_JOB_URL = "loc_url"


class EncryptingDatabase(SqlDatabase):
    """:class:`SqlDatabase`, what it takes encrypted and what it gives decrypted."""

    def __init__(self, engine: Engine, cipher: LocationCipher) -> None:
        super().__init__(engine)
        self._cipher = cipher

    def create_image(self, image: Image, *args: Any, **kwargs: Any) -> None:
        """See the protocol."""
        locations = self._sealed(image.locations)
        super().create_image(msgspec.structs.replace(image, locations=locations), *args, **kwargs)

    def get_image(self, image_id: str, viewer: Viewer) -> Image:
        """See the protocol."""
        return self._opened_image(super().get_image(image_id, viewer))

    def image_of_lease(self, image_id: str) -> Image | None:
        """See the protocol, under ``leased_image``."""
        image = super().image_of_lease(image_id)
        return None if image is None else self._opened_image(image)

    def list_images(self, query: ListQuery, viewer: Viewer) -> list[Image]:
        """See the protocol."""
        return [self._opened_image(image) for image in super().list_images(query, viewer)]

    def update_image(self, image_id: str, change: ImageChange, *args: Any, **kwargs: Any) -> datetime:
        """See the protocol."""
        return super().update_image(image_id, self._sealed_change(change), *args, **kwargs)

    def finish_upload(self, lease: Lease, data: StoredData, **kwargs: Any) -> datetime:
        """See the protocol."""
        (location,) = self._sealed((data.location,))
        return super().finish_upload(lease, msgspec.structs.replace(data, location=location), **kwargs)

    def locations_being_removed(self, image_id: str) -> list[Location]:
        """See the protocol."""
        return list(self._opened(super().locations_being_removed(image_id)))

    def add_job(self, job: Job, change: ImageChange | None = None) -> datetime:
        """See the protocol."""
        if _JOB_URL in job.input:
            sealed = {**job.input, _JOB_URL: self._cipher.encrypt(job.input[_JOB_URL])}
            job = msgspec.structs.replace(job, input=sealed)
        return super().add_job(job, None if change is None else self._sealed_change(change))

    def save_job(self, job: Job, change: JobChange, image_change: ImageChange | None = None) -> datetime:
        """See the protocol."""
        return super().save_job(job, change, None if image_change is None else self._sealed_change(image_change))

    def due_jobs(
        self, types: Collection[str], now: float, *, limit: int, without_owners: Collection[str] = ()
    ) -> list[Job]:
        """See the protocol."""
        found = super().due_jobs(types, now, limit=limit, without_owners=without_owners)
        return [self._opened_job(job) for job in found]

    def cancel_job(self, job_id: str) -> Job:
        """See the protocol."""
        return self._opened_job(super().cancel_job(job_id))

    def get_job(self, job_id: str) -> Job:
        """See the protocol."""
        return self._opened_job(super().get_job(job_id))

    def list_jobs(self, query: JobQuery) -> list[Job]:
        """See the protocol."""
        return [self._opened_job(job) for job in super().list_jobs(query)]

    def _sealed(self, locations: Iterable[Location]) -> tuple[Location, ...]:
        return tuple(msgspec.structs.replace(one, url=self._cipher.encrypt(one.url)) for one in locations)

    def _opened(self, locations: Iterable[Location]) -> tuple[Location, ...]:
        return tuple(msgspec.structs.replace(one, url=self._cipher.decrypt(one.url)) for one in locations)

    def _sealed_change(self, change: ImageChange) -> ImageChange:
        if not change.add_locations:
            return change
        return msgspec.structs.replace(change, add_locations=self._sealed(change.add_locations))

    def _opened_image(self, image: Image) -> Image:
        if not image.locations:
            return image
        return msgspec.structs.replace(image, locations=self._opened(image.locations))

    def _opened_job(self, job: Job) -> Job:
        if _JOB_URL not in job.input:
            return job
        return msgspec.structs.replace(job, input={**job.input, _JOB_URL: self._cipher.decrypt(job.input[_JOB_URL])})
