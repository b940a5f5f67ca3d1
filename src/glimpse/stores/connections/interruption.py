"""Ending requests of other threads at once."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from threading import Lock

from glimpse.stores.connections.connection import Connection
from glimpse.stores.connections.limits import ConnectionFailed


class Interruption:
    """Requests that can be interrupted together. Thread-safe."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._connections: set[Connection] = set()
        self._interrupted = False

    @property
    def interrupted(self) -> bool:
        return self._interrupted

    def interrupt(self) -> None:
        """Let the requests whose bodies are being sent fail now, and all further ones.

        A request that was sent completely is left to be answered: the server may have carried it out.
        """
        with self._lock:
            self._interrupted = True
            for connection in self._connections:
                connection.interrupt_sending()

    @contextmanager
    def of(self, connection: Connection) -> Generator[None]:
        """Use a connection for a request that can be interrupted.

        :raises ConnectionFailed: the requests were interrupted already.
        """
        with self._lock:
            if self._interrupted:
                raise ConnectionFailed("the request was interrupted")
            self._connections.add(connection)
        try:
            yield
        finally:
            with self._lock:
                self._connections.discard(connection)
