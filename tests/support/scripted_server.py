"""A server on loopback that answers each connection with the next of a list of prepared answers, byte for byte."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

#: What is sent on one connection, in order: bytes; or an event, which is waited for. Then the connection is closed.
Answer = Sequence[bytes | threading.Event]


class ScriptedServer:
    """Reads the head of one request per connection, keeps it, and answers; without answers left it closes."""

    def __init__(self, answers: Sequence[Answer]) -> None:
        #: the heads of all requests, as text
        self.requests: list[str] = []
        self._answers = list(answers)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}/image"

    def fields(self, index: int) -> dict[str, str]:
        """The header fields of a request, by lower-case name."""
        lines = (line.partition(":") for line in self.requests[index].splitlines()[1:])
        return {name.lower(): value.strip() for name, _, value in lines}

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            with connection:
                self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        head = b""
        try:
            while b"\r\n\r\n" not in head and (part := connection.recv(65536)):
                head += part
            self.requests.append(head.decode("latin-1"))
            for part in self._answers.pop(0) if self._answers else ():
                if isinstance(part, bytes):
                    connection.sendall(part)
                else:
                    part.wait(60)
        except ConnectionError:
            return  # the client did not want the rest


@contextmanager
def scripted(*answers: Answer) -> Iterator[ScriptedServer]:
    """A server for the time of the block."""
    server = ScriptedServer(answers)
    try:
        yield server
    finally:
        server.close()


def head(status: str = "200 OK", **fields: object) -> bytes:
    """The head of a response; underscores in names of fields stand for hyphens."""
    lines = [f"HTTP/1.1 {status}", *(f"{name.replace('_', '-')}: {value}" for name, value in fields.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
