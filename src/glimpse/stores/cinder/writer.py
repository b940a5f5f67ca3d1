"""Writing an image into a new volume, which is invisible until the commit."""

from __future__ import annotations

import logging
import time

from glimpse.errors import DataNotFound, GlimpseError, StoreUnavailable
from glimpse.stores import object_errors
from glimpse.stores.base import Bytes, Placed
from glimpse.stores.cinder import wire
from glimpse.stores.cinder.api import Rejected
from glimpse.stores.cinder.attachment import Attachment, Host
from glimpse.stores.cinder.background import Background
from glimpse.stores.cinder.link import Link
from glimpse.stores.cinder.locations import ATTEMPT, COMMITTING, GIB, IMAGE_ID, IMAGE_SIZE, STATE, prefix, volume_name
from glimpse.stores.cinder.removal import remove
from glimpse.stores.cinder.volumes import Volume, Volumes, same_type

LOG = logging.getLogger(__name__)

_ZEROS = bytes(wire.SLOT_SIZE)
#: Seconds between two looks at another commit of the same image.
_LOOK = 0.2


class CinderWriter:
    """Implements ``stores.base.Writer``."""

    def __init__(
        self, store_id: str, host: Host, volumes: Volumes, volume: Volume, *, extend_attached: bool, seconds: float
    ) -> None:
        """Attach ``volume``, which is new and available. ``seconds``: how long to wait for volumes."""
        self._store_id = store_id
        self._host = host
        self._volumes = volumes
        self._volume = volume
        self._metadata = dict(volume.metadata)
        self._extend_attached = extend_attached
        self._seconds = seconds
        self._capacity = volume.size * GIB
        self._written = 0
        self._committed = False
        self._nothing_left = True
        self._attachment: Attachment | None = None
        self._attach()

    def write(self, data: Bytes) -> None:
        with memoryview(data) as whole, whole.cast("B") as view:
            taken = 0
            while taken < len(view):
                if self._written == self._capacity:
                    self._grow()
                slot = self._slot_in_use()
                room = min(wire.SLOT_SIZE - self._filled, self._capacity - self._written)
                part = view[taken : taken + room]
                start = slot * wire.SLOT_SIZE + self._filled
                self._link().area[start : start + len(part)] = part
                taken += len(part)
                self._filled += len(part)
                self._written += len(part)
                if self._filled == wire.SLOT_SIZE or self._written == self._capacity:
                    self._send_slot()

    def commit(self) -> Placed:
        try:
            self._drain()
            self._link().ask(wire.Flush())
            detaching = Background(self._detach_read_only)
            try:
                self._claim()
            finally:
                detaching.result()
            self._publish()
        except DataNotFound as error:
            raise StoreUnavailable(
                f"Store {self._store_id}: the upload was removed, because its process was thought to be dead."
            ) from error
        except Rejected as error:
            raise StoreUnavailable(str(error)) from error
        self._committed = True
        return Placed(f"{prefix(self._store_id)}{self._volume.id}", {})

    def abort(self) -> bool:
        if self._committed:
            return self._nothing_left
        self._committed = True
        try:
            try:
                self._close_attachment()
            finally:
                remove(self._host, self._volumes, self._volume.id, self._seconds)
        except GlimpseError as error:
            self._nothing_left = False
            LOG.warning("Volume %s of an aborted upload could not be removed yet: %s", self._volume.id, error)
        return self._nothing_left

    def _link(self) -> Link:
        return self._attached().link

    def _attached(self) -> Attachment:
        if self._attachment is None:
            raise StoreUnavailable(f"Store {self._store_id}: the volume of the upload is not attached.")
        return self._attachment

    def _attach(self) -> None:
        self._attachment = Attachment(self._host, self._volumes, self._volume, writable=True)
        self._free = list(range(wire.SLOTS))
        self._busy = 0
        self._slot: int | None = None
        self._filled = 0
        self._sparse = self._attachment.zeros

    def _slot_in_use(self) -> int:
        if self._slot is None:
            if not self._free:
                self._wait_for_one()
            self._slot = self._free.pop()
            self._filled = 0
        return self._slot

    def _send_slot(self) -> None:
        slot, self._slot = self._slot, None
        if slot is None or not self._filled:
            return
        start = slot * wire.SLOT_SIZE
        if self._sparse and _is_zero(self._link().area[start : start + self._filled]):
            self._free.append(slot)
        else:
            self._link().send(wire.Write(slot, self._written - self._filled, self._filled))
            self._busy += 1
        self._filled = 0

    def _wait_for_one(self) -> None:
        answer = self._link().answer()
        if not isinstance(answer, wire.Done):
            raise StoreUnavailable("The answer of the process that attaches volumes cannot be read.")
        self._free.append(answer.slot)
        self._busy -= 1

    def _detach_read_only(self) -> None:
        """Detach the volume for good; from then on it can only be attached for reading."""
        self._close_attachment()
        self._volumes.wait_for(self._volume.id, "available")
        self._volumes.make_read_only(self._volume.id)

    def _finish_data(self) -> None:
        """Write what is in the slots, make it durable and detach the volume."""
        self._drain()
        self._link().ask(wire.Flush())
        self._close_attachment()

    def _drain(self) -> None:
        self._send_slot()
        while self._busy:
            self._wait_for_one()

    def _close_attachment(self) -> None:
        attachment, self._attachment = self._attachment, None
        if attachment is not None:
            attachment.close()

    def _grow(self) -> None:
        """Extend the volume, because the image is larger than announced, or its size was unknown.

        A volume cannot shrink, so the steps are small while extending is cheap: at most an eighth of the volume is
        wasted, a quarter if each step detaches it.
        """
        size = self._capacity // GIB
        larger = size + max(1, size // (8 if self._extend_attached else 4))
        try:
            if self._extend_attached:
                self._drain()
                self._attached().wait_for_completion()
                self._volumes.extend(self._volume.id, larger)
                self._volumes.wait_for(self._volume.id, "in-use", size=larger)
                self._attached().extended(larger * GIB)
            else:
                self._finish_data()
                self._volumes.wait_for(self._volume.id, "available")
                self._volumes.extend(self._volume.id, larger)
                self._volume = self._volumes.wait_for(self._volume.id, "available", size=larger)
                self._attach()
        except (DataNotFound, Rejected) as error:
            raise StoreUnavailable(str(error)) from error
        self._capacity = larger * GIB

    def _claim(self) -> None:
        """Claim the image for this volume, unless there is one already. The data are durable.

        Cinder has no unique names, so commits of one image agree in two steps. Each marks its volume, then looks at the
        others. A finished one wins. Of several marked ones, that with the least id waits for the others to give up or
        to finish; the others give up.
        """
        self._metadata[IMAGE_SIZE] = str(self._written)
        self._volumes.replace_metadata(self._volume.id, {**self._metadata, STATE: COMMITTING})
        end = time.monotonic() + self._seconds
        while self._others_commit():
            if time.monotonic() > end:
                raise StoreUnavailable(f"Store {self._store_id}: another upload of the image does not end.")
            time.sleep(_LOOK)

    def _publish(self) -> None:
        """Make the volume, which has claimed the image, the one of its image."""
        volume_id = self._volume.id
        final = {key: value for key, value in self._metadata.items() if key != STATE}
        self._volumes.replace_metadata(volume_id, final)
        found = self._volumes.get(volume_id)
        if found.status != "available" or found.metadata.get(ATTEMPT) != self._metadata[ATTEMPT]:
            raise DataNotFound("The volume is being deleted.")

    def _others_commit(self) -> bool:
        """Return whether another commit of this image is in progress, which this one waits for.

        :raises Duplicate: another one has succeeded, or comes first.
        :raises DataNotFound: the own volume is gone.
        """
        own = self._volume.id
        image_id = self._metadata[IMAGE_ID]
        volumes = self._volumes.named(volume_name(image_id))
        if not any(one.id == own and one.metadata.get(STATE) == COMMITTING for one in volumes):
            raise DataNotFound("The volume is gone.")
        waiting = False
        for other in volumes:
            if other.id == own or other.metadata.get(IMAGE_ID) != image_id or not same_type(other, self._volume):
                continue
            state = other.metadata.get(STATE)
            if other.status.startswith(("deleting", "error")):
                continue
            if state is None or (state == COMMITTING and other.id < own):
                raise object_errors.duplicate(self._store_id, image_id)
            waiting = waiting or state == COMMITTING
        return waiting


def _is_zero(view: memoryview) -> bool:
    """Whether there are only zeros; most data are decided by their first or last byte."""
    if view[0] or view[-1]:
        return False
    return bytes(view) == (_ZEROS if len(view) == len(_ZEROS) else bytes(len(view)))
