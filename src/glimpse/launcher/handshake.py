"""TLS contexts that send an alert with the reason when a handshake fails.

When a handshake fails, asyncio drops the alert that OpenSSL has written, so a client with an invalid certificate sees
only an end of file. These contexts send the alert.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from contextvars import ContextVar
from functools import partial
from typing import Any

#: The connection whose handshake begins; asyncio makes the TLS object in a copy of the context in which it was asked.
CONNECTION: ContextVar[asyncio.Transport | None] = ContextVar("glimpse_connection", default=None)


class TellingObject(ssl.SSLObject):
    """Runs ``on_failure`` when the handshake fails, before the error is raised."""

    on_failure: Callable[[], None] | None = None

    def do_handshake(self) -> None:
        """Perform a step of the handshake, as the base class does."""
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError:
            if self.on_failure is not None:
                self.on_failure()
            raise
        self.on_failure = None


class TellingContext(ssl.SSLContext):
    """A server's context for :data:`CONNECTION`."""

    sslobject_class = TellingObject

    def wrap_bio(self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, *args: Any, **options: Any) -> ssl.SSLObject:
        """Make the TLS object of one connection, as the base class does."""
        made = super().wrap_bio(incoming, outgoing, *args, **options)
        transport = CONNECTION.get()
        if transport is not None and isinstance(made, TellingObject):
            made.on_failure = partial(_tell, outgoing, transport)
        return made


def make_server_context() -> ssl.SSLContext:
    """An empty context for servers."""
    return TellingContext(ssl.PROTOCOL_TLS_SERVER)


def _tell(outgoing: ssl.MemoryBIO, transport: asyncio.Transport) -> None:
    with contextlib.suppress(OSError):
        transport.write(outgoing.read())
