"""The database with URLs of locations encrypted in its rows: the same operations, for those who configured a key."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Engine

from glimpse.db.records import Viewer
from glimpse.db.sql.database import SqlDatabase
from glimpse.db.sql.job_rows import JobRows
from glimpse.db.sql.location_cipher import LocationCipher
from glimpse.domain.image import Image, ImageChange, Location, StoredData
from glimpse.domain.job import Job, JobChange
from glimpse.domain.listing import ListQuery
from glimpse.domain.task import KEEP_HOURS


class EncryptingDatabase(SqlDatabase):
    """:class:`SqlDatabase`, what it takes encrypted and what it gives decrypted."""

    def __init__(self, engine: Engine, cipher: LocationCipher, *, keep_hours: int = KEEP_HOURS) -> None:
        super().__init__(engine)
        self._cipher = cipher
        # what the kinds of jobs mark as secret in their inputs
        self._job_rows = JobRows(cipher.encrypt, cipher.decrypt, keep_hours=keep_hours)

    def create_image(self, image: Image, *args: Any, **kwargs: Any) -> None:
        """See the protocol."""
        locations = self._sealed(image.locations)
        super().create_image(msgspec.structs.replace(image, locations=locations), *args, **kwargs)

    def get_image(self, image_id: str, viewer: Viewer) -> Image:
        """See the protocol."""
        return self._opened_image(super().get_image(image_id, viewer))

    def get_any_image(self, image_id: str) -> Image | None:
        """See the protocol."""
        image = super().get_any_image(image_id)
        return None if image is None else self._opened_image(image)

    def list_images(self, query: ListQuery, viewer: Viewer) -> list[Image]:
        """See the protocol."""
        return [self._opened_image(image) for image in super().list_images(query, viewer)]

    def update_image(self, image_id: str, change: ImageChange, *args: Any, **kwargs: Any) -> datetime:
        """See the protocol."""
        return super().update_image(image_id, self._sealed_change(change), *args, **kwargs)

    def finish_upload(self, job: Job, data: StoredData, **kwargs: Any) -> datetime:
        """See the protocol."""
        (location,) = self._sealed((data.location,))
        return super().finish_upload(job, msgspec.structs.replace(data, location=location), **kwargs)

    def begin_deletion(self, job: Job, *args: Any, **kwargs: Any) -> list[Location]:
        """See the protocol."""
        return list(self._opened(super().begin_deletion(job, *args, **kwargs)))

    def add_job(self, job: Job, change: ImageChange | None = None, *, lifetime: float | None = None) -> datetime:
        """See the protocol."""
        sealed = None if change is None else self._sealed_change(change)
        return super().add_job(job, sealed, lifetime=lifetime)

    def save_job(self, job: Job, change: JobChange, image_change: ImageChange | None = None) -> datetime:
        """See the protocol."""
        return super().save_job(job, change, None if image_change is None else self._sealed_change(image_change))

    def rewrite_location(self, image_id: str, location_id: int, old_url: str, new_url: str) -> bool:
        """See the protocol. Each encryption of a URL is another one, so the row is compared with what it had."""
        stored = self._stored_value(image_id, location_id)
        if stored is None or self._cipher.decrypt(stored) != old_url:
            return False
        return super().rewrite_location(image_id, location_id, stored, self._cipher.encrypt(new_url))

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
