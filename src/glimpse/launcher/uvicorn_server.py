"""uvicorn in a worker process: h11 only, on a socket that the parent opened."""

from __future__ import annotations

import asyncio
import contextlib
import http
import logging
import re
import socket
import sys
from collections.abc import Generator
from typing import Any

import h11
import uvicorn
from h11 import RemoteProtocolError
from h11._receivebuffer import ReceiveBuffer  # pyright: ignore[reportPrivateImportUsage] - it has no public name
from uvicorn.protocols.http.h11_impl import H11Protocol

from glimpse.asgi import ASGIApp
from glimpse.launcher.options import ServeOptions

# ------------------------ uvicorn's protocol on h11, with the status that h11 names for a request that it cannot read


class StatusH11Protocol(H11Protocol):
    """Answers 501 to an unknown transfer coding (RFC 9112, section 6.1) and 431 to too many header bytes, not 400."""

    def send_400_response(self, msg: str) -> None:
        """Refuse the request that :meth:`handle_events` is just failing to read, and close the connection."""
        error = sys.exc_info()[1]
        status = error.error_status_hint if isinstance(error, h11.RemoteProtocolError) else 400
        headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
        reason = http.HTTPStatus(status).phrase.encode()
        for event in (
            h11.Response(status_code=status, headers=headers, reason=reason),
            h11.Data(data=msg.encode("ascii")),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()


# -------------------- uvicorn's h11 protocol with strict line ends: in a head or a trailer every line ends with CR LF
# h11 accepts a bare LF as the end of a line (RFC 9112, section 2.2 allows it). A proxy that treats it as part of a
# value reads other header fields than the server behind it, which allows request smuggling.

_BARE_LF = re.compile(rb"(?<!\r)\n")


class StrictReceiveBuffer(ReceiveBuffer):
    """Refuses blocks of lines with a bare LF."""

    def maybe_extract_lines(self) -> list[bytearray] | None:
        """See h11; called for heads and trailers.

        :raises RemoteProtocolError: a line ends with a bare LF; uvicorn answers with 400.
        """
        before = bytes(self)
        lines = super().maybe_extract_lines()
        if lines is not None and _BARE_LF.search(before[: len(before) - len(self)]):
            raise RemoteProtocolError("a line ends with a bare LF")
        return lines


class StrictH11Protocol(StatusH11Protocol):
    """One connection of uvicorn."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.conn._receive_buffer = StrictReceiveBuffer()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]


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
