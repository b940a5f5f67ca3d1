"""CORS: headers for cross-origin requests of browsers, on error responses too (images-api 5.6).

Wraps the application only if an origin is configured.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import msgspec

from glimpse.api.request import RawHeaders
from glimpse.asgi import ASGIApp, Message, Receive, Scope, Send
from glimpse.settings.model import Cors

_ANY = b"*"

#: Headers that every page may send.
_SIMPLE = frozenset({
    b"accept", b"accept-language", b"content-type", b"cache-control", b"content-language", b"expires",
    b"last-modified", b"pragma",
})  # fmt: skip


class Rules(msgspec.Struct, frozen=True):
    """Headers for one origin: ``answer`` for every response, ``max_age`` for preflight responses."""

    answer: RawHeaders
    max_age: RawHeaders
    methods: frozenset[bytes]
    headers: frozenset[bytes]

    def preflight(self, method: bytes, wanted: bytes | None) -> RawHeaders:
        """Return the headers that allow ``method`` with the ``wanted`` headers; none if any is not allowed."""
        names = [name.strip() for name in (wanted or b"").split(b",") if name.strip()]
        if method not in self.methods or not all(name.lower() in self.headers for name in names):
            return ()
        allowed = [(b"access-control-allow-methods", method)]
        if names:
            allowed.append((b"access-control-allow-headers", b",".join(names)))
        return (*self.answer, *self.max_age, *allowed)


class CorsAnswers:
    """ASGI middleware that adds CORS headers and answers preflight requests."""

    def __init__(self, application: ASGIApp, groups: Iterable[Cors]) -> None:
        """``groups`` are in order; the last one that lists an origin applies to it."""
        self._application = application
        self._rules = {origin: _rules(origin, group) for group in groups for origin in _origins(group)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            fields = self._fields(scope)
            if fields:
                send = partial(_send_with, send, fields)
        await self._application(scope, receive, send)

    def _fields(self, scope: Scope) -> RawHeaders:
        sent: dict[bytes, bytes] = dict(scope["headers"])
        origin = sent.get(b"origin")
        if origin is None:
            return ()
        rules = self._rules.get(origin) or self._rules.get(_ANY)
        if rules is None:
            return ()
        if scope["method"] != "OPTIONS":
            return rules.answer
        method = sent.get(b"access-control-request-method")
        return () if method is None else rules.preflight(method, sent.get(b"access-control-request-headers"))


async def _send_with(send: Send, fields: RawHeaders, message: Message) -> None:
    if message["type"] == "http.response.start":
        message["headers"] = merged(message["headers"], fields)
    await send(message)


def merged(headers: Iterable[tuple[bytes, bytes]], added: RawHeaders) -> list[tuple[bytes, bytes]]:
    """Return ``headers`` and ``added``, with their ``Vary`` values merged."""
    vary = [value for name, value in headers if name == b"vary"]
    if not vary:
        return [*headers, *added]
    vary += [value for name, value in added if name == b"vary"]
    others = [field for field in (*headers, *added) if field[0] != b"vary"]
    return [*others, (b"vary", b", ".join(vary))]


def _origins(group: Cors) -> list[bytes]:
    return [origin.rstrip("/").encode() for origin in group.allowed_origin]


def _rules(origin: bytes, group: Cors) -> Rules:
    """``*`` is answered as ``*``, never as the origin: else any page could use the browser's credentials."""
    answer = [(b"access-control-allow-origin", origin), (b"vary", b"Origin")]
    if group.allow_credentials:
        answer.append((b"access-control-allow-credentials", b"true"))
    if group.expose_headers:
        answer.append((b"access-control-expose-headers", ",".join(group.expose_headers).encode()))
    max_age = ((b"access-control-max-age", str(group.max_age).encode()),) if group.max_age else ()
    headers = _SIMPLE | {name.lower().encode() for name in group.allow_headers}
    return Rules(tuple(answer), max_age, frozenset(name.encode() for name in group.allow_methods), headers)
