"""Joins the head of a response and the beginning of its body into one write, so into one TLS record and packet."""

from __future__ import annotations

import asyncio
from typing import Any

#: Two writes are joined when the second has at most so many bytes; copying more costs what a record less saves.
JOINED_BYTES = 64 * 1024


class JoinedWrites:
    """A transport for uvicorn, which writes the head of an answer and its body one after the other.

    The first write after :meth:`hold_next` waits for the second, for the end of the event loop's turn or for the end of
    the connection, whichever comes first. So at most one write is held, and the following ones are immediately subject
    to the transport's own limits.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._holds = False
        self._held = b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def hold_next(self) -> None:
        """An answer begins with the next write."""
        self._holds = True

    def write(self, data: bytes) -> None:
        """See asyncio."""
        held, self._held = self._held, b""
        if self._holds:
            self._holds = False
            self._send(held)
            self._held = data
            self._loop.call_soon(self._flush)
        elif len(data) <= JOINED_BYTES:
            self._send(held + data)
        else:
            self._send(held)
            self._send(data)

    def close(self) -> None:
        """See asyncio."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        held, self._held = self._held, b""
        self._send(held)

    def _send(self, data: bytes) -> None:
        if data:
            self._transport.write(data)
