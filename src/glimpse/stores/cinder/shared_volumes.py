"""Which streams use which volume of this host, in the attaching process.

A volume without multiattach has one attachment, so all readers of a host share it. One stream at a time attaches or
detaches a volume: it has the turn, and others wait until it is ready or ends.
"""

from __future__ import annotations

from threading import Condition

from glimpse.stores.cinder.devices import DeviceError, SharedDevice

#: Seconds that a stream waits for its turn; clients give up earlier.
TURN = 600.0


class Use:
    """One volume of this host: attached and used by ``users`` streams, or being attached or detached."""

    def __init__(self, volume_id: str, *, writable: bool) -> None:
        self.volume_id = volume_id
        self.writable = writable
        self.device: SharedDevice | None = None
        self.attachment_id: str | None = None
        self.users = 1
        self.changing = True


class SharedVolumes:
    """All volumes that streams of this process use. Thread-safe."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._uses: dict[str, Use] = {}

    def acquire(self, volume_id: str, *, writable: bool) -> Use:
        """Return the use of a volume. If it is ``changing``, the caller has the turn to attach the volume.

        :raises DeviceError: the volume is used in another way, or no turn came.
        """
        with self._changed:
            self._wait_for_turn(volume_id)
            use = self._uses.get(volume_id)
            if use is None:
                use = self._uses[volume_id] = Use(volume_id, writable=writable)
                return use
            if writable or use.writable:
                raise DeviceError("the volume is being written or read by another transfer")
            use.users += 1
            return use

    def ready(self, use: Use) -> None:
        """End the turn after attaching: others may use the volume."""
        with self._changed:
            use.changing = False
            self._changed.notify_all()

    def leave(self, use: Use) -> bool:
        """End the use of one stream. Return whether it was the last, which then has the turn until :meth:`forget`."""
        with self._changed:
            use.users -= 1
            if use.users:
                return False
            use.changing = True
            return True

    def forget(self, use: Use) -> None:
        """End the turn after detaching, or after attaching has failed."""
        with self._changed:
            if self._uses.get(use.volume_id) is use:
                del self._uses[use.volume_id]
            self._changed.notify_all()

    def evict(self, volume_id: str) -> None:
        """Take a volume from all streams, which then fail, and disconnect it.

        :raises DeviceError: a stream is attaching or detaching it all the time, or it cannot be disconnected.
        """
        with self._changed:
            self._wait_for_turn(volume_id)
            use = self._uses.get(volume_id)
            if use is None:
                return
            use.changing = True
        try:
            if use.device is not None:
                use.device.close(keep_connected=False)
        finally:
            self.forget(use)

    def _wait_for_turn(self, volume_id: str) -> None:
        def free() -> bool:
            use = self._uses.get(volume_id)
            return use is None or not use.changing

        if not self._changed.wait_for(free, TURN):
            raise DeviceError("the volume is being attached or detached by another transfer")
