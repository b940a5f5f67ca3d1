"""One worker process: load the application, start it up, serve until the parent says stop, drain, shut down.

The link to the parent is a socket pair. The worker sends one message: READY, or why it does not serve. The parent
requests a stop by closing its end, or by dying; in both cases the worker reads the end of file.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

from glimpse.asgi import ASGIApp, Message, Receive, Scope, Send
from glimpse.launcher.eviction import IdleEviction
from glimpse.launcher.options import ServeOptions

# -------------------------------------- The ASGI lifespan protocol, driven by the launcher and not by the HTTP server
# The servers treat a failing startup differently (granian continues without lifespan if the app raises) and log
# different things. Here both behave in the same way: a failure stops the start, and one sentence describes it.


class LifespanFailed(Exception):
    """The application did not start up or shut down; the message is the application's reason in one line."""


class Lifespan:
    """One run of an application's lifespan: `startup`, then `shutdown`, in a separate task.

    `state` is what the application put into scope["state"] for its requests.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.state: dict[str, Any] = {}
        self._app = app
        self._events: asyncio.Queue[Message] = asyncio.Queue()
        self._answers: asyncio.Queue[Message] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    async def startup(self) -> None:
        """Return when the application is ready to serve. Raises LifespanFailed."""
        self._task = asyncio.create_task(self._run())
        await self._step(self._task, "startup")

    async def shutdown(self) -> None:
        """Return when the application has released its resources; does nothing if it never started.

        Raises LifespanFailed.
        """
        if self._task is not None and not self._task.done():
            await self._step(self._task, "shutdown")

    async def _run(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
        await self._app(scope, self._events.get, self._answers.put)

    async def _step(self, task: asyncio.Task[None], phase: str) -> None:
        self._events.put_nowait({"type": f"lifespan.{phase}"})
        answered = asyncio.create_task(self._answers.get())
        await asyncio.wait({answered, task}, return_when=asyncio.FIRST_COMPLETED)
        raised = task.exception() if task.done() else None
        if not answered.done():
            answered.cancel()
            raise LifespanFailed(one_line(raised) if raised else f"it ended without answering {phase}")
        answer = answered.result()
        if answer["type"] != f"lifespan.{phase}.complete":
            # Starlette sends a whole traceback as the message; the last line has the error.
            lines = str(answer.get("message", "")).strip().splitlines()
            raise LifespanFailed(lines[-1] if lines else one_line(raised) if raised else "no reason given")


def one_line(error: BaseException) -> str:
    """Return the type and the first line of the message of an error."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


READY = b"ready"
MESSAGE_BYTES = 2048

# A worker's own drain limit ends this much later than the parent's; it is for workers whose parent has died.
_ALARM_SECONDS = 1.0

#: Seconds that a request without a connection has to clean up when the worker stops.
CLEANUP_SECONDS = 5.0

_NO_CLIENT = ("-", 0)

_logger = logging.getLogger(__name__)


class HTTPServer(Protocol):
    """An HTTP server for the running event loop and one listening socket, which it closes."""

    async def serve(self) -> None:
        """Serve until `stop`; then stop accepting, and return when the open connections are done."""
        ...

    def stop(self) -> None:
        """Tell `serve` to end."""
        ...


ServerFactory: TypeAlias = Callable[[ASGIApp, ServeOptions, socket.socket], HTTPServer]


class StartupFailed(Exception):
    """The application cannot serve; the message is one line."""


class RunningRequests:
    """Wraps the application: adds the lifespan's state to each request, and knows the running requests.

    granian's drain waits for connections, but not for a request whose client has disconnected, which must still clean
    up. If such a client disconnects while granian stops, granian may never tell the request: it waits for ever in
    ``send`` or ``receive``, and has to be cancelled. ``busy`` counts the running requests of each client address (host
    and port); ``served`` has every address that sent a request.
    """

    def __init__(self, app: ASGIApp, state: dict[str, Any]) -> None:
        self._app = app
        self._state = state
        self._running: set[asyncio.Task[Any]] = set()
        self._cancelled = False
        self._none = asyncio.Event()
        self._none.set()
        self.busy: dict[tuple[str, int], int] = {}
        self.served: dict[tuple[str, int], None] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"] = self._state.copy()
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("the server does not run the request in a task")
        self._running.add(task)
        self._none.clear()
        client = scope.get("client") or _NO_CLIENT
        busy = self.busy
        busy[client] = busy.get(client, 0) + 1
        self.served[client] = None
        try:
            await self._app(scope, receive, send)
        except asyncio.CancelledError:
            if not self._cancelled:
                raise
            # the server would log it as an error of the application
        finally:
            if busy[client] == 1:
                del busy[client]
            else:
                busy[client] -= 1
            self._running.discard(task)
            if not self._running:
                self._none.set()

    async def finished(self) -> None:
        """Return when no request is running; those that still run after `CLEANUP_SECONDS` are cancelled.

        To be called when all connections are closed.
        """
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._none.wait(), CLEANUP_SECONDS)
            return
        _logger.warning("cancelling %d requests whose clients have disconnected", len(self._running))
        self._cancelled = True
        for task in self._running:
            task.cancel()
        await self._none.wait()


def run_worker(
    load_app: Callable[[], ASGIApp],
    make_server: ServerFactory,
    options: ServeOptions,
    listener: socket.socket,
    link: socket.socket,
) -> int:
    """Serve in this process, and return its exit status: 0 after a drain and a clean shutdown."""
    try:
        app = _load(load_app)
        asyncio.run(_serve(app, make_server, options, listener, link))
    except StartupFailed as error:
        _logger.debug("the worker cannot start", exc_info=True)
        _say(link, str(error).encode("utf-8", "replace"))
        return 1
    except Exception:
        _logger.exception("the worker did not end cleanly")
        return 1
    return 0


def _load(load_app: Callable[[], ASGIApp]) -> ASGIApp:
    try:
        return load_app()
    except Exception as error:
        raise StartupFailed(f"the application cannot be loaded: {one_line(error)}") from error


async def _serve(
    app: ASGIApp, make_server: ServerFactory, options: ServeOptions, listener: socket.socket, link: socket.socket
) -> None:
    stop = _stop_event(link, options.drain_seconds)
    lifespan = Lifespan(app)
    try:
        await lifespan.startup()
    except LifespanFailed as error:
        raise StartupFailed(f"the application cannot start: {error}") from error
    requests = RunningRequests(app, lifespan.state)
    eviction = IdleEviction(requests, listener.getsockname()[1], options.connections)
    server = make_server(requests, options, listener)
    serving = asyncio.create_task(server.serve())
    stopping = asyncio.create_task(stop.wait())
    eviction.start()
    _say(link, READY)
    await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    eviction.stop()
    server.stop()
    await serving
    await requests.finished()
    await lifespan.shutdown()


def _stop_event(link: socket.socket, drain_seconds: float) -> asyncio.Event:
    """Return the event that is set at the end of file on the link; the limit for draining runs from there."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    def parent_closed() -> None:
        loop.remove_reader(link)
        # A worker whose parent was killed must not keep the port: the alarm ends it in any case.
        signal.setitimer(signal.ITIMER_REAL, drain_seconds + _ALARM_SECONDS)
        stop.set()

    loop.add_reader(link, parent_closed)
    return stop


def _say(link: socket.socket, message: bytes) -> None:
    with contextlib.suppress(OSError):  # the parent does not listen any more; it will see the end of file
        link.send(message[:MESSAGE_BYTES])
