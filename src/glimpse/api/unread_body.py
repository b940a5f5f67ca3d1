"""Drops the rest of a request body when the response is known before the body ends.

Clients that read the response only after they have sent everything report a broken pipe instead of the reason if the
server closes the connection. So the rest is read and dropped before the response, within limits (docs/adr/0006). A
client that pauses, or waits for ``100 Continue``, gets the response at once.
"""

from __future__ import annotations

import asyncio

from glimpse.asgi import Receive

DRAIN_BYTES = 64 << 20
DRAIN_SECONDS = 10.0
PAUSE_SECONDS = 1.0


async def drop(receive: Receive, most_bytes: int) -> None:
    """Read and drop a body up to its end, ``most_bytes``, :data:`DRAIN_SECONDS`, or a pause.

    Do not use ``receive`` afterwards: an abandoned read may lose data.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + DRAIN_SECONDS
    dropped = 0
    try:
        async with asyncio.timeout(None) as patience:
            while dropped <= most_bytes:
                patience.reschedule(min(until, loop.time() + PAUSE_SECONDS))
                message = await receive()
                if not message.get("more_body"):
                    return
                dropped += len(message.get("body", b""))
    except TimeoutError:
        return
