"""A program that serves a probing application with the launcher; run by ``test_launcher.py``.

Takes one JSON object: the options of ``ServeOptions``, and apart from them ``events`` (a file that gets a JSON line for
each thing that happens) and ``fault`` (what goes wrong at the start).
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
from typing import Any

from glimpse.asgi import ASGIApp
from glimpse.launcher import LaunchError, ServeOptions, serve

PART = b"p" * (1 << 20)


class ProbeApp:
    """Answers requests in the ways that the tests need, and records what it sees."""

    def __init__(self, events: str, fault: str) -> None:
        self._events = events
        self._fault = fault

    def record(self, **event: Any) -> None:
        """Append one event; lines of one write() do not mix between processes."""
        line = json.dumps({"pid": os.getpid(), **event}) + "\n"
        with open(self._events, "ab", buffering=0) as out:
            out.write(line.encode())

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(scope, receive, send)
            return
        name = scope["path"].strip("/").replace("-", "_")
        await getattr(self, f"do_{name}")(scope, receive, send)

    async def _lifespan(self, scope: Any, receive: Any, send: Any) -> None:
        await receive()
        if self._fault == "lifespan raises":
            raise RuntimeError("no database\nand a second line")
        if self._fault == "lifespan fails":
            await send({"type": "lifespan.startup.failed", "message": "Traceback ...\n  line\nOSError: no store"})
            return
        scope["state"]["greeting"] = "hello"
        self.record(event="startup")
        await send({"type": "lifespan.startup.complete"})
        if self._fault == "dies when ready":
            asyncio.get_running_loop().call_later(0.02, os.kill, os.getpid(), signal.SIGKILL)
        await receive()
        self.record(event="shutdown")
        await send({"type": "lifespan.shutdown.complete"})

    async def do_pid(self, scope: Any, receive: Any, send: Any) -> None:
        """Who answers."""
        await answer(send, {"pid": os.getpid(), "greeting": scope["state"]["greeting"]})

    async def do_upload(self, scope: Any, receive: Any, send: Any) -> None:
        """Read the body to its end, and tell how it ended."""
        self.record(event="upload begins")
        total = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                break
            total += len(message["body"])
            if not message["more_body"]:
                break
        self.record(event="upload ends", total=total, end=message["type"], again=(await again(receive, message)))
        await answer(send, {"total": total})

    async def do_patient(self, scope: Any, receive: Any, send: Any) -> None:
        """Read the body with a time limit for each part, and without cancelling a receive()."""
        total = waits = 0
        more = True
        while more:
            part = asyncio.ensure_future(receive())
            while not (await asyncio.wait({part}, timeout=0.002))[0]:
                waits += 1
            total += len(part.result()["body"])
            more = part.result()["more_body"]
        await answer(send, {"total": total, "waits": waits})

    async def do_cleanup(self, scope: Any, receive: Any, send: Any) -> None:
        """Go on for a while after the client has left."""
        self.record(event="cleanup begins")
        while (await receive())["type"] != "http.disconnect":
            pass
        self.record(event="client left")
        await asyncio.sleep(1)
        self.record(event="cleanup ends")

    async def do_unread(self, scope: Any, receive: Any, send: Any) -> None:
        """Take one part of the body, and no more while the client stays."""
        message = await receive()
        self.record(event="first part", more=message["more_body"])
        await asyncio.sleep(3600)

    async def do_download(self, scope: Any, receive: Any, send: Any) -> None:
        """Send 128 MiB, and record how far it got."""
        await start(send, [(b"content-length", b"%d" % (128 * len(PART)))])
        for number in range(128):
            if number % 32 == 0:
                self.record(event="sent", parts=number)
            await send({"type": "http.response.body", "body": PART, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        self.record(event="sent", parts=128)

    async def do_cut(self, scope: Any, receive: Any, send: Any) -> None:
        """Announce 128 MiB and fail after one."""
        await start(send, [(b"content-length", b"%d" % (128 * len(PART)))])
        await send({"type": "http.response.body", "body": PART, "more_body": True})
        raise RuntimeError("cut")

    async def do_broken(self, scope: Any, receive: Any, send: Any) -> None:
        """Fail in the middle of a chunked answer."""
        await start(send, [])
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        await asyncio.sleep(0.05)
        raise RuntimeError("in the middle of the answer")

    async def do_refuse(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer without reading the body."""
        await answer(send, {"refused": True}, status=403)

    async def do_headers(self, scope: Any, receive: Any, send: Any) -> None:
        """Tell how long each header is, and where the request comes from."""
        sizes = {name.decode(): len(value) for name, value in scope["headers"]}
        await answer(send, {"sizes": sizes, "client": scope["client"][0], "scheme": scope["scheme"]})


async def again(receive: Any, message: Any) -> str | None:
    """After a disconnect, what the next receive() gives."""
    if message["type"] != "http.disconnect":
        return None
    return (await asyncio.wait_for(receive(), 5))["type"]


async def start(send: Any, headers: list[tuple[bytes, bytes]], status: int = 200) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})


async def answer(send: Any, body: dict[str, Any], status: int = 200) -> None:
    encoded = json.dumps(body).encode()
    await start(send, [(b"content-length", b"%d" % len(encoded))], status)
    await send({"type": "http.response.body", "body": encoded})


def main() -> int:
    settings = json.loads(sys.argv[1])
    events, fault = settings.pop("events"), settings.pop("fault", "")
    logging.basicConfig(level=logging.INFO, format="LOG %(name)s %(levelname)s %(message)s")

    def load_app() -> ASGIApp:
        probe = ProbeApp(events, fault)
        probe.record(event="load")
        if fault == "load_app raises":
            raise ValueError("the file is broken\nand a second line")
        return probe

    def in_parent() -> None:
        ProbeApp(events, fault).record(event="in parent")
        if fault == "in_parent raises":
            raise LaunchError("The metrics port is in use.")

    try:
        return serve(ServeOptions(**settings, in_parent=in_parent), load_app)
    except LaunchError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
