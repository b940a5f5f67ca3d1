"""Store ``cinder``: images in volumes of the Block Storage service (store-formats 9)."""

from __future__ import annotations

import calendar
import os
import time
from collections.abc import Callable, Iterator

from glimpse.errors import (
    AccessDenied,
    DataInUse,
    DataNotFound,
    DeletionDenied,
    ForeignLocation,
    StoreUnavailable,
)
from glimpse.stores import object_errors
from glimpse.stores.argument_checks import check_names, is_object_name, span_length
from glimpse.stores.base import StoredObject, StoreMisconfigured
from glimpse.stores.cinder import locations
from glimpse.stores.cinder.api import CinderApi, Rejected
from glimpse.stores.cinder.attachment import Attachment, Host, release_stale
from glimpse.stores.cinder.credentials import Credentials
from glimpse.stores.cinder.link import AttachingProcess
from glimpse.stores.cinder.locations import ATTEMPT, GIB, IMAGE_ID, IMAGE_OWNER, IMAGE_SIZE, STATE, WRITING
from glimpse.stores.cinder.options import CinderOptions
from glimpse.stores.cinder.reader import CinderReader
from glimpse.stores.cinder.records import Records
from glimpse.stores.cinder.removal import remove
from glimpse.stores.cinder.volumes import Volume, Volumes
from glimpse.stores.cinder.wire import HostSettings
from glimpse.stores.cinder.writer import CinderWriter

#: Seconds that a deletion waits for the backend; after that Cinder goes on by itself.
_DELETION = 20.0
#: Seconds that a deletion waits for a transfer of this host, whose client has all data but which has not ended yet; and
#: between two looks.
_ENDING = 2.0
_LOOK = 0.2


class CinderStore:
    """Implements ``stores.base.Store``."""

    scheme = "cinder"
    writable = True

    def __init__(self, store_id: str, options: CinderOptions) -> None:
        """:raises StoreMisconfigured: the options do not fit together."""
        self.id = store_id
        self._options = options
        self._credentials = Credentials(store_id, options)
        if not os.path.isabs(options.cinder_mount_point_base):
            raise StoreMisconfigured(store_id, "cinder_mount_point_base must be an absolute path")
        self._api = CinderApi(store_id, options, self._credentials)
        base = options.cinder_mount_point_base
        settings = HostSettings(options.root_helper, base, f"{base}/locks", "127.0.0.1")
        process = AttachingProcess(store_id, settings, options.cinder_store_timeout)
        self._host = Host(options, process, Records(store_id, base, process.name))

    @property
    def url_prefixes(self) -> tuple[str, ...]:
        """See ``stores.base.Prefixed``."""
        return (locations.prefix(self.id),)

    def writer(self, image_id: str, size: int | None, attempt: str) -> CinderWriter:
        check_names(image_id, attempt)
        access = self._credentials.access()
        volumes = self._volumes()
        for found in self._of_image(volumes, image_id):
            if STATE not in found.metadata or found.metadata.get(ATTEMPT) == attempt:
                raise object_errors.duplicate(self.id, image_id)
        metadata = {IMAGE_ID: image_id, IMAGE_SIZE: str(size or 0), ATTEMPT: attempt, STATE: WRITING}
        owner = self._credentials.owner(access)
        if owner:
            metadata[IMAGE_OWNER] = owner
        try:
            volume = volumes.create(
                locations.volume_name(image_id),
                locations.gibibytes(size or 0),
                self._options.cinder_volume_type,
                metadata,
            )
        except (DataNotFound, Rejected) as error:
            raise AccessDenied(str(error)) from error
        try:
            volume = volumes.wait_for(volume.id, "available")
            return CinderWriter(
                self.id, self._host, volumes, volume,
                extend_attached=self._options.cinder_do_extend_attached,
                seconds=self._options.cinder_state_transition_timeout,
            )  # fmt: skip
        except BaseException as error:
            self._remove_failed(volumes, volume.id)
            if isinstance(error, DataNotFound):
                raise StoreUnavailable(f"Store {self.id}: the new volume was deleted.") from error
            raise

    def reader(self, url: str, offset: int = 0, length: int | None = None) -> CinderReader:
        volumes, volume = self._found(url)
        size = _size(volume)
        length = span_length(size, offset, length)
        return CinderReader(Attachment(self._host, volumes, volume, writable=False), offset, length)

    def size(self, url: str) -> int:
        """Return the metadata ``image_size``, otherwise the size of the volume (store-formats 9.2)."""
        return _size(self._found(url)[1])

    def delete(self, url: str) -> None:
        volumes, volume = self._found(url)
        try:
            try:
                volumes.delete(volume.id, _DELETION)
            except Rejected:
                if _is_in_use(volumes, self._released(volumes, volume)):
                    raise
                volumes.release_unattached(volume.id)
                volumes.wait_for(volume.id, "available")
                volumes.delete(volume.id, _DELETION)
        except Rejected as error:
            raise DataInUse(str(error)) from error
        except AccessDenied as error:
            raise DeletionDenied(str(error)) from error

    def check_delete(self, url: str) -> None:
        """See ``stores.base.DeletionCheck``."""
        volumes, volume = self._found(url)
        if _is_in_use(volumes, volume) and _is_in_use(volumes, self._released(volumes, volume)):
            raise DataInUse(f"Store {self.id}: the volume of the image is attached.")

    def sweep(
        self,
        image_id: str,
        attempt: str,
        is_orphan: Callable[[str], bool] | None = None,  # noqa: ARG002 - all objects are marked with their attempt
    ) -> bool:
        check_names(image_id, attempt)
        volumes = self._volumes()
        found = [one for one in self._of_image(volumes, image_id) if one.metadata.get(ATTEMPT) == attempt]
        for volume in found:
            remove(self._host, volumes, volume.id, self._options.cinder_state_transition_timeout)
        return bool(found)

    def objects(self) -> Iterator[StoredObject]:
        """See ``stores.base.Listing``: the volumes of images of the project, of the volume type of the store."""
        for volume in self._volumes().all():
            image_id = volume.metadata.get(IMAGE_ID, "")
            if not self._owns(volume) or not is_object_name(image_id) or volume.status == "deleting":
                continue
            unfinished = STATE in volume.metadata
            yield StoredObject(
                image_id=image_id,
                size=volume.size * GIB if unfinished else _size(volume),
                modified_at=_seconds(volume.created_at),
                url=None if unfinished else f"{locations.prefix(self.id)}{volume.id}",
                attempt=volume.metadata.get(ATTEMPT) if unfinished else None,
            )

    def asks_to_repair(self, url: str) -> bool:
        """See ``stores.base.LocationRepair``."""
        return self.id != locations.UNNAMED and locations.without_store(url)

    def repaired(self, url: str) -> str | None:
        """See ``stores.base.LocationRepair``: a volume of the type of the store gets the store's id in its location."""
        if not self.asks_to_repair(url):
            return None
        try:
            volumes, volume = self._found(url)
        except (DataNotFound, ForeignLocation):
            return None
        wanted = self._options.cinder_volume_type or volumes.default_type()
        return f"{locations.prefix(self.id)}{volume.id}" if volume.volume_type == wanted else None

    def probe(self) -> None:
        """See ``stores.base.Probed``."""
        self._volumes().named("-")

    def close(self) -> None:
        self._host.process.close()
        self._api.close()

    def _volumes(self) -> Volumes:
        options = self._options
        return Volumes(
            self._api,
            self._credentials.access(),
            timeout=options.cinder_state_transition_timeout,
            attempts=options.cinder_attachment_retry_attempts,
        )

    def _found(self, url: str) -> tuple[Volumes, Volume]:
        """Return a finished volume at a location.

        :raises DataNotFound: the volume does not exist, or is not finished.
        """
        volume_id = locations.volume_of(url, self.id)
        volumes = self._volumes()
        volume = volumes.get(volume_id)
        if not self._owns(volume) and locations.without_store(url):
            raise ForeignLocation(f"The volume at the location is not of the type of store {self.id}.")
        if STATE in volume.metadata or volume.status == "deleting":
            raise object_errors.missing(self.id)
        return volumes, volume

    def _of_image(self, volumes: Volumes, image_id: str) -> list[Volume]:
        found = volumes.named(locations.volume_name(image_id))
        return [
            one
            for one in found
            if one.metadata.get(IMAGE_ID) == image_id and self._owns(one) and one.status != "deleting"
        ]

    def _owns(self, volume: Volume) -> bool:
        wanted = self._options.cinder_volume_type
        return not wanted or volume.volume_type == wanted

    def _released(self, volumes: Volumes, volume: Volume) -> Volume:
        """Return what the volume is like after the transfers of this host that are ending, or have died."""
        end = time.monotonic() + _ENDING
        while release_stale(self._host, volumes, volume) and time.monotonic() < end:
            time.sleep(_LOOK)
        return volumes.get(volume.id)

    def _remove_failed(self, volumes: Volumes, volume_id: str) -> None:
        remove(self._host, volumes, volume_id, _DELETION)


def _is_in_use(volumes: Volumes, volume: Volume) -> bool:
    held = bool(volume.attachments) or volume.status in {"in-use", "attaching", "detaching", "reserved"}
    return held and not volumes.is_unattached(volume)


def _size(volume: Volume) -> int:
    text = volume.metadata.get(IMAGE_SIZE, "")
    size = int(text) if text.isascii() and text.isdigit() else 0
    # zero without the mark of Glimpse: Glance did not get to correct it
    if ATTEMPT in volume.metadata or 0 < size <= volume.size * GIB:
        return size
    return volume.size * GIB


def _seconds(text: str) -> float:
    """Convert a time of Cinder, which is in UTC."""
    return float(calendar.timegm(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S")))
