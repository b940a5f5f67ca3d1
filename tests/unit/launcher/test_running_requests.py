"""Requests that still run when a worker has closed its connections."""

from __future__ import annotations

import asyncio

import pytest

from glimpse.asgi import Receive, Scope, Send
from glimpse.launcher import worker
from glimpse.launcher.worker import RunningRequests


async def _no_message() -> dict[str, object]:
    return await asyncio.get_running_loop().create_future()


async def _no_client(message: object) -> None:
    await asyncio.get_running_loop().create_future()


def test_requests_that_wait_for_a_closed_connection_are_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    """granian drops the messages to a request whose client disconnects while it stops."""
    monkeypatch.setattr(worker, "CLEANUP_SECONDS", 0.05)
    cleaned: list[str] = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await (receive() if scope["method"] == "PUT" else send({"type": "http.response.start"}))
        finally:
            await asyncio.sleep(0.05)
            cleaned.append(scope["method"])

    async def main() -> None:
        requests = RunningRequests(application, {})
        running = [
            asyncio.create_task(requests({"type": "http", "method": method}, _no_message, _no_client))
            for method in ("GET", "PUT")
        ]
        await asyncio.sleep(0)
        await requests.finished()
        assert sorted(cleaned) == ["GET", "PUT"]
        await asyncio.gather(*running)
        assert not requests.busy

    asyncio.run(main())


def test_requests_that_end_in_time_are_not_cancelled() -> None:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(0.05)

    async def main() -> None:
        requests = RunningRequests(application, {})
        running = asyncio.create_task(requests({"type": "http"}, _no_message, _no_client))
        await asyncio.sleep(0)
        await requests.finished()
        await running

    asyncio.run(main())
