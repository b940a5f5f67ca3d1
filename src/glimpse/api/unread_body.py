"""What becomes of a request body that nobody reads because the answer is known before its end.

Clients that look at the answer only when they have sent everything report a broken pipe instead of the reason, where
the server closes on them. So the rest is read and dropped before the answer, within limits (docs/adr/0006). A client
that pauses, or waits for ``100 Continue``, is waiting for the answer, and gets it.
"""

from __future__ import annotations

import asyncio

from glimpse.api.exchange import Receive

DRAIN_BYTES = 64 << 20
DRAIN_SECONDS = 10.0
PAUSE_SECONDS = 1.0


async def drop(receive: Receive, most_bytes: int) -> None:
    """Read and drop a body up to its end, ``most_bytes``, :data:`DRAIN_SECONDS`, or a pause.

    Afterwards ``receive`` must not be used: a read that is given up may lose data.
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
