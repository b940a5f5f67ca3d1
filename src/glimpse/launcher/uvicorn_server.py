"""uvicorn in a worker process: h11 only, on a socket that the parent opened."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Generator

import uvicorn

from glimpse.asgi import ASGIApp
from glimpse.launcher.options import ServeOptions
from glimpse.launcher.strict_lines import StrictH11Protocol

# h11's own limit for the request line and all headers, 16 KiB, is less than the token in one header may need.
HEADER_BYTES = 256 * 1024


class UvicornServer:
    """uvicorn's server for one event loop: `serve` until `stop`, then until the open connections are done."""

    def __init__(self, app: ASGIApp, options: ServeOptions, listener: socket.socket) -> None:
        config = uvicorn.Config(
            app,  # pyright: ignore[reportArgumentType] - the same protocol, spelled with typed dictionaries
            lifespan="off",  # driven by the launcher
            http=StrictH11Protocol,
            ws="none",
            backlog=options.backlog,
            timeout_keep_alive=max(1, round(options.idle_seconds)),
            h11_max_incomplete_event_size=HEADER_BYTES,
            log_config=None,
            access_log=options.access_log,
            server_header=False,
            # The application decides which proxies to trust; granian does not rewrite addresses either.
            proxy_headers=False,
        )
        logging.getLogger("uvicorn.error").setLevel(options.log_level)
        self._server = DrainingServer(config)
        self._listener = listener

    async def serve(self) -> None:
        await self._server.serve(sockets=[self._listener])

    def stop(self) -> None:
        self._server.should_exit = True


class DrainingServer(uvicorn.Server):
    """uvicorn's server, stopped only by the launcher."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Leave the signals alone: the parent decides when a worker stops."""
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Shut down, including connections that are just being accepted, for which uvicorn would wait."""
        ending = asyncio.create_task(super().shutdown(sockets))
        told = set(self.server_state.connections)
        while not ending.done():
            await asyncio.wait({ending}, timeout=0.1)
            for connection in self.server_state.connections - told:
                told.add(connection)
                connection.shutdown()
        await ending
