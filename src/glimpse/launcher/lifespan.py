"""The ASGI lifespan protocol, driven by the launcher and not by the HTTP server.

The servers treat a failing startup differently (granian continues without lifespan if the app raises) and log different
things. Here both behave in the same way: a failure stops the start, and one sentence describes it.
"""

from __future__ import annotations

import asyncio
from typing import Any

from glimpse.asgi import ASGIApp, Message


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
