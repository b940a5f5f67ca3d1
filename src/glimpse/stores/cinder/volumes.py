"""Volumes and attachments of one account in Cinder: the requests that the store makes (store-formats 9.2, 9.3)."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from glimpse.errors import DataNotFound, StoreFull, StoreUnavailable
from glimpse.stores.cinder.api import CinderApi, Rejected
from glimpse.stores.cinder.credentials import Access

LOG = logging.getLogger(__name__)

#: Seconds between two looks at a volume; the second value is reached after a few seconds.
_SHORT, _LONG = 0.1, 1.0
#: Waits in seconds before further attempts to attach a volume that is in use (store-formats 9.3).
_ATTACH_WAITS = (2, 4, 8, 10)
#: Volumes in one page of a list.
_PAGE = 500


class AttachedTo(msgspec.Struct, frozen=True):
    """An attachment in the description of a volume; the host is shown to administrators only."""

    attachment_id: str
    host_name: str | None = None


class Volume(msgspec.Struct, frozen=True):
    """A volume as Cinder describes it; ``size`` in GiB."""

    id: str
    status: str
    size: int
    created_at: str
    name: str | None = None
    metadata: dict[str, str] = {}
    volume_type: str | None = None
    attachments: list[AttachedTo] = []
    multiattach: bool = False


class Volumes:
    """Requests in the name of one access. Each one may raise AccessDenied and StoreUnavailable."""

    def __init__(self, api: CinderApi, access: Access, *, timeout: float, attempts: int) -> None:
        """``timeout``: seconds to wait for a status; ``attempts`` to attach a volume that is in use."""
        self._api = api
        self._access = access
        self._timeout = timeout
        self._attempts = attempts
        self._store = f"Store {api.store_id}"

    def get(self, volume_id: str) -> Volume:
        """:raises DataNotFound: the volume does not exist."""
        return _volume(self._api.get(self._access, f"/volumes/{volume_id}")["volume"])

    def named(self, name: str) -> list[Volume]:
        """Return the volumes with a name."""
        return list(self._pages({"name": name}))

    def all(self) -> Iterator[Volume]:
        """Yield all volumes of the project."""
        return self._pages({})

    def default_type(self) -> str | None:
        """Return the name of Cinder's default volume type; None if Cinder has no default type."""
        try:
            name: str | None = self._api.get(self._access, "/types/default")["volume_type"]["name"]
        except DataNotFound:
            return None
        return name

    def create(self, name: str, size: int, volume_type: str | None, metadata: dict[str, str]) -> Volume:
        """Create a volume of ``size`` GiB; it is not available yet.

        :raises Rejected: Cinder does not accept the request, for example an unknown volume type.
        :raises StoreFull: a quota is used up.
        """
        wanted: dict[str, object] = {"name": name, "size": size, "metadata": metadata}
        if volume_type:
            wanted["volume_type"] = volume_type
        return _volume(self._api.call(self._access, "POST", "/volumes", {"volume": wanted})["volume"])

    def wait_for(self, volume_id: str, status: str, *, size: int = 0) -> Volume:
        """Return the volume when it has this status and at least ``size`` GiB.

        :raises DataNotFound: the volume was deleted.
        :raises StoreFull: no backend has space for it.
        :raises StoreUnavailable: the volume did not get the status in time, or is in an error status.
        """

        def there(volume: Volume) -> bool:
            if volume.status.startswith("error"):
                raise self._volume_error(volume)
            return volume.status == status and volume.size >= size

        return self._until(volume_id, there, self._timeout)

    def replace_metadata(self, volume_id: str, metadata: dict[str, str]) -> None:
        """Replace all metadata of a volume, in one step."""
        self._api.call(self._access, "PUT", f"/volumes/{volume_id}/metadata", {"metadata": metadata})

    def make_read_only(self, volume_id: str) -> None:
        """Set the flag that lets the volume be attached for reading only."""
        self._action(volume_id, "os-update_readonly_flag", {"readonly": True})

    def extend(self, volume_id: str, size: int) -> None:
        """Start to extend a volume to ``size`` GiB.

        :raises Rejected: the volume cannot be extended in its state.
        :raises StoreFull: a quota is used up.
        """
        self._action(volume_id, "os-extend", {"new_size": size})

    def delete(self, volume_id: str, seconds: float) -> None:
        """Delete a volume and wait at most ``seconds`` until it is gone; a slow backend goes on by itself.

        :raises DataNotFound: the volume does not exist.
        :raises Rejected: the volume is in use, or something depends on it.
        :raises StoreUnavailable: the backend cannot delete it now.
        """
        self._api.call(self._access, "DELETE", f"/volumes/{volume_id}")

        def decided(volume: Volume) -> bool:
            if volume.status == "available":
                # the backend has put it back, for example because it is still open somewhere
                raise StoreUnavailable(f"{self._store}: the backend of Cinder cannot delete the volume now.")
            if volume.status.startswith("error"):
                raise self._volume_error(volume)
            return False

        try:
            self._until(volume_id, decided, seconds)
        except DataNotFound:
            return
        except _Late:
            return

    def attach(self, volume: Volume, *, writable: bool) -> str:
        """Reserve an attachment and return its id; repeated while the volume is in use elsewhere.

        One that is in use without an attachment is released at the second attempt: while Cinder deletes an attachment,
        a volume is like that for a moment.

        :raises Rejected: the volume stays in use, or has a status in which it cannot be attached.
        """
        wanted = {"volume_uuid": volume.id, "mode": "rw" if writable else "ro"}
        for attempt in range(self._attempts):
            try:
                made = self._api.call(self._access, "POST", "/attachments", {"attachment": wanted})
                return str(made["attachment"]["id"])
            except Rejected as error:
                if attempt == self._attempts - 1 or "must be available" not in str(error):
                    raise
                if attempt:
                    self.release_unattached(volume.id)
                time.sleep(_ATTACH_WAITS[min(attempt, len(_ATTACH_WAITS) - 1)])
        raise AssertionError("the last attempt returns or raises")

    def export(self, attachment_id: str, connector: dict[str, Any]) -> dict[str, Any]:
        """Let Cinder export the volume to a host and return how to connect to it."""
        body = {"attachment": {"connector": connector}}
        return dict(self._api.call(self._access, "PUT", f"/attachments/{attachment_id}", body)["attachment"])[
            "connection_info"
        ]

    def connection(self, attachment_id: str) -> dict[str, Any]:
        """Return how to connect to an attachment, empty before it was exported.

        :raises DataNotFound: the attachment does not exist.
        """
        found = self._api.get(self._access, f"/attachments/{attachment_id}")["attachment"]
        return found.get("connection_info") or {}

    def complete(self, attachment_id: str) -> None:
        """Report that the volume is connected."""
        self._api.call(self._access, "POST", f"/attachments/{attachment_id}/action", {"os-complete": {}})

    def detach(self, attachment_id: str) -> None:
        """Delete an attachment; one that is gone is not an error."""
        try:
            self._api.call(self._access, "DELETE", f"/attachments/{attachment_id}")
        except DataNotFound:
            return

    def is_unattached(self, volume: Volume) -> bool:
        """Whether a volume is in use, but nothing has it attached: it can neither be attached nor deleted.

        Cinder leaves a volume like that when it did not answer for a time, and then completes an attachment while it
        deletes it.
        """
        return volume.status == "in-use" and not volume.attachments and not self.attachments(volume.id)

    def release_unattached(self, volume_id: str) -> None:
        """Make a volume available if :meth:`is_unattached`."""
        if self.is_unattached(self.get(volume_id)):
            LOG.warning("Volume %s is in use without an attachment, so it is made available", volume_id)
            self._action(volume_id, "os-detach", {})

    def attachments(self, volume_id: str) -> list[str]:
        """Return the ids of all attachments of a volume, reserved ones included."""
        found = self._api.get(self._access, "/attachments", {"volume_id": volume_id})
        return [str(one["id"]) for one in found["attachments"]]

    def _action(self, volume_id: str, name: str, arguments: dict[str, object]) -> None:
        self._api.call(self._access, "POST", f"/volumes/{volume_id}/action", {name: arguments})

    def _pages(self, query: dict[str, str]) -> Iterator[Volume]:
        marker: dict[str, str] = {}
        while True:
            found = self._api.get(self._access, "/volumes/detail", {**query, **marker, "limit": str(_PAGE)})["volumes"]
            yield from map(_volume, found)
            if len(found) < _PAGE:
                return
            marker = {"marker": found[-1]["id"]}

    def _until(self, volume_id: str, reached: Callable[[Volume], bool], seconds: float) -> Volume:
        started = time.monotonic()
        while True:
            volume = self.get(volume_id)
            if reached(volume):
                return volume
            waited = time.monotonic() - started
            if waited >= seconds:
                raise _Late(f"{self._store}: the volume has the status {volume.status} for {waited:.0f} s.")
            time.sleep(min(max(_SHORT, waited / 10), _LONG))

    def _volume_error(self, volume: Volume) -> Exception:
        """Return the error for a volume with an error status, with the reason that Cinder gives to users."""
        reason = ""
        query = {"resource_uuid": volume.id, "limit": "1", "sort": "created_at:desc"}
        messages: list[dict[str, Any]] = self._api.get(self._access, "/messages", query).get("messages", [])
        if messages:
            reason = f": {messages[0].get('user_message', '')}"
        text = f"{self._store}: the volume has the status {volume.status}{reason}"
        if "No storage could be allocated" in reason:
            return StoreFull(text)
        return StoreUnavailable(text if reason else f"{text}.")


def same_type(first: Volume, second: Volume) -> bool:
    """Whether two volumes belong to the same store: the stores of one Cinder differ by volume type."""
    return first.volume_type == second.volume_type


class _Late(StoreUnavailable):
    """A volume did not reach a status in time."""


def _volume(found: dict[str, Any]) -> Volume:
    try:
        return msgspec.convert(found, Volume)
    except msgspec.ValidationError as error:
        raise StoreUnavailable("Cinder's description of a volume cannot be read.") from error
