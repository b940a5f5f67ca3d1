"""Removing a volume together with whatever has it attached."""

from __future__ import annotations

import time

from glimpse.errors import DataNotFound, StoreUnavailable
from glimpse.stores.cinder.api import Rejected
from glimpse.stores.cinder.attachment import Host
from glimpse.stores.cinder.volumes import Volumes

#: Seconds between two attempts.
_PAUSE = 0.3


def remove(host: Host, volumes: Volumes, volume_id: str, seconds: float) -> None:
    """Take a volume from all transfers, delete its attachments and the volume itself; a missing one is not an error.

    Only for unfinished volumes and those of a dead attempt, which nothing may use. Repeated for ``seconds`` while
    the volume changes its status.

    :raises StoreUnavailable: the volume is still there, for example because another host has it open.
    """
    end = time.monotonic() + seconds
    while True:
        try:
            _remove_once(host, volumes, volume_id, max(1.0, end - time.monotonic()))
        except DataNotFound:
            return
        except (Rejected, StoreUnavailable) as error:
            if isinstance(error, StoreUnavailable) and "does not answer" in str(error):
                raise
            if time.monotonic() > end:
                raise StoreUnavailable(str(error)) from error
            time.sleep(_PAUSE)
        else:
            return


def _remove_once(host: Host, volumes: Volumes, volume_id: str, seconds: float) -> None:
    volume = volumes.get(volume_id)
    if volume.status != "deleting":
        attachments = volumes.attachments(volume_id)
        if attachments:
            host.evict(volume_id)
        for attachment_id in attachments:
            volumes.detach(attachment_id)
            host.records.remove(volume_id, attachment_id)
        if volume.status == "in-use" and not attachments:
            volumes.release_unattached(volume_id)
    volumes.delete(volume_id, seconds)
