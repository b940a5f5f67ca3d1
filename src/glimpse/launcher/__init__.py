"""Serves an ASGI application over HTTP with worker processes: the only package that uses granian and uvicorn.

The parent opens the port, forks the workers and monitors them; it never loads the application.
`tests/system/test_launcher.py` tests the behaviour of both servers on which the rest of Glimpse relies.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import replace

from glimpse.asgi import ASGIApp
from glimpse.extras import needs
from glimpse.launcher.descriptors import affordable_connections
from glimpse.launcher.heaps import limit_heaps
from glimpse.launcher.listeners import describe, open_listeners, require_address
from glimpse.launcher.options import LaunchError, ServeOptions
from glimpse.launcher.supervisor import Supervisor
from glimpse.launcher.worker import ServerFactory, run_worker

__all__ = ["LaunchError", "ServeOptions", "require_address", "require_server", "serve"]

#: The series of uvicorn that the registry's server, which uses its internals, was tested with; see pyproject.toml.
TESTED_UVICORN = "0.54"


def serve(options: ServeOptions, load_app: Callable[[], ASGIApp]) -> int:
    """Serve an application until SIGTERM or SIGINT, and return the exit status of the service.

    `load_app` is called once in each worker process, after the fork, and never in the parent. Workers share the modules
    that the parent has already imported, so replacing a worker is quick.

    The first signal closes the port and lets running requests finish, for up to `drain_seconds`; a second one aborts
    them. A worker that dies is replaced. The status is 0 if all requests finished, and 1 if some were aborted, if the
    application does not load or start (one log line says why), or if workers keep dying.

    Must be called in the main thread.

    :raises LaunchError: the port cannot be opened, or the server library is not installed.
    """
    limit_heaps()
    make_server = _import_server(options)
    listeners = open_listeners(options.host, options.port, options.workers, options.backlog, options.write_seconds)
    granted = replace(options, connections=affordable_connections(options.connections))

    def main(listener: socket.socket, link: socket.socket) -> int:
        return run_worker(load_app, make_server, granted, listener, link)

    where = describe(listeners[0].getsockname())
    count = "1 worker" if options.workers == 1 else f"{options.workers} workers"
    scheme = "http" if options.tls is None else "https"
    title = f"listening on {scheme}://{where} ({options.server}, {count})"
    try:
        return Supervisor(granted, listeners, main, title).run()
    finally:
        for listener in listeners:
            listener.close()


def require_server(options: ServeOptions) -> None:
    """Check that the server library of ``options`` is installed.

    :raises LaunchError: it is not.
    """
    _import_server(options)


def _import_server(options: ServeOptions) -> ServerFactory:
    """Import the server library, once in the parent for all workers."""
    try:
        if options.tls is not None:
            _require_tested_uvicorn()
            from glimpse.launcher.mutual_tls_server import MutualTlsServer  # noqa: PLC0415 - an extra

            return MutualTlsServer
        if options.server == "uvicorn":
            from glimpse.launcher.uvicorn_server import UvicornServer  # noqa: PLC0415 - an extra

            return UvicornServer
        from glimpse.launcher.granian_server import GranianServer  # noqa: PLC0415 - not needed for uvicorn
    except ImportError as error:
        if options.tls is not None:
            raise LaunchError(f"The registry {needs(error, 'registry')}.") from error
        if options.server == "uvicorn":
            raise LaunchError(f"[glimpse] server = uvicorn {needs(error, 'uvicorn')}.") from error
        raise LaunchError(f"The HTTP server granian cannot be imported: {error}.") from error
    return GranianServer


def _require_tested_uvicorn() -> None:
    """Let no version serve whose internals `mutual_tls_server.py` was not tested with.

    :raises LaunchError: the installed version is another one.
    """
    import uvicorn  # noqa: PLC0415 - an extra

    if not uvicorn.__version__.startswith(f"{TESTED_UVICORN}."):
        raise LaunchError(
            f"The registry runs with uvicorn {TESTED_UVICORN}, and version {uvicorn.__version__} is installed: "
            f"run `pip install 'uvicorn=={TESTED_UVICORN}.*'`."
        )
