"""The events of each use case, in order (images-api 3.10; configuration 11.2): one function for each occasion.

Call these after the change is committed. ``image`` is the image after the change, unless stated otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec

from glimpse.context import Context
from glimpse.domain.clock import now
from glimpse.domain.image import Image, Member, StoredData
from glimpse.domain.status import Status
from glimpse.domain.task import Task, TaskStatus
from glimpse.notify.base import Notifier
from glimpse.notify.payloads import image_payload, member_payload, send_payload, task_payload, transfer_payload


def image_created(notifier: Notifier, image: Image) -> None:
    """``image.create``."""
    _tell(notifier, "image.create", image)


def image_updated(notifier: Notifier, image: Image) -> None:
    """``image.update``: any change of the record, including its status, tags or locations."""
    _tell(notifier, "image.update", image)


def image_deleted(notifier: Notifier, image: Image, deleted_at: datetime) -> None:
    """``image.delete``; ``image`` as it was before."""
    if notifier.enabled("image.delete"):
        gone = msgspec.structs.replace(image, status=Status.DELETED, updated_at=deleted_at)
        notifier.emit("image.delete", image_payload(gone, deleted_at=deleted_at))


def upload_begun(notifier: Notifier, image: Image, store: str | None) -> None:
    """``image.update`` (saving) and ``image.prepare``, after an upload has claimed the image.

    ``image`` as it was before; ``store`` is the id of the store if stores have names.
    """
    saving = msgspec.structs.replace(image, status=Status.SAVING, updated_at=now())
    _tell(notifier, "image.update", saving)
    if notifier.enabled("image.prepare"):
        notifier.emit("image.prepare", transfer_payload(saving, store))


def upload_finished(
    notifier: Notifier, image: Image, data: StoredData, store: str | None, updated_at: datetime
) -> None:
    """``image.upload``, ``image.activate`` and ``image.update`` (active), after an upload made the image active.

    ``image`` as it was before the upload; ``data`` and ``updated_at`` are the new values.
    """
    active = msgspec.structs.replace(
        image, status=Status.ACTIVE, size=data.size, virtual_size=data.virtual_size, checksum=data.checksum,
        updated_at=updated_at,
    )  # fmt: skip
    if notifier.enabled("image.upload"):
        notifier.emit("image.upload", transfer_payload(active, store))
    _tell(notifier, "image.activate", active)
    _tell(notifier, "image.update", active)


def upload_failed(notifier: Notifier, image: Image, reason: str, *, queued: bool) -> None:
    """``image.upload`` with priority ERROR and a sentence, then ``image.update`` if the image is ``queued`` again.

    ``image`` as it was before the upload.
    """
    if notifier.enabled("image.upload"):
        notifier.emit("image.upload", f"The upload of image {image.id} failed: {reason}", error=True)
    if queued:
        cleared = msgspec.structs.replace(
            image, status=Status.QUEUED, size=None, virtual_size=None, checksum=None, updated_at=now()
        )
        _tell(notifier, "image.update", cleared)


def import_prepared(notifier: Notifier, image: Image, store: str | None) -> None:
    """``image.prepare``, before an import writes to a store; ``store`` is its id if stores have names."""
    if notifier.enabled("image.prepare"):
        notifier.emit("image.prepare", transfer_payload(image, store))


def import_stored(notifier: Notifier, image: Image, store: str | None) -> None:
    """``image.upload``, after an import has given the image a location in a store."""
    if notifier.enabled("image.upload"):
        notifier.emit("image.upload", transfer_payload(image, store))


def import_activated(notifier: Notifier, image: Image) -> None:
    """``image.activate``, after an import has made the image active."""
    _tell(notifier, "image.activate", image)


def import_failed(notifier: Notifier, image: Image, reason: str) -> None:
    """``image.upload`` with priority ERROR and a sentence, for a store in which an import failed."""
    if notifier.enabled("image.upload"):
        notifier.emit("image.upload", f"The import of image {image.id} failed: {reason}", error=True)


def download_ended(
    notifier: Notifier,
    context: Context,
    image: Image,
    *,
    sent: int,
    expected: int | None,
    destination_ip: str | None = None,
) -> None:
    """``image.send``, with priority ERROR if the store had fewer bytes than ``expected``.

    ``expected`` is None if the data of unknown length did not come to their end.

    Not for a client that disconnected early (configuration 11.5). ``destination_ip`` is set if the cache served the
    data.
    """
    if notifier.enabled("image.send"):
        payload = send_payload(
            image, bytes_sent=sent, receiver_project=context.project_id, receiver_user=context.user_id,
            destination_ip=destination_ip,
        )  # fmt: skip
        notifier.emit("image.send", payload, error=sent != expected)


def member_changed(notifier: Notifier, change: str, member: Member, *, deleted_at: datetime | None = None) -> None:
    """``image.member.create``, ``.update`` or ``.delete``, depending on ``change``; a deletion has a ``deleted_at``."""
    event = f"image.member.{change}"
    if notifier.enabled(event):
        notifier.emit(event, member_payload(member, deleted_at=deleted_at))


def task_created(notifier: Notifier, task: Task) -> None:
    """``task.create``, after the job of a task was recorded."""
    _tell_of_task(notifier, "task.create", task)


def task_begun(notifier: Notifier, task: Task) -> None:
    """``task.run``, as it waited, and ``task.processing``, after the job of a task was claimed for the first time."""
    _tell_of_task(notifier, "task.run", msgspec.structs.replace(task, status=TaskStatus.PENDING))
    _tell_of_task(notifier, "task.processing", task)


def task_ended(notifier: Notifier, task: Task) -> None:
    """``task.success`` or ``task.failure``."""
    _tell_of_task(notifier, f"task.{task.status}", task)


def tell(notifier: Notifier, event: str, payload: Mapping[str, object]) -> None:
    """Send an event of metadata definitions, with its payload from ``payloads``."""
    if notifier.enabled(event):
        notifier.emit(event, payload)


def _tell(notifier: Notifier, event: str, image: Image) -> None:
    if notifier.enabled(event):
        notifier.emit(event, image_payload(image))


def _tell_of_task(notifier: Notifier, event: str, task: Task) -> None:
    """Send an event with the task as its payload."""
    if notifier.enabled(event):
        notifier.emit(event, task_payload(task))
