"""What imports read from: the protocol, and the sources that are readers, such as staged data."""

from __future__ import annotations

from typing import Protocol

from glimpse.domain.remote_image import RemoteImage
from glimpse.errors import GlimpseError
from glimpse.stores.base import LocalFile, Reader
from glimpse.transfer.pump import BATCH_BYTES


class SourceFailed(Exception):
    """The data could not be read to their end. ``str(error)`` is the reason for the user.

    ``is_final``: trying again will not help. ``is_gone``: there are no data.
    """

    def __init__(self, reason: str, *, is_final: bool = False, is_gone: bool = False) -> None:
        super().__init__(reason)
        self.is_final = is_final
        self.is_gone = is_gone


class ImportSource(Protocol):
    """A :class:`~glimpse.transfer.source.ByteSource` whose only errors are :class:`SourceFailed`, and those of the
    run. ``length`` is in bytes, None while it is unknown.
    """

    @property
    def length(self) -> int | None: ...

    @property
    def remote(self) -> RemoteImage | None:
        """The image of another service whose data these are: the imported image gets its formats and properties."""
        ...

    def next_batch(self) -> bytes | None: ...

    def close(self) -> None: ...


class ReaderSource:
    """The :class:`ImportSource` of a reader."""

    remote = None

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self.length = reader.length

    def next_batch(self) -> bytes | None:
        """Return the next bytes; None after the end."""
        try:
            return self._reader.read(BATCH_BYTES) or None
        except GlimpseError as error:
            raise SourceFailed(str(error)) from error

    def close(self) -> None:
        """Close the reader."""
        self._reader.close()


class StagedSource(ReaderSource):
    """The :class:`ImportSource` of staged data; those in a local file offer :class:`~glimpse.stores.base.LocalFile`."""

    def __init__(self, reader: Reader) -> None:
        super().__init__(reader)
        if isinstance(reader, LocalFile):
            self.fileno = reader.fileno
