"""What a service that speaks mutual TLS tells the launcher. Nothing here imports a server library."""

from __future__ import annotations

import ssl
from typing import Protocol

#: Where the ASGI scope of a request has what :meth:`TlsPolicy.client` returned for its connection.
CLIENT_KEY = "glimpse.client"


class TlsPolicy(Protocol):
    """Who may connect, and how. Called by the event loop of a worker: nothing here may wait."""

    def context(self) -> ssl.SSLContext:
        """The context for the handshake of one new connection; it must ask for the client's certificate.

        Of :func:`glimpse.launcher.handshake.make_server_context`, a client that is refused hears why.
        """
        ...

    def client(self, connection: ssl.SSLObject) -> object:
        """Who the other side is, asked once when the handshake succeeded; its requests carry the answer."""
        ...

    def refused(self, address: str, reason: str) -> None:
        """A connection ended before it was private; ``address`` is host:port of the other side."""
        ...
