"""The source of an import that unpacks compressed data as they pass (imports-and-stores 2.16)."""

from __future__ import annotations

from collections.abc import Iterator

from glimpse.conversion.lha import LhaMember
from glimpse.errors import LimitExceeded, UnsupportedContent
from glimpse.jobs.base import Run
from glimpse.jobs.steps.import_source import ImportSource
from glimpse.stores.base import LocalFile
from glimpse.transfer.decompression import HEAD_BYTES, decompression_of


class DecompressedSource:
    """The :class:`~glimpse.jobs.steps.import_source.ImportSource` of what another one contains.

    Data that are not compressed pass as they are, and offer :class:`~glimpse.stores.base.LocalFile` if they did before.
    ``length`` is None if they are compressed.
    """

    def __init__(self, source: ImportSource, size_cap: int, run: Run, seconds: int) -> None:
        """Read the front of ``source``; ``size_cap`` is the maximum of bytes that it may contain.

        A program that unpacks it may take ``seconds`` of CPU time.

        ``run`` is asked for each part that is read, because many parts may contain nothing.

        :raises SourceFailed: it cannot be read.
        :raises UnsupportedContent: it has a format that cannot be unpacked.
        """
        self._source = source
        self._run = run
        head = b""
        while len(head) < HEAD_BYTES and (batch := source.next_batch()) is not None:
            head += batch
        self._head = head
        self._decompression = decompression_of(head, size_cap, lambda: LhaMember(seconds))
        self._pieces: Iterator[bytes] = iter(())
        #: whether the end of the compressed data was reached, and of what they contain
        self._ends = self._is_over = False
        #: whether the data are compressed
        self.unpacks = self._decompression is not None
        self.remote = source.remote
        self.length = None if self.unpacks else source.length
        if not self.unpacks and isinstance(source, LocalFile):
            self.fileno = source.fileno

    def next_batch(self) -> bytes | None:
        """Return the next bytes; None after the end.

        :raises SourceFailed: the source cannot be read.
        :raises UnsupportedContent: the data are damaged, or contain more than is allowed.
        """
        if self._decompression is None:
            return self._next_packed()
        while not self._is_over:
            if (piece := self._next_piece()) is not None:
                return piece
            batch = None if self._ends else self._next_packed()
            if batch is None:
                if self._ends:
                    self._is_over = True
                else:
                    self._ends = True
                    self._pieces = self._decompression.finish()
            else:
                self._run.check()
                self._pieces = self._decompression.feed(batch)
        return None

    def close(self) -> None:
        """Close the source, and end what unpacks it."""
        if self._decompression is not None:
            self._decompression.close()
        self._source.close()

    def _next_packed(self) -> bytes | None:
        head, self._head = self._head, b""
        return head or self._source.next_batch()

    def _next_piece(self) -> bytes | None:
        try:
            return next(self._pieces, None)
        except LimitExceeded as error:
            # other data are needed, not more room
            raise UnsupportedContent(str(error)) from error
