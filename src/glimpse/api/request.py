"""The request and response objects of handlers."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from contextlib import AbstractContextManager
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import msgspec
from starlette.datastructures import Headers

from glimpse.api.errors import Refusal
from glimpse.api.v2.views import ImageView
from glimpse.asgi import Receive, Scope, Send
from glimpse.context import Context
from glimpse.errors import BodyIncomplete, BodyTimeout
from glimpse.jobs.access_lists import set_readers
from glimpse.services.deps import Deps
from glimpse.settings.model import Settings
from glimpse.transfer.concurrency import Concurrency
from glimpse.transfer.fair_threads import FairThreads
from glimpse.transfer.part_sizes import PartMemory
from glimpse.transfer.turn_budget import TurnBudget

# ----------------------------------------------------- Documents that handlers serve unchanged, encoded once at start


@dataclass(frozen=True, slots=True)
class Documents:
    """``schemas`` are encoded documents by name; ``openapi`` gives the encoded document of the whole API."""

    schemas: Mapping[str, bytes]
    image_view: ImageView
    openapi: Callable[[], bytes]


RawHeaders = tuple[tuple[bytes, bytes], ...]
T = TypeVar("T")

#: Bodies up to this many bytes are decoded and validated on the event loop, which takes at most a millisecond or two;
#: longer ones in a thread, so that other requests are not delayed.
LOOP_BYTES = 64 << 10

JSON = (b"content-type", b"application/json")


class Reply(msgspec.Struct, frozen=True):
    """A complete response. Its length is added when it is sent."""

    status: int
    body: bytes = b""
    headers: RawHeaders = ()


#: Success without a body.
NO_CONTENT = Reply(204)


def json_reply(body: bytes, status: int = 200, *headers: tuple[bytes, bytes]) -> Reply:
    """Build a response with an encoded JSON body."""
    return Reply(status, body, (JSON, *headers))


@dataclass(frozen=True, slots=True)
class AppState:
    """State shared by all handlers.

    ``reading_deps`` serve requests that only read. ``identity_threads`` verify who asks, of which no address takes more
    than its share; ``returning_threads`` do so for credentials that were right before. ``threads`` run metadata use
    cases, ``transfer_threads`` store uploads,
    ``reading_threads`` read for downloads, so that these never wait for uploads, and ``store_threads`` run use cases
    that wait for a store (deletions, changes of locations): of both, no project and no source takes more than its
    share. ``transfer`` counts a running transfer of the named direction while its block runs. ``uploads`` is
    the number of running uploads of each project, ``downloads`` limits those that run at the same time, and
    ``part_memory`` what they hold for fast clients, ``turn_budget`` what they move in one turn of the event loop.
    ``database_directory`` is that of an embedded database, whose file system must keep its reserve.
    """

    deps: Deps
    reading_deps: Deps
    settings: Settings
    documents: Documents
    identity_threads: FairThreads
    returning_threads: FairThreads
    threads: Executor
    transfer_threads: Executor
    reading_threads: FairThreads
    store_threads: FairThreads
    transfer: Callable[[str], AbstractContextManager[object]]
    uploads: Counter[str | None]
    downloads: Concurrency
    part_memory: PartMemory
    turn_budget: TurnBudget
    database_directory: str | None = None


@dataclass(slots=True)
class Request:
    """A request in a handler; ``origin`` is ``scheme://host`` as the client sees it."""

    scope: Scope
    receive: Receive
    send: Send
    headers: Headers
    app_state: AppState
    deps: Deps
    context: Context
    origin: Callable[[], str]

    @property
    def params(self) -> dict[str, str]:
        """The variable parts of the path."""
        return self.scope["path_params"]

    @property
    def party(self) -> str:
        """The project, or else the user, to whose share of the service the request counts."""
        return self.context.project_id or self.context.user_id or ""

    @property
    def settings(self) -> Settings:
        """The settings of the service."""
        return self.app_state.settings

    async def blocking(self, function: Callable[..., T], *arguments: Any) -> T:
        """Run a use case in a worker thread, once per metadata request. Its log lines contain the caller."""
        work = partial(copy_context().run, function, *arguments)
        return await asyncio.get_running_loop().run_in_executor(self.app_state.threads, work)

    async def storing(self, function: Callable[..., T], *arguments: Any) -> T:
        """Like :meth:`blocking`, for a use case that waits for stores, in separate threads so that other requests do
        not wait.
        """
        lane = self.app_state.store_threads.lane(project=self.party)
        return await asyncio.wrap_future(lane.submit(copy_context().run, function, *arguments))

    async def give_readers(self, image_id: str) -> None:
        """After a change of who may read an image: tell the stores that keep access lists, and wait for them."""
        if self.deps.stores.keeps_access_lists:
            await self.storing(set_readers, self.deps.database, self.deps.stores, image_id)

    async def body(self) -> bytes:
        """Read the whole body of a metadata request.

        :raises Refusal: 413 when it is larger than ``max_json_body``.
        :raises BodyIncomplete: the client went away.
        :raises BodyTimeout: the client stopped sending.
        """
        patience = self.settings.listen.body_timeout
        try:
            async with asyncio.timeout(patience):
                return await self._read_body()
        except TimeoutError:
            raise BodyTimeout(f"The body did not arrive within {patience:g} seconds.") from None

    async def read(self, decode: Callable[[bytes], T]) -> T:
        """Read the whole body and convert it with ``decode``, on the event loop only if it is short.

        Errors as of :meth:`body`, and what ``decode`` raises.
        """
        return await self.decoded(await self.body(), decode)

    async def decoded(self, body: bytes, decode: Callable[[bytes], T]) -> T:
        """Like :meth:`read`, for a body that was already received."""
        return decode(body) if len(body) <= LOOP_BYTES else await self.blocking(decode, body)

    async def _read_body(self) -> bytes:
        limit = self.settings.limits.max_json_body
        body = bytearray()  # parts of a byte each must not cost many times the size
        size = 0
        while True:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise BodyIncomplete(size)
            part: bytes = message.get("body", b"")
            size += len(part)
            if size > limit:
                raise Refusal(413, f"The request body is larger than the limit of {limit} bytes.")
            if not message.get("more_body", False):
                return bytes(body) + part if body else part
            body += part
