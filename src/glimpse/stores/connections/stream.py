"""Answers: whole ones, and those whose bodies are read in pieces."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http.client import HTTPException, HTTPResponse
from types import TracebackType
from typing import Self

import msgspec

from glimpse.stores.connections.connection import Connection
from glimpse.stores.connections.incoming import Incoming
from glimpse.stores.connections.limits import ConnectionFailed, failed

#: The largest body that is read as a whole, in bytes: a page of a listing, and an error.
_LARGEST = 64 << 20
_LARGEST_ERROR = 1 << 20


class Answer(msgspec.Struct, frozen=True):
    """A whole answer; names of header fields are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""


class Stream:
    """An answer whose body is read in pieces. ``with`` gives the connection back, or closes it in the middle."""

    def __init__(
        self,
        connection: Connection,
        response: HTTPResponse,
        incoming: Incoming,
        done: Callable[[Connection, bool], None],
    ) -> None:
        """``done`` is called once with the connection, and whether it can take another request."""
        self.status = response.status
        #: names are lower case; of fields with the same name, the last one
        self.headers: Mapping[str, str] = {name.lower(): value for name, value in response.getheaders()}
        #: bytes of the body; None until its end is read, if the server does not tell
        self.length = response.length
        #: whether a body that was cut off is told from a complete one
        self.is_delimited = response.chunked or response.length is not None
        self._connection: Connection | None = connection
        self._response = response
        self._incoming = incoming
        self._done = done
        self._received = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    def read(self, size: int) -> bytes:
        """Return at most ``size`` bytes of the body, as many as arrive within about a second; empty only at its end.

        :raises ConnectionFailed: the connection broke, or the data arrive too slowly.
        """
        if self._connection is None:
            raise ConnectionFailed("the connection is closed")
        if self.length is not None:
            size = min(size, self.length - self._received)
            if not size:
                return b""
        try:
            data = self._response.read1(size) if self.length is None else self._incoming.read(size)
        except (OSError, HTTPException) as error:
            raise failed(error) from error
        self._received += len(data)
        if not data:
            if self.length is not None:
                raise ConnectionFailed("it closed the connection")
            self.length = self._received
        return data

    def whole(self) -> Answer:
        """Read the body to its end.

        :raises ConnectionFailed: it breaks off, or is too long.
        """
        largest = _LARGEST if self.status < 300 else _LARGEST_ERROR
        parts: list[bytes] = []
        while part := self.read(1 << 20):
            parts.append(part)
            if self._received > largest:
                raise ConnectionFailed("its answer is too long")
        return Answer(self.status, self.headers, b"".join(parts))

    def close(self) -> None:
        """Give the connection back if the body was read to its end, else close it. Safe to call twice."""
        connection, self._connection = self._connection, None
        if connection is not None:
            at_end = self.is_delimited and self.length == self._received
            self._done(connection, at_end and not self._response.will_close and not self._incoming.has_rest())
