"""The life of an upload: marked while it is unfinished, committed once, removed whatever happens to its process.

An image is always a multipart upload, even a small one. Aborting it on the server is the only way in S3 to make sure
that a process that stalled cannot publish an object later (docs/adr/0019).

S3 lists unfinished uploads without any mark, so a small object ``.glimpse/<image id>/<attempt>`` with the id of the
upload stands beside each. It is written before the first part and removed after the commit.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator
from threading import Lock

import msgspec

from glimpse.errors import DataNotFound, Duplicate, GlimpseError, StoreUnavailable
from glimpse.stores.base import StoredObject
from glimpse.stores.s3.answers import UploadGone
from glimpse.stores.s3.client import Client

LOG = logging.getLogger(__name__)

_MARKERS = ".glimpse/"
_MARKER_NAME = re.compile(r"\.glimpse/([0-9A-Za-z][0-9A-Za-z._-]{0,127})/([0-9A-Za-z]{1,64})")
#: Seconds in which a live process writes the marker of an upload that it has just started.
_MARKING = 2.0
#: An abort is repeated while parts that were being uploaded still arrive.
_MOST_ABORTS = 5
_LOCKS = 64


class Upload(msgspec.Struct, frozen=True):
    """One unfinished upload."""

    key: str
    attempt: str
    upload_id: str

    @property
    def marker(self) -> str:
        """The key of its marker."""
        return marker_of(self.key, self.attempt)


def marker_of(key: str, attempt: str) -> str:
    """Return the key of the marker of an attempt."""
    return f"{_MARKERS}{key}/{attempt}"


class Uploads:
    """The uploads to one bucket."""

    def __init__(self, store_id: str, client: Client, *, create_bucket: bool) -> None:
        """``create_bucket``: create the bucket if the first upload finds none."""
        self._store_id = store_id
        self.client = client
        self._create_bucket = create_bucket
        # servers without conditional completion replace an object: within the process one commit waits for another
        self._locks = tuple(Lock() for _ in range(_LOCKS))

    def begin(self, key: str, attempt: str) -> Upload:
        """Start an upload.

        :raises Duplicate: the object exists, or this attempt has an upload already.
        """
        client = self.client
        try:
            exists = client.head(key) is not None
        except StoreUnavailable:
            if not self._create_bucket or client.has_bucket():
                raise
            client.create_bucket()
            exists = False
        if exists:
            raise self._duplicate()
        upload = Upload(key, attempt, client.create_upload(key, attempt))
        try:
            client.put(upload.marker, upload.upload_id.encode())
        except BaseException:
            self._abort_quietly(upload)
            raise
        return upload

    def commit(self, upload: Upload, parts: list[tuple[str, str]]) -> None:
        """Make the object visible.

        When this raises, :meth:`discard` must be called, which removes also an object that became visible nevertheless.

        :raises Duplicate: the object exists.
        :raises StoreUnavailable: among others, the attempt was swept.
        """
        client = self.client
        with self._locks[hash(upload.key) % _LOCKS]:
            if client.head(upload.key) is not None:
                raise self._duplicate()
            try:
                client.complete_upload(upload.key, upload.upload_id, parts)
            except StoreUnavailable:
                # the server may have done it before the connection broke
                if not self._is_visible(upload):
                    raise
            # a sweep that came during the completion did not see the object
            if not client.exists(upload.marker):
                raise UploadGone(f"The upload to store {self._store_id} was swept.")
        try:
            client.delete(upload.marker)
        except GlimpseError as error:
            LOG.warning("Store %s: the marker %s could not be removed: %s", self._store_id, upload.marker, error)

    def discard(self, upload: Upload, *, maybe_visible: bool) -> None:
        """Remove an unfinished upload; with ``maybe_visible`` also its object, if a failed commit made it visible."""
        self.client.abort_upload(upload.key, upload.upload_id)
        self.client.delete(upload.marker)
        if maybe_visible:
            self._delete_own(upload.key, upload.attempt)

    def sweep(self, key: str, attempt: str) -> bool:
        """See :meth:`glimpse.stores.base.Store.sweep`. The order makes sure that a commit at the same time fails, or is
        found by the last step.
        """
        client = self.client
        marker = marker_of(key, attempt)
        content = client.get(marker)
        found = content is not None
        ids = [content.decode("utf-8", "replace")] if content else self._unmarked(key, attempt)
        for upload_id in ids:
            found = self._abort_for_good(key, upload_id) or found
        if content is not None:
            client.delete(marker)
        return self._delete_own(key, attempt) or found

    def unfinished(self, image_id: str = "") -> Iterator[StoredObject]:
        """Yield the unfinished uploads that have a marker: of one image, or all."""
        client = self.client
        prefix = f"{_MARKERS}{image_id}/" if image_id else _MARKERS
        for entry in client.objects(prefix):
            name = _MARKER_NAME.fullmatch(entry.key)
            content = client.get(entry.key) if name else None
            if name is None or content is None:
                continue
            size = client.uploaded_bytes(name[1], content.decode("utf-8", "replace"))
            yield StoredObject(image_id=name[1], size=size or 0, modified_at=entry.modified_at, attempt=name[2])

    def _unmarked(self, key: str, attempt: str) -> list[str]:
        """Return the uploads of an object that no marker of another attempt names: their process ended, or stalls,
        between starting the upload and marking it.
        """
        ids = self.client.uploads(key)
        if not ids:
            return []
        others = self._marked(key, attempt)
        if all(upload_id in others for upload_id in ids):
            return []
        time.sleep(_MARKING)
        others |= self._marked(key, attempt)
        return [upload_id for upload_id in ids if upload_id not in others]

    def _marked(self, key: str, attempt: str) -> set[str]:
        own = marker_of(key, attempt)
        markers = [entry.key for entry in self.client.objects(f"{_MARKERS}{key}/") if entry.key != own]
        return {content.decode("utf-8", "replace") for marker in markers if (content := self.client.get(marker))}

    def _abort_for_good(self, key: str, upload_id: str) -> bool:
        found = self.client.abort_upload(key, upload_id)
        for _ in range(_MOST_ABORTS):
            if self.client.uploaded_bytes(key, upload_id) is None:
                return found
            self.client.abort_upload(key, upload_id)
        raise StoreUnavailable(f"An upload to store {self._store_id} could not be aborted.")

    def _abort_quietly(self, upload: Upload) -> None:
        try:
            self.client.abort_upload(upload.key, upload.upload_id)
        except GlimpseError as error:
            LOG.warning("Store %s: an upload of %s could not be aborted: %s", self._store_id, upload.key, error)

    def _is_visible(self, upload: Upload) -> bool:
        found = self.client.head(upload.key)
        return found is not None and found.attempt == upload.attempt

    def _delete_own(self, key: str, attempt: str) -> bool:
        """Delete the object if this attempt wrote it."""
        found = self.client.head(key)
        if found is None or found.attempt != attempt:
            return False
        try:
            self.client.delete(key)
        except DataNotFound:
            return False
        return True

    def _duplicate(self) -> Duplicate:
        return Duplicate(f"Store {self._store_id} already has an object of this image.")
