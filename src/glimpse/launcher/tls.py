"""What a service that speaks mutual TLS tells the launcher. Nothing here imports a server library."""

from __future__ import annotations

import ssl
from typing import Protocol

#: Key in the ASGI scope for the result of :meth:`TlsPolicy.client`.
CLIENT_KEY = "glimpse.client"


class TlsPolicy(Protocol):
    """Who may connect, and how. Called in a worker's event loop, so its methods must not wait."""

    def context(self) -> ssl.SSLContext:
        """Return the context for the handshake of a new connection; it must request the client's certificate.

        Of :func:`glimpse.launcher.handshake.make_server_context`, a client that is refused hears why.
        """
        ...

    def client(self, connection: ssl.SSLObject) -> object:
        """Return the identity of the client, once after a successful handshake; it is stored in the scope of its
        requests.
        """
        ...

    def refused(self, address: str, reason: str) -> None:
        """Record a connection that ended before the handshake succeeded; ``address`` is host:port of the client."""
        ...
