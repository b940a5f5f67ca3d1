"""Records of the attachments of this host in files, so that those of a dead process are found (store-formats 9.3).

Cinder does not tell an ordinary user which host an attachment belongs to. A record is an empty file with the ids of the
volume and the attachment as its name. It exists from the moment when the attachment was reserved until it was deleted.
"""

from __future__ import annotations

import socket
from pathlib import Path

from glimpse.errors import AccessDenied


class Records:
    """The records of one store on this host. All of its workers see the same ones."""

    def __init__(self, store_id: str, base: str, name: str) -> None:
        """``name`` distinguishes stores with different settings below the directory ``base``."""
        self._store_id = store_id
        self._directory = Path(base) / "attachments" / socket.gethostname() / name

    @property
    def directory(self) -> Path:
        """Where the files are."""
        return self._directory

    def prepare(self) -> None:
        """Make the directory.

        :raises AccessDenied: it cannot be made.
        """
        try:
            self._directory.mkdir(mode=0o750, parents=True, exist_ok=True)
        except OSError as error:
            raise self._error(error) from error

    def add(self, volume_id: str, attachment_id: str) -> None:
        """:raises AccessDenied: the file cannot be written."""
        try:
            self._path(volume_id, attachment_id).touch()
        except OSError as error:
            raise self._error(error) from error

    def remove(self, volume_id: str, attachment_id: str) -> None:
        """:raises AccessDenied: the file cannot be removed."""
        try:
            self._path(volume_id, attachment_id).unlink(missing_ok=True)
        except OSError as error:
            raise self._error(error) from error

    def of(self, volume_id: str) -> list[str]:
        """Return the recorded attachments of a volume."""
        return [path.name.partition(".")[2] for path in self._directory.glob(f"{volume_id}.*")]

    def _path(self, volume_id: str, attachment_id: str) -> Path:
        return self._directory / f"{volume_id}.{attachment_id}"

    def _error(self, error: OSError) -> AccessDenied:
        return AccessDenied(
            f"Store {self._store_id} cannot use the directory cinder_mount_point_base: {error.strerror}."
        )
