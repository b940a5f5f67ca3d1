"""The registry's ASGI application: executes calls of the database protocol.

The launcher does the handshake and passes the client in the scope. Every refusal is a response with a typed error that
leaves the connection usable, unless the response says otherwise. A defect gets a response without details.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping

import msgspec

from glimpse.asgi import CLIENT_KEY, Message, Receive, Scope, Send
from glimpse.context import CALLER, Context
from glimpse.errors import BodyTimeout, GlimpseError, Invalid, LimitExceeded
from glimpse.registry import errors, wire
from glimpse.registry.call_pool import CallPool
from glimpse.registry.errors import NotProcessed, RoleRefused, UnknownMethod, VersionRefused
from glimpse.registry.methods import METHODS, Method
from glimpse.registry.tls import Client
from glimpse.telemetry.metrics import Answered, Recorder

# ----------------------------------------------------------------------- The access line of each call to the registry

# telemetry/log.py writes the lines of this logger with the least work, here and in the API
ACCESS = logging.getLogger("glimpse.access")

_LINE = "%s %s %s %s in %d out %d %.1f ms"


def log_call(*, client: str, peer: str, method: str, outcome: str, seconds: float, received: int, sent: int) -> None:
    """``outcome`` is ``ok``, the name of an error, ``defect``, or ``gone`` if the client disconnected before the
    response.

    ``received`` and ``sent`` are bytes of bodies.
    """
    if not ACCESS.isEnabledFor(logging.INFO):
        return
    arguments = (peer, client or "-", method, outcome, received, sent, seconds * 1000)
    record = logging.LogRecord(ACCESS.name, logging.INFO, __file__, 0, _LINE, arguments, None)
    record.__dict__.update(
        caller=CALLER.get(),
        client=client,
        peer=peer,
        method=method,
        outcome=outcome,
        bytes_in=received,
        bytes_out=sent,
        milliseconds=round(seconds * 1000, 3),
    )
    ACCESS.handle(record)


LOG = logging.getLogger(__name__)

HEALTHCHECK = "/healthcheck"
#: Bytes of a too large body that are read and dropped, so that the sender gets the response.
_DROPPED_BYTES = wire.MAX_BODY

_DEADLINE = re.compile(rb"[0-9]{1,9}")
_REQUEST_ID = re.compile(r"[!-~]{1,64}")
#: Header names in ASGI form.
_VERSION_NAME = wire.VERSION_HEADER.lower().encode()
_DEADLINE_NAME = wire.DEADLINE_HEADER.lower().encode()
_REQUEST_ID_NAME = wire.REQUEST_ID_HEADER.lower().encode()
_VERSION_FIELD = (_VERSION_NAME, str(wire.VERSION).encode())


class ConnectAgain(NotProcessed):
    """The handshake of this connection is outdated; the client must make a new connection."""


class ClientGone(Exception):
    """The connection ended before the call was complete."""


class Answer(msgspec.Struct):
    """A response, and its outcome for the log; ``last`` closes the connection."""

    status: int
    body: bytes
    outcome: str = "ok"
    content_type: str = wire.CONTENT_TYPE
    last: bool = False


class Call(msgspec.Struct):
    """One request: its client, its content, its start (``time.monotonic``), and its outcome for the log."""

    client: Client
    verb: str
    path: str
    headers: Mapping[bytes, bytes]
    peer: str
    began: float
    received: int = 0

    @property
    def name(self) -> str:
        """The method's name for logs and metrics: one of a fixed set."""
        name = self.path.removeprefix(wire.PREFIX).lstrip("/")
        return name if name in METHODS or self.path in {wire.SERVER_INFO, HEALTHCHECK} else "other"


class RegistryApplication:
    """Serves server information, the health check, and calls.

    ``refusal`` returns why a client may not continue although its handshake succeeded, or None. ``schema_problem``,
    called in a thread, returns why the database cannot be used, or None. ``stop`` runs after the last request.
    ``body_timeout`` is in seconds without a byte.
    """

    def __init__(
        self,
        calls: CallPool,
        *,
        refusal: Callable[[Client], str | None],
        schema_problem: Callable[[], str | None],
        stop: Callable[[], None],
        recorder: Recorder | None = None,
        body_timeout: float = 60.0,
    ) -> None:
        self._calls = calls
        self._refusal = refusal
        self._schema_problem = schema_problem
        self._stop = stop
        self._recorder = recorder
        self._body_timeout = body_timeout

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._serve(scope, receive, send)
        elif scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            self._calls.close()
            self._stop()
            await send({"type": "lifespan.shutdown.complete"})

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        call = _call_of(scope)
        context = Context(request_id=_request_id(call.headers), user_id=call.client.name or None)
        token = CALLER.set(context)
        try:
            answer = await self._answer(call, receive)
            if answer is not None:
                await _send(send, answer)
            self._record(call, answer)
        finally:
            CALLER.reset(token)

    async def _answer(self, call: Call, receive: Receive) -> Answer | None:
        """Return the response; None if the client has disconnected."""
        try:
            return await self._result(call, receive)
        except ClientGone:
            return None
        except GlimpseError as error:
            status, body = errors.encode(error)
            last = isinstance(error, BodyTimeout | ConnectAgain)
            return Answer(status, body, type(error).__name__, last=last)
        except Exception:
            LOG.exception("Unexpected error in %s", call.name)
            return Answer(*errors.encode_defect(), "defect")

    async def _result(self, call: Call, receive: Receive) -> Answer:
        try:
            handle = self._admit(call)
        except GlimpseError:
            await self._body(call, receive, keep=False)
            raise
        return await handle(call, receive)

    def _admit(self, call: Call) -> Callable[[Call, Receive], Awaitable[Answer]]:
        """Return the handler of this call if its client may make it; decided before its body is read."""
        reason = self._refusal(call.client)
        if reason is not None:
            raise ConnectAgain(reason)
        if call.path == HEALTHCHECK and call.verb in {"GET", "HEAD"}:
            return self._healthcheck
        if call.client.role is None:
            raise RoleRefused("This node's certificate has no role in the registry.")
        if call.path.startswith(wire.FORMER_PREFIX):
            raise VersionRefused(wire.version_refusal(_version(call.headers), wire.VERSION))
        if call.path == wire.SERVER_INFO and call.verb == "GET":
            return self._server_info
        method = METHODS.get(call.path.removeprefix(wire.PREFIX)) if call.path.startswith(wire.PREFIX) else None
        if method is None or call.verb != "POST":
            raise UnknownMethod("The registry does not have the method that this node calls: their versions differ.")
        _check_version(call.headers)
        if not call.client.role.may_act_as(method.role):
            raise RoleRefused(f"The role {call.client.role} may not call {method.name} in the registry.")
        deadline = _deadline(call)
        return lambda _call, receive: self._run(call, receive, method, deadline)

    async def _run(self, call: Call, receive: Receive, method: Method, deadline: float | None) -> Answer:
        body = await self._body(call, receive)
        return Answer(200, await self._calls.run(method, body, deadline))

    async def _server_info(self, call: Call, receive: Receive) -> Answer:
        await self._body(call, receive, keep=False)
        problem = await self._calls.do(self._schema_problem)
        role = call.client.role or wire.Role.API
        info = wire.ServerInfo(version=str(wire.VERSION), role=role, ready=problem is None, state=problem or "")
        return Answer(200, msgspec.msgpack.encode(info))

    async def _healthcheck(self, call: Call, receive: Receive) -> Answer:
        await self._body(call, receive, keep=False)
        return Answer(200, b"OK" if call.verb == "GET" else b"", content_type="text/plain")

    async def _body(self, call: Call, receive: Receive, *, keep: bool = True) -> bytes:
        """Read the whole body of a request.

        :raises LimitExceeded: it is too large.
        :raises BodyTimeout: no data arrived for too long.
        :raises ClientGone: the connection ended before the body.
        """
        parts: list[bytes] = []
        more = True
        while more and call.received <= wire.MAX_BODY + _DROPPED_BYTES:
            message = await self._next(receive)
            if message["type"] == "http.disconnect":
                raise ClientGone
            more = message.get("more_body", False)
            call.received += len(message.get("body", b""))
            if keep and call.received <= wire.MAX_BODY:
                parts.append(message.get("body", b""))
            else:
                parts.clear()
        if call.received > wire.MAX_BODY:
            raise LimitExceeded(f"A call to the registry is larger than the limit of {wire.MAX_BODY} bytes.")
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def _next(self, receive: Receive) -> Message:
        try:
            async with asyncio.timeout(self._body_timeout):
                return await receive()
        except TimeoutError:
            raise BodyTimeout(f"No data of the call arrived for {self._body_timeout:g} seconds.") from None

    def _record(self, call: Call, answer: Answer | None) -> None:
        seconds = time.monotonic() - call.began
        status, outcome, sent = (0, "gone", 0) if answer is None else (answer.status, answer.outcome, len(answer.body))
        log_call(
            client=call.client.name, peer=call.peer, method=call.name, outcome=outcome, seconds=seconds,
            received=call.received, sent=sent,
        )  # fmt: skip
        if self._recorder is not None:
            route = HEALTHCHECK if call.path == HEALTHCHECK else wire.PREFIX + call.name
            self._recorder.request(Answered(call.verb, route, status, seconds, call.received, sent))


def _call_of(scope: Scope) -> Call:
    peer = scope.get("client")
    return Call(
        client=scope[CLIENT_KEY],
        verb=scope["method"],
        path=scope["path"],
        headers=dict(scope["headers"]),
        peer=peer[0] if peer else "-",
        began=time.monotonic(),
    )


def _request_id(headers: Mapping[bytes, bytes]) -> str:
    """Return the id of the API request behind this call if it is usable, else a new one."""
    offered = headers.get(_REQUEST_ID_NAME, b"").decode("latin-1")
    return offered if _REQUEST_ID.fullmatch(offered) else f"req-{uuid.uuid4()}"


def _version(headers: Mapping[bytes, bytes]) -> wire.Version | None:
    text = headers.get(_VERSION_NAME)
    return wire.parse_version(None if text is None else text.decode("latin-1"))


def _check_version(headers: Mapping[bytes, bytes]) -> None:
    client = _version(headers)
    if client is None or not wire.VERSION.understands(client):
        raise VersionRefused(wire.version_refusal(client, wire.VERSION))


def _deadline(call: Call) -> float | None:
    text = call.headers.get(_DEADLINE_NAME)
    if text is None:
        return None
    if not _DEADLINE.fullmatch(text):
        raise Invalid(f"The header {wire.DEADLINE_HEADER} must be a number of milliseconds.")
    return call.began + int(text) / 1000


async def _send(send: Send, answer: Answer) -> None:
    fields = [
        _VERSION_FIELD,
        (b"content-type", answer.content_type.encode()),
        (b"content-length", str(len(answer.body)).encode()),
    ]
    if answer.last:
        fields.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": answer.status, "headers": fields})
    await send({"type": "http.response.body", "body": answer.body})
