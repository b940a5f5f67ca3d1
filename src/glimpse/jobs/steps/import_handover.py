"""Staged data become the object of one store without a copy, where a store can do that (docs/adr/0026)."""

from __future__ import annotations

import threading

from glimpse.errors import StoreFull
from glimpse.stores.base import AdoptsFiles, Store, Writer


class Handover:
    """Opens the writers of one pass, in several threads, and offers one file to them: the first that can adopt it does.

    No other store gets it. Copies that share their blocks on a disk would share any damage to them.
    """

    def __init__(self, fd: int | None) -> None:
        """``fd`` is open until all writers have ended; None: there is no file."""
        self._fd = fd
        self._lock = threading.Lock()

    def open(self, store: Store, image_id: str, size: int | None, attempt: str) -> Writer:
        """Open a writer of ``store`` that may have adopted the file. Raises the errors of :meth:`Store.writer`."""
        try:
            writer = store.writer(image_id, size, attempt)
        except StoreFull:
            # there is no room for a copy, but perhaps none is needed
            if self._fd is None or size is None:
                raise
            writer = store.writer(image_id, None, attempt)
            if not self._adopts(writer):
                writer.abort()
                raise
            return writer
        self._adopts(writer)
        return writer

    def _adopts(self, writer: Writer) -> bool:
        if not isinstance(writer, AdoptsFiles):
            return False
        with self._lock:
            if self._fd is None:
                return False
            try:
                adopted = writer.adopt(self._fd)
            except BaseException:
                writer.abort()
                raise
            if adopted:
                self._fd = None
            return adopted
