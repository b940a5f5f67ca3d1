"""How long to wait for a server, and why a request got no answer."""

from __future__ import annotations

import http.client
import socket
import ssl

import msgspec


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Time limits in seconds: to connect, for a server that takes or sends no data, and for the head of an answer.

    ``least_rate``: bytes a second that a body must bring on average of ``rate_window`` seconds of waiting for it.
    """

    connect: float = 10.0
    silence: float = 20.0
    answer: float = 20.0
    least_rate: float = 4096.0
    rate_window: float = 60.0


class ConnectionFailed(Exception):
    """The server did not answer, or not completely; the message is a short reason without addresses.

    ``timed_out``: the server took longer than a limit.
    """

    def __init__(self, reason: str, *, timed_out: bool = False) -> None:
        super().__init__(reason)
        self.timed_out = timed_out


def failed(error: Exception) -> ConnectionFailed:
    """Return the error of a request that ended with ``error``, an OSError, ValueError or HTTPException."""
    match error:
        case TimeoutError():
            return ConnectionFailed("it did not answer in time", timed_out=True)
        case ssl.SSLCertVerificationError():
            return ConnectionFailed(f"its certificate cannot be verified: {error.verify_message}")
        case ConnectionRefusedError():
            return ConnectionFailed("it refuses connections")
        case socket.gaierror() | UnicodeError():
            return ConnectionFailed("its host name cannot be resolved")
        case http.client.HTTPException() if not isinstance(error, http.client.RemoteDisconnected | _Incomplete):
            return ConnectionFailed("it sends no valid answer")
        case _:
            return ConnectionFailed("it closed the connection")


_Incomplete = http.client.IncompleteRead
