"""granian in a worker process: ASGI and HTTP/1.1 only, on a socket that the parent opened."""

from __future__ import annotations

import logging
import socket
from typing import Any

from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.net import SocketHolder  # pyright: ignore[reportPrivateImportUsage] - it has no public name
from granian.server.embed import Server

from glimpse.asgi import ASGIApp
from glimpse.launcher.direct_responses import DirectResponses
from glimpse.launcher.options import ServeOptions

# The read buffer of a connection: the largest part that receive() returns, and the limit of the header block. Parts of
# 1 MiB halve the number of receive() calls of an upload against granian's own 408 KiB; larger ones gain nothing more.
BUFFER_BYTES = 1 << 20

# An incremental change that names no handler. Without it granian gives its loggers handlers of its own, which write to
# standard output in a format of their own.
_LOGGING_UNTOUCHED: dict[str, Any] = {"incremental": True, "formatters": {}, "handlers": {}, "loggers": {}}

_ACCESS_FORMAT = '%(addr)s "%(method)s %(path)s %(protocol)s" %(status)d %(dt_ms).1f ms'


class GranianServer(Server):
    """granian's server for one event loop: `serve` until `stop`, then until the open connections are done."""

    def __init__(self, app: ASGIApp, options: ServeOptions, listener: socket.socket) -> None:
        super().__init__(
            DirectResponses(app, listener.getsockname()[1]),
            interface=Interfaces.ASGINL,  # "NL": no lifespan, because the launcher drives it
            http=HTTPModes.http1,
            websockets=False,
            backlog=options.backlog,
            backpressure=options.connections,
            http1_settings=HTTP1Settings(
                # Also the time after which an idle connection is closed.
                header_read_timeout=max(1, round(options.idle_seconds * 1000)),
                max_buffer_size=BUFFER_BYTES,
            ),
            # Only until serve() has warned that the embedded server is experimental.
            log_level=LogLevels.error,
            log_dictconfig=_LOGGING_UNTOUCHED,
            log_access=options.access_log,
            log_access_format=_ACCESS_FORMAT,
        )
        self._options = options
        self._listener = listener

    def _init_shared_socket(self) -> None:
        # granian would open a socket of its own here. The parent's outlives this process: connections that wait in its
        # queue when the worker is killed are served by the next one. granian closes it as soon as it stops accepting.
        holder: Any = SocketHolder
        self._shd = holder(fd=self._listener.detach(), uds=False, backlog=self._options.backlog)
        logging.getLogger("_granian").setLevel(self._options.log_level)
