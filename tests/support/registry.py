"""A registry in this process: a real server with mutual TLS on a thread of its own, and clients of it.

With ``GLIMPSE_TEST_THROUGH_REGISTRY=1`` suites that otherwise have a database of their own have it behind one.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import shutil
import socket
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from glimpse.db.base import Database
from glimpse.db.sql.factory import open_database
from glimpse.launcher.handshake import make_server_context
from glimpse.launcher.mutual_tls_server import MutualTlsServer
from glimpse.launcher.options import ServeOptions
from glimpse.registry.call_pool import CallPool
from glimpse.registry.certs import make_certificates
from glimpse.registry.client import RegistryDatabase
from glimpse.registry.server import RegistryApplication
from glimpse.registry.tls import ServerTls, TlsFiles
from glimpse.registry.wire import PREFIX, SERVER_INFO, VERSION_HEADER, Role
from glimpse.settings.database_url import Address
from glimpse.settings.model import RegistryOptions, Secret, Settings

HOST = "127.0.0.1"
#: Names of the client certificates, and their roles.
CLIENTS: Mapping[str, Role] = {"node": Role.API, "operator": Role.ADMIN}


def asked_for() -> bool:
    """Whether suites are to have their databases behind a registry."""
    return os.environ.get("GLIMPSE_TEST_THROUGH_REGISTRY") == "1"


@contextmanager
def through_registry(settings: Settings) -> Iterator[tuple[Settings, Registry]]:
    """Settings of an API node whose database is that of ``settings``, behind a registry that runs meanwhile."""
    database = open_database(settings.database)
    registry = Registry(_own_certificates())
    try:
        with registry.in_front_of(database):
            reached = msgspec.structs.replace(settings.database, connection=Secret(registry.url))
            options = client_options(registry.directory, "node")
            yield msgspec.structs.replace(settings, database=reached, registry=options), registry
    finally:
        registry.close()
        database.close()


@cache
def _own_certificates() -> Path:
    """Those of this process."""
    directory = Path(tempfile.mkdtemp(prefix="glimpse-registry-"))
    atexit.register(shutil.rmtree, directory)
    return certificates(directory / "certificates")


def certificates(directory: Path) -> Path:
    """A CA, a server certificate and those of :data:`CLIENTS` in a new ``directory``, which is returned."""
    make_certificates(directory, clients=CLIENTS)
    return directory


def client_options(directory: Path, name: str = "operator", **fields: Any) -> RegistryOptions:
    """Options of a client with the certificate of that name."""
    files = {
        "ca_file": directory / "ca.crt",
        "cert_file": directory / f"{name}.crt",
        "key_file": directory / f"{name}.key",
    }
    return RegistryOptions(**{**files, "timeout": 60.0, "connect_timeout": 20.0, **fields})


class Request(NamedTuple):
    """What a server was asked for; names of headers are lower case."""

    path: str
    headers: dict[str, str]


class Registry:
    """One server; the database behind it is changed by :meth:`in_front_of`, because starting TLS takes its time."""

    def __init__(self, directory: Path, *, port: int = 0, version: str | None = None) -> None:
        """``directory`` is one of :func:`certificates`; ``version`` is said instead of the real one."""
        self.directory = directory
        #: the requests that came
        self.requests: list[Request] = []
        files = TlsFiles(
            certificate=directory / "server.crt", key=directory / "server.key", client_authorities=directory / "ca.crt"
        )
        self._tls = ServerTls(files, {}, make_context=make_server_context)
        self._version = version
        self._application: RegistryApplication | None = None
        # asyncio lets small answers go at once only where the socket says that it is TCP
        self._listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind((HOST, port))
        self.address = Address(*self._listener.getsockname()[:2])
        self._server: MutualTlsServer | None = None
        self._serving = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="registry")
        self._thread.start()
        assert self._serving.wait(30)

    @property
    def url(self) -> str:
        """As ``[database] connection`` has it."""
        return f"registry+https://{self.address}"

    @contextmanager
    def in_front_of(
        self, database: Database, *, problem: str | None = None, threads: int = 16, queue: int = 256
    ) -> Iterator[None]:
        """Serve ``database`` inside; ``problem`` is what the server says of its schema."""
        calls = CallPool(database, threads=threads, queue=queue)
        before = self._application
        self._application = RegistryApplication(
            calls, refusal=self._tls.refusal, schema_problem=lambda: problem, stop=_nothing
        )
        try:
            yield
        finally:
            self._application = before
            calls.close()

    def client(self, name: str = "operator", **fields: Any) -> RegistryDatabase:
        """A client with the certificate of that name."""
        return RegistryDatabase((self.address,), client_options(self.directory, name, **fields))

    @property
    def calls(self) -> list[str]:
        """Names of the methods that were called."""
        return [request.path.removeprefix(PREFIX) for request in self.requests if request.path != SERVER_INFO]

    def abort(self) -> None:
        """Break all connections, as a server does that is killed."""
        assert self._loop is not None
        asyncio.run_coroutine_threadsafe(self._abort(), self._loop).result(30)

    async def _abort(self) -> None:
        assert self._server is not None
        connections = self._server._server.server_state.connections
        while connections:
            for connection in list(connections):
                connection.transport.abort()
            await asyncio.sleep(0)

    def close(self) -> None:
        """Stop serving; once is enough."""
        if not self._thread.is_alive():
            return
        # idle clients take seconds to be told
        self.abort()
        assert self._loop is not None
        assert self._server is not None
        self._loop.call_soon_threadsafe(self._server.stop)
        self._thread.join(30)
        self._listener.close()

    async def _saying(self, send: Any, message: Any) -> None:
        """Send a message with another version of the protocol in its header."""
        name = VERSION_HEADER.lower().encode()
        if message["type"] == "http.response.start":
            kept = [field for field in message["headers"] if field[0] != name]
            message = {**message, "headers": [*kept, (name, str(self._version).encode())]}
        await send(message)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()

        async def answer(scope: Any, receive: Any, send: Any) -> None:
            assert self._application is not None, "there is no database behind the registry"
            headers = {name.decode(): value.decode() for name, value in scope["headers"]}
            self.requests.append(Request(scope["path"], headers))
            await self._application(scope, receive, send if self._version is None else partial(self._saying, send))

        self._server = MutualTlsServer(answer, ServeOptions(tls=self._tls), self._listener)
        self._loop.call_soon(self._serving.set)
        await self._server.serve()


def _nothing() -> None:
    """What ends with the server in production ends with the test here."""
