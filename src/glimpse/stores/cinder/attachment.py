"""One use of a volume on this host: attached if no other transfer of the host has it, and detached after the last."""

from __future__ import annotations

import logging
from functools import partial

from glimpse.errors import DataNotFound, GlimpseError, StoreUnavailable
from glimpse.stores.cinder import wire
from glimpse.stores.cinder.api import Rejected
from glimpse.stores.cinder.background import Background
from glimpse.stores.cinder.link import AttachingProcess, Link
from glimpse.stores.cinder.options import CinderOptions
from glimpse.stores.cinder.records import Records
from glimpse.stores.cinder.volumes import Volume, Volumes

LOG = logging.getLogger(__name__)

#: The mount point that marks attachments of image stores (store-formats 9.3).
MOUNT_POINT = "glance_store"


class Host:
    """This host for one store: the process that attaches, and the records of attachments."""

    def __init__(self, options: CinderOptions, process: AttachingProcess, records: Records) -> None:
        self.process = process
        self.records = records
        self.multipath = options.cinder_use_multipath
        self.enforce_multipath = options.cinder_enforce_multipath
        #: seconds for attaching, in which os-brick may wait for devices to appear
        self.attach_deadline = float(max(options.cinder_state_transition_timeout, options.cinder_store_timeout))

    def evict(self, volume_id: str) -> None:
        """Take a volume from all transfers of this host.

        :raises StoreUnavailable: it stays connected.
        """
        link = self.process.link()
        try:
            link.ask(wire.Evict(volume_id), self.attach_deadline)
        finally:
            link.close()


class Attachment:
    """An attached volume for one transfer; :meth:`close` must follow."""

    def __init__(self, host: Host, volumes: Volumes, volume: Volume, *, writable: bool) -> None:
        """Attach the volume, or use the attachment that another reader of this host has.

        :raises AccessDenied: the volume cannot be used at all.
        :raises StoreUnavailable: the volume is in use elsewhere, or attaching failed.
        """
        self._host = host
        self._volumes = volumes
        self._volume = volume
        self._completion: Background[None] | None = None
        host.records.prepare()
        self.link = host.process.link()
        try:
            answer = self.link.ask(
                wire.Acquire(volume.id, writable, host.multipath, host.enforce_multipath), host.attach_deadline
            )
            if isinstance(answer, wire.YourTurn):
                answer = self._attach(answer, writable=writable)
            attached = _attached(answer)
        except BaseException:
            self.link.close()
            raise
        self.zeros = attached.zeros

    def extended(self, size: int) -> int:
        """Return the size after the volume was extended to ``size`` bytes while attached."""
        return _attached(self.link.ask(wire.Extend(size))).size

    def wait_for_completion(self) -> None:
        """Wait until Cinder knows that the volume is connected; never raises.

        A failure does not matter for the data, and leaves the volume in a status in which it can be detached.
        """
        completion, self._completion = self._completion, None
        if completion is None:
            return
        try:
            completion.result()
        except GlimpseError as error:
            LOG.warning("Cinder did not record that volume %s is attached: %s", self._volume.id, error)

    def close(self) -> None:
        """End the use; detach the volume if it was the last one.

        :raises StoreUnavailable: the volume may still be attached. The next transfer on this host repairs that.
        """
        self.wait_for_completion()
        try:
            answer = self.link.ask(wire.Release(self._keeps_connected()), self._host.attach_deadline)
            if isinstance(answer, wire.Released) and answer.attachment_id is not None:
                self._volumes.detach(answer.attachment_id)
                self._host.records.remove(self._volume.id, answer.attachment_id)
        finally:
            self.link.close()

    def _attach(self, turn: wire.YourTurn, *, writable: bool) -> wire.Answer:
        volume, volumes = self._volume, self._volumes
        self._remove_stale()
        try:
            attachment_id = volumes.attach(volume, writable=writable)
        except Rejected as error:
            raise StoreUnavailable(str(error)) from error
        try:
            self._host.records.add(volume.id, attachment_id)
            connection = volumes.export(attachment_id, {**turn.connector, "mountpoint": MOUNT_POINT})
            answer = self.link.ask(wire.Connect(attachment_id, connection), self._host.attach_deadline)
            if not writable:
                volumes.complete(attachment_id)
            self.link.ask(wire.Ready())
        except BaseException:
            self._undo(attachment_id)
            raise
        if writable:  # nobody shares the volume, so this transfer can use it before Cinder has noted that
            self._completion = Background(partial(volumes.complete, attachment_id))
        return answer

    def _undo(self, attachment_id: str) -> None:
        """Take back an attachment that did not succeed; what fails is left to the next transfer or sweep."""
        try:
            self.link.ask(wire.Release(), self._host.attach_deadline)
            self._volumes.detach(attachment_id)
            self._host.records.remove(self._volume.id, attachment_id)
        except GlimpseError as error:
            LOG.warning("The attachment of volume %s could not be removed: %s", self._volume.id, error)

    def _remove_stale(self) -> None:
        """Remove the attachments that dead processes of this host have left. No living one has the volume now."""
        remove_recorded(self._host.records, self._volumes, self._volume.id, self.link)

    def _keeps_connected(self) -> bool:
        """Whether others on this host may use the same device (store-formats 9.3)."""
        if not self._volume.multiattach:
            return False
        recorded = set(self._host.records.of(self._volume.id))
        return any(one not in recorded for one in self._volumes.attachments(self._volume.id))


def release_stale(host: Host, volumes: Volumes, volume: Volume) -> bool:
    """Remove the attachments of a volume that dead processes of this host have left; waits for those that detach it.

    Return whether a living transfer of this host has the volume, which then stays attached.

    :raises StoreUnavailable: that failed.
    """
    if not host.records.of(volume.id):
        return False
    link = host.process.link()
    try:
        request = wire.Acquire(volume.id, False, host.multipath, host.enforce_multipath)  # noqa: FBT003
        if isinstance(link.ask(request, host.attach_deadline), wire.YourTurn):
            remove_recorded(host.records, volumes, volume.id, link)
            return False
        answer = link.ask(wire.Release(), host.attach_deadline)
        if not isinstance(answer, wire.Released) or answer.attachment_id is None:
            return True
        # the other transfer has ended meanwhile
        volumes.detach(answer.attachment_id)
        host.records.remove(volume.id, answer.attachment_id)
        return False
    finally:
        link.close()


def _attached(answer: wire.Answer) -> wire.Attached:
    if not isinstance(answer, wire.Attached):
        raise StoreUnavailable("The answer of the process that attaches volumes cannot be read.")
    return answer


def remove_recorded(records: Records, volumes: Volumes, volume_id: str, link: Link) -> None:
    """Disconnect and delete the recorded attachments of a volume that no living transfer has."""
    for attachment_id in records.of(volume_id):
        LOG.warning("Attachment %s of volume %s was left by a process that died", attachment_id, volume_id)
        try:
            connection = volumes.connection(attachment_id)
            if connection:
                link.ask(wire.Disconnect(connection))
        except DataNotFound:
            pass
        volumes.detach(attachment_id)
        records.remove(volume_id, attachment_id)
