"""The ASGI application: the steps of every request before and after its handler (images-api 0.1).

Health, versions, identity, routing, the access line, and the start and stop of a worker. This is the hot path of each
request, so it is in one place and makes few calls.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import time
import uuid
from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import cast

import msgspec
from starlette.datastructures import Headers
from starlette.routing import Router

from glimpse.api.compression import WORTH_BYTES, compressed
from glimpse.api.error_response import FailureReply
from glimpse.api.errors import Refusal
from glimpse.api.healthcheck import HealthCheck, is_healthcheck
from glimpse.api.origin import base_url, forwarded_for, host_url, path_of
from glimpse.api.request import AppState, Reply, Request
from glimpse.api.unread_body import DRAIN_BYTES, drop
from glimpse.api.versions import negotiate, versions_document
from glimpse.asgi import Message, Receive, Scope, Send
from glimpse.auth.base import Authenticator, Credentials, Identity
from glimpse.context import CALLER, Context
from glimpse.errors import BodyTimeout, GlimpseError, Unavailable
from glimpse.telemetry.metrics import Answered, Recorder

LOG = logging.getLogger(__name__)

#: Logger of the access lines, one for each request.
ACCESS = logging.getLogger("glimpse.access")
_ACCESS_LINE = '%s "%s %s" %s in %d out %d %.1f ms'
_LONGEST_TARGET = 2048

#: Clients that join a base URL and a path send repeated slashes; they count as one.
_SLASHES = re.compile("//+")

Handler = Callable[[Request], Awaitable[Reply | None]]

KNOWN_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH"})

#: Methods that a read-only caller may use.
READING = frozenset({"GET", "HEAD"})

#: Methods that make the database larger.
GROWING = frozenset({"POST", "PUT", "PATCH"})

_WITHOUT_BODY = frozenset({204, 304})

#: Methods that never accept a request body; some paths refuse it for other methods too.
BODYLESS = frozenset({"GET", "HEAD", "DELETE"})

#: The only coding that servers decode. Data with another coding would be stored encoded.
_TRANSFER_CODINGS = frozenset({(), ("chunked",)})

_ACCEPT_VERSION = "application/vnd.openstack.images-"


class Resource:
    """One path of the API with its methods; an ASGI application that the router calls."""

    __slots__ = ("_allow", "_bodyless", "_handlers", "_is_action", "template")

    def __init__(self, template: str, handlers: Mapping[str, Handler], bodyless: frozenset[str]) -> None:
        """``template`` names the path in metrics; ``bodyless`` are methods besides :data:`BODYLESS` without a body."""
        self.template = template
        self._is_action = "/actions/" in template
        self._handlers = dict(handlers)
        self._bodyless = bodyless
        self._allow = ", ".join(sorted(handlers)).encode()

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        request = cast("Request", scope["glimpse.request"])
        method: str = scope["method"]
        scope["glimpse.template"] = self.template
        handler = self._handlers.get(method)
        if handler is None:
            raise Refusal(405, f"The method {method} is not allowed for this resource.", ((b"allow", self._allow),))
        codings = transfer_codings(request.headers)
        if codings not in _TRANSFER_CODINGS:
            raise Refusal(
                501, f"The transfer coding {', '.join(codings)} is not implemented; use chunked or no transfer coding."
            )
        if (method in BODYLESS or method in self._bodyless) and has_body(request.headers):
            raise Refusal(400, "This request must not have a body.")
        if request.context.read_only and method not in READING:
            raise Refusal(403, "This caller has read-only access.")
        if method in GROWING and request.app_state.database_directory is not None and not self._is_action:
            require_room(request.app_state.database_directory, request.app_state.settings.limits.database_reserve)
        reply = await handler(request)
        if reply is not None:
            if len(reply.body) > WORTH_BYTES and request.settings.api.compress_lists:
                reply = await compressed(reply, request.headers.get("accept-encoding", ""), request.app_state.threads)
            await send_reply(send, reply)


def transfer_codings(headers: Headers) -> tuple[str, ...]:
    """Return the transfer codings of the body in lower case; none if the request has a Content-Length."""
    if "transfer-encoding" not in headers:
        return ()
    elements = ",".join(headers.getlist("transfer-encoding")).lower().split(",")
    return tuple(coding for element in elements if (coding := element.strip()))


def has_body(headers: Mapping[str, str]) -> bool:
    """Tell whether a request has a body (images-api 0.1)."""
    if "transfer-encoding" in headers:
        return True
    length = headers.get("content-length")
    return length is not None and length.strip() not in {"", "0"}


def not_found(method: str) -> Refusal:
    """Answer a request for an unknown path (images-api 0.1, row 8)."""
    if method not in KNOWN_METHODS:
        return Refusal(501, f"The method {method} is not implemented.")
    return Refusal(404, "The resource could not be found.")


def require_room(directory: str, reserve: int) -> None:
    """Keep enough free space for an embedded database to delete images: its file system may hold the images as well.

    :raises Unavailable: less than ``reserve`` bytes are free.
    """
    found = os.statvfs(directory)
    if found.f_bavail * found.f_frsize < reserve:
        LOG.warning(
            "Less than database_reserve (%d bytes) is free in %s: requests that create, change or upload are "
            "refused until there is more space",
            reserve,
            directory,
        )
        raise Unavailable(
            "The disk of the database is nearly full. Images can be deleted, but nothing can be "
            "created, changed or uploaded."
        )


async def send_reply(send: Send, reply: Reply, *, head: bool = False) -> None:
    """Send a complete response; 204 and 304 have no length, as HTTP requires. ``head`` omits the body."""
    fields = list(reply.headers)
    if reply.status not in _WITHOUT_BODY:
        fields.append((b"content-length", str(len(reply.body)).encode()))
    await send({"type": "http.response.start", "status": reply.status, "headers": fields})
    await send({"type": "http.response.body", "body": b"" if head else reply.body})


class Observed:
    """Observe one request: status, bytes, whether its body ended; adds the request id to the response."""

    __slots__ = ("_receive", "_send", "body_ended", "bytes_in", "bytes_out", "request_id", "status")

    def __init__(self, receive: Receive, send: Send, request_id: str) -> None:
        self._receive = receive
        self._send = send
        self.request_id = request_id
        self.status: int | None = None
        self.bytes_in = 0
        self.bytes_out = 0
        self.body_ended = False

    async def receive(self) -> Message:
        """Return the next message of the request, and count its bytes."""
        message = await self._receive()
        body = message.get("body")
        if body:
            self.bytes_in += len(body)
        if not message.get("more_body"):
            self.body_ended = True
        return message

    async def send(self, message: Message) -> None:
        """Pass on a message of the response; remember the status and count bytes."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            # an answer of another node keeps the request id that it has
            if b"x-openstack-request-id" not in dict(message["headers"]):
                request_id = (b"x-openstack-request-id", self.request_id.encode())
                message["headers"] = [*message["headers"], request_id]
        else:
            self.bytes_out += len(message.get("body", b""))
        await self._send(message)


class Application:
    """One worker's ASGI application.

    ``start`` runs before the first request is accepted, ``stop`` after the last response.
    """

    def __init__(
        self,
        *,
        app_state: AppState,
        authenticator: Authenticator,
        router: Router,
        recorder: Recorder | None,
        start: Callable[[], None],
        stop: Callable[[], None],
    ) -> None:
        self._app_state = app_state
        self._authenticator = authenticator
        self._router = router
        self._recorder = recorder
        self._start = start
        self._stop = stop
        self._failure = FailureReply(authenticator.challenge)
        settings = app_state.settings
        self._longest_request_id = settings.limits.max_request_id_length
        self._health = HealthCheck(settings.api, app_state.deps.stores.health)
        self._versions = {"cache": settings.api.image_cache, "multi": settings.stores.named}
        self._trust_proxy = settings.api.enable_proxy_headers_parsing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._answer(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._live(receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        self._start()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self._stop()
        await send({"type": "lifespan.shutdown.complete"})

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        headers = Headers(raw=scope["headers"])
        offered = headers.get("x-openstack-request-id", "")
        usable = offered if self._is_usable(offered) else ""
        request_id = f"req-{usable.removeprefix('req-') or uuid.uuid4()}"
        if self._trust_proxy:
            scope["glimpse.peer"] = forwarded_for(headers)
        observed = Observed(receive, send, request_id)
        token = CALLER.set(Context(request_id=request_id))
        try:
            await self._dispatch(scope, observed, headers, len(offered))
        except (GlimpseError, Refusal) as error:
            await self._refuse(error, scope, observed, headers)
        except Exception:
            LOG.exception("Unexpected error in %s %s", scope["method"], scope["path"])
            await self._refuse(None, scope, observed, headers)
        finally:
            self._record(scope, observed, time.perf_counter() - started)
            CALLER.reset(token)
            # it refers to the scope in turn; the connection must not wait for the garbage collector
            scope.pop("glimpse.request", None)

    def _is_usable(self, offered: str) -> bool:
        """Tell whether a client's request id may be used in logs and in a response header."""
        longest = self._longest_request_id
        return offered.isascii() and offered.isprintable() and not 0 < longest < len(offered)

    async def _dispatch(self, scope: Scope, observed: Observed, headers: Headers, offered_length: int) -> None:
        path: str = scope["path"]
        if path[:1] != "/":
            path = scope["path"] = path_of(path)
        if "//" in path:
            path = scope["path"] = _SLASHES.sub("/", path)
        method: str = scope["method"]
        accept = headers.get("accept")
        if path.startswith("/healthcheck") and is_healthcheck(path) and self._health.answers(scope.get("client")):
            reply = self._health.reply(method, accept)
            await self._reply(scope, observed, headers, reply)
            return
        if method == "OPTIONS":
            await self._reply(scope, observed, headers, Reply(200))
            return
        if path.startswith("/v2/") and not (accept and accept.startswith(_ACCEPT_VERSION)):
            below = path[3:]
        else:
            route = negotiate(path, accept, **self._versions)
            if route.kind == "unknown":
                raise not_found(method)
            if route.kind != "v2":
                await self._show_versions(200 if route.kind == "versions" else 300, scope, observed, headers)
                return
            below = route.path
        context = await self._identify(scope, headers, observed.request_id, below)
        CALLER.set(context)
        if 0 < self._longest_request_id < offered_length:
            raise Refusal(431, f"The request id is longer than {self._longest_request_id} characters.")
        if below == "":
            location = f"{base_url(scope, headers, trust_proxy=self._trust_proxy)}/v2/".encode("latin-1", "replace")
            redirect = Reply(302, b"", ((b"location", location), (b"content-type", b"text/plain")))
            await self._reply(scope, observed, headers, redirect)
            return
        origin = partial(host_url, scope, headers, trust_proxy=self._trust_proxy)
        app_state = self._app_state
        deps = app_state.reading_deps if method in READING else app_state.deps
        scope["glimpse.request"] = Request(
            scope, observed.receive, observed.send, headers, app_state, deps, context, origin
        )
        scope["path"] = below
        scope["root_path"] = ""
        await self._router(scope, observed.receive, observed.send)

    async def _show_versions(self, status: int, scope: Scope, observed: Observed, headers: Headers) -> None:
        base = self._app_state.settings.api.public_endpoint or base_url(scope, headers, trust_proxy=self._trust_proxy)
        document = versions_document(**self._versions, base_url=base)
        reply = Reply(status, document, ((b"content-type", b"application/json"),))
        await self._reply(scope, observed, headers, reply)

    async def _identify(self, scope: Scope, headers: Headers, request_id: str, below: str) -> Context:
        identity = self._authenticator.constant
        if identity is None:
            identity = await self._authenticate(scope, headers, below)
        caller = Context(
            request_id=request_id,
            user_id=identity.user_id,
            project_id=identity.project_id,
            roles=identity.roles,
            service_roles=identity.service_roles,
            domain_id=identity.domain_id,
            system_scope=identity.system_scope,
            read_only=identity.read_only,
            token=identity.token,
            catalog=identity.catalog,
        )
        policy = self._app_state.deps.policy
        is_admin = policy.recall_admin(caller)
        if is_admin is None:  # the rule may call another service
            client = scope.get("client")
            threads = self._app_state.identity_threads.lane(address=client[0] if client else "-")
            is_admin = await asyncio.wrap_future(threads.submit(policy.is_admin, caller))
        return msgspec.structs.replace(caller, is_admin=True) if is_admin else caller

    async def _authenticate(self, scope: Scope, headers: Headers, below: str) -> Identity:
        # the address of the connection, not one from a proxy header: identity headers are trusted by this address
        client = scope.get("client")
        credentials = Credentials(headers, client[0] if client else None, scope["method"], f"/v2{below}")
        authenticator = self._authenticator
        identity = authenticator.recall(credentials)
        if identity is None:
            seen = authenticator.seen(credentials)
            threads = self._app_state.returning_threads if seen else self._app_state.identity_threads
            lane = threads.lane(address=credentials.peer or "-")
            identity = await asyncio.wrap_future(lane.submit(authenticator.verify, credentials))
        return identity

    async def _refuse(
        self, error: GlimpseError | Refusal | None, scope: Scope, observed: Observed, headers: Headers
    ) -> None:
        if observed.status is not None:
            # the response has started: leaving it incomplete makes the server close the connection
            if error is not None:
                LOG.warning("%s %s was aborted: %s", scope["method"], scope["path"], error)
            return
        if isinstance(error, BodyTimeout):
            observed.body_ended = True  # no more messages will arrive
        await self._reply(scope, observed, headers, self._failure.to(error, headers.get("accept")))

    async def _reply(self, scope: Scope, observed: Observed, headers: Headers, reply: Reply) -> None:
        """Answer without a handler, after dropping an unread body: see ``unread_body.py``."""
        if not observed.body_ended and "glimpse.body_taken" not in scope and has_body(headers):
            waits = observed.bytes_in == 0 and headers.get("expect", "").lower() == "100-continue"
            if not waits:
                await drop(observed.receive, DRAIN_BYTES - observed.bytes_in)
        await send_reply(observed.send, reply, head=scope["method"] == "HEAD")

    def _record(self, scope: Scope, observed: Observed, seconds: float) -> None:
        if ACCESS.isEnabledFor(logging.INFO):
            ACCESS.handle(access_record(scope, observed.status, observed.bytes_in, observed.bytes_out, seconds))
        if self._recorder is not None:
            template = scope.get("glimpse.template", "other")
            status = observed.status or 0
            self._recorder.request(
                Answered(scope["method"], template, status, seconds, observed.bytes_in, observed.bytes_out)
            )


def access_record(scope: Scope, status: int | None, bytes_in: int, bytes_out: int, seconds: float) -> logging.LogRecord:
    """Make the access line of one ASGI request, for :data:`ACCESS` to handle.

    ``status`` is None if the connection ended before a response; bytes are those of the bodies. The record is made
    here, because ``Logger.info`` takes some twenty function calls to find the calling line.
    """
    client = scope.get("client")
    peer: str = scope.get("glimpse.peer") or (client[0] if client else "-")
    query: bytes = scope["query_string"]
    path: str = (scope.get("raw_path") or scope["path"].encode()).decode("latin-1")
    target = f"{path}?{query.decode('latin-1')}" if query else path
    method: str = scope["method"]
    arguments = (peer, method, target[:_LONGEST_TARGET], status or "-", bytes_in, bytes_out, seconds * 1000)
    record = logging.LogRecord("glimpse.access", logging.INFO, __file__, 0, _ACCESS_LINE, arguments, None)
    record.__dict__.update(
        caller=CALLER.get(),
        method=method,
        path=target[:_LONGEST_TARGET],
        status=status,
        bytes_in=bytes_in,
        bytes_out=bytes_out,
        milliseconds=round(seconds * 1000, 3),
        peer=peer,
    )
    return record


@contextmanager
def counted_transfer(recorder: Recorder | None, direction: str) -> Generator[None]:
    """Count a transfer as running during the block; ``direction`` is ``upload`` or ``download``."""
    if recorder is None:
        yield
        return
    recorder.transfer_started(direction)
    try:
        yield
    finally:
        recorder.transfer_ended(direction)
