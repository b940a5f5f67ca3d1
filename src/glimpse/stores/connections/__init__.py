"""The HTTP/1.1 client of the store drivers: connections that stay open, limits for every wait, few copies of data.

It follows no redirects, keeps no cookies and repeats nothing that a server has answered; drivers sign requests, hold
tokens and decide what to repeat (ADR 0023).
"""

from glimpse.stores.connections.interruption import Interruption
from glimpse.stores.connections.limits import ConnectionFailed, Limits
from glimpse.stores.connections.pool import Connections
from glimpse.stores.connections.stream import Answer, Stream

__all__ = ["Answer", "ConnectionFailed", "Connections", "Interruption", "Limits", "Stream"]
