"""Connections with limits on the total time, not only between two bytes.

Socket timeouts count from byte to byte, so a server that sends one byte now and then could block a reader forever. Here
a deadline limits the wait for the response head, and a minimum rate the wait for the body.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterable
from typing import Any

import httpcore2
from httpcore2 import NetworkBackend, NetworkStream


class TooSlow(httpcore2.ReadTimeout):
    """The server sends more slowly than required."""


class Watch:
    """The limits of one connection: first for the head, after :meth:`body` for the body.

    The rate is averaged over ``window`` seconds of waiting, so that pauses and slow starts are tolerated. ``deadline``
    (of ``time.monotonic``) is for everything up to the end of the head. Only time spent waiting for the server counts
    for ``least_rate`` (bytes per second; 0: none), because a slow client is not the server's fault.
    """

    def __init__(self, deadline: float, least_rate: float, window: float) -> None:
        self._deadline: float | None = deadline
        self._least_rate = least_rate
        self._window = window
        self._waited = 0.0
        self._bytes = 0

    def body(self) -> None:
        """Switch to the limits of the body: the head has arrived."""
        self._deadline = None

    def within(self, timeout: float | None, *, timed_out: type[Exception]) -> float | None:
        """Return the time limit of the next step, at most ``timeout`` seconds.

        :raises Exception: ``timed_out``, there is no time left.
        """
        if self._deadline is None:
            return timeout
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise timed_out("the total time limit was exceeded")
        return left if timeout is None else min(timeout, left)

    def received(self, count: int, seconds: float) -> None:
        """Record that ``count`` bytes arrived after ``seconds`` of waiting.

        :raises TooSlow: too few bytes arrived in the last window.
        """
        if self._deadline is not None or not self._least_rate:
            return
        self._bytes += count
        self._waited += seconds
        if self._waited >= self._window:
            if self._bytes < self._least_rate * self._waited:
                raise TooSlow(f"less than {self._least_rate:g} bytes per second")
            self._waited = 0.0
            self._bytes = 0


class WatchedBackend(NetworkBackend):
    """Opens connections that are limited by a :class:`Watch`."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._backend = httpcore2.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> NetworkStream:
        """See httpcore2."""
        limit = self._watch.within(timeout, timed_out=httpcore2.ConnectTimeout)
        stream = self._backend.connect_tcp(host, port, limit, local_address, socket_options)
        return _WatchedStream(stream, self._watch)


class _WatchedStream(NetworkStream):
    def __init__(self, stream: NetworkStream, watch: Watch) -> None:
        self._stream = stream
        self._watch = watch

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        limit = self._watch.within(timeout, timed_out=httpcore2.ReadTimeout)
        began = time.monotonic()
        data = self._stream.read(max_bytes, limit)
        self._watch.received(len(data), time.monotonic() - began)
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._watch.within(timeout, timed_out=httpcore2.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> NetworkStream:
        limit = self._watch.within(timeout, timed_out=httpcore2.ConnectTimeout)
        return _WatchedStream(self._stream.start_tls(ssl_context, server_hostname, limit), self._watch)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
