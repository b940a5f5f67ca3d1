"""The registry's application in this process, with a real database and without a server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from glimpse.asgi import CLIENT_KEY
from glimpse.db.base import Database
from glimpse.errors import GlimpseError
from glimpse.registry import errors, wire
from glimpse.registry.call_pool import CallPool
from glimpse.registry.methods import METHODS
from glimpse.registry.server import RegistryApplication
from glimpse.registry.tls import Client
from glimpse.registry.wire import Role
from glimpse.telemetry.metrics import Recorder

NODE = Client(name="node", role=Role.API, expires=4e9)
OPERATOR = Client(name="operator", role=Role.ADMIN, expires=4e9)
NOBODY = Client(name="no-role", role=None, expires=4e9)

VERSIONED = {wire.VERSION_HEADER: str(wire.VERSION)}


@dataclass
class Answer:
    """What came back; a status of 0 means nothing did."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def error(self) -> GlimpseError:
        """The error that it carries."""
        return errors.decode(self.status, self.body)


@dataclass
class Asgi:
    """An application and the loop that it runs in."""

    application: RegistryApplication
    calls: CallPool
    loop: asyncio.AbstractEventLoop

    def call(self, name: str, client: Client = OPERATOR, **arguments: Any) -> Any:
        """Call a method: its result, or the error that it raises."""
        answer = self.post(name, METHODS[name].encode_arguments(arguments), client=client)
        if answer.status != 200:
            raise answer.error
        return METHODS[name].decode_result(answer.body)

    def post(
        self,
        name: str,
        body: bytes = b"\x80",
        headers: Mapping[str, str] = VERSIONED,
        *,
        client: Client = NODE,
    ) -> Answer:
        """One call with this body."""
        return self.request("POST", wire.PREFIX + name, body, headers, client=client)

    def request(
        self,
        verb: str,
        path: str,
        body: bytes | Iterable[bytes] = b"",
        headers: Mapping[str, str] = VERSIONED,
        *,
        client: Client = NODE,
        cut: bool = False,
    ) -> Answer:
        """Any request; ``cut`` ends its body by a disconnect."""
        return self.loop.run_until_complete(self.asked(verb, path, body, headers, client=client, cut=cut))

    async def asked(
        self,
        verb: str,
        path: str,
        body: bytes | Iterable[bytes] = b"",
        headers: Mapping[str, str] = VERSIONED,
        *,
        client: Client = NODE,
        cut: bool = False,
        hangs: bool = False,
    ) -> Answer:
        """The same for a running loop; ``hangs`` lets the end of the body never come."""
        parts = iter([body] if isinstance(body, bytes) else body)
        answer = Answer()

        async def receive() -> dict[str, Any]:
            part = next(parts, None)
            if part is not None:
                return {"type": "http.request", "body": part, "more_body": True}
            if hangs:
                await asyncio.Event().wait()
            return {"type": "http.disconnect"} if cut else {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                answer.status = message["status"]
                answer.headers = {name.decode(): value.decode() for name, value in message["headers"]}
            else:
                answer.body += message["body"]

        scope: dict[str, Any] = {
            "type": "http",
            "method": verb,
            "path": path,
            "query_string": b"",
            "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()],
            "client": ("192.0.2.7", 50000),
            CLIENT_KEY: client,
        }
        await self.application(scope, receive, send)
        if answer.status:
            assert answer.headers[wire.VERSION_HEADER.lower()] == str(wire.VERSION)
            assert answer.headers["content-length"] == str(len(answer.body))
        return answer


@contextmanager
def registry_on(
    database: Database,
    *,
    threads: int = 4,
    queue: int = 16,
    refusal: Callable[[Client], str | None] = lambda _client: None,
    schema_problem: Callable[[], str | None] = lambda: None,
    recorder: Recorder | None = None,
    body_timeout: float = 60.0,
) -> Iterator[Asgi]:
    """The application in front of a database, which stays open."""
    calls = CallPool(database, threads=threads, queue=queue)
    application = RegistryApplication(
        calls,
        refusal=refusal,
        schema_problem=schema_problem,
        stop=lambda: None,
        recorder=recorder,
        body_timeout=body_timeout,
    )
    loop = asyncio.new_event_loop()
    try:
        yield Asgi(application, calls, loop)
    finally:
        calls.close()
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
