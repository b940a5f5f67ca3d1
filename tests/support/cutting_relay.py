"""A TCP relay to a database that breaks the connection at a chosen statement, as a server does that dies there."""

from __future__ import annotations

import contextlib
import socket
import threading

HOST = "127.0.0.1"


class CuttingRelay:
    """Passes bytes between clients and ``target``; a context manager.

    After :meth:`cut_at` the next connections whose client sends the words are ended on both sides: before the server
    gets them, or once it has answered, when the client does not get to see that.
    """

    def __init__(self, target: tuple[str, int], host: str = HOST) -> None:
        """``host`` is the address of loopback that it listens on."""
        self._target = target
        self._host = host
        self._lock = threading.Lock()
        self._words = b""
        self._times = 0
        self._delivered = False
        self._sockets: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self.cuts = 0

    def __enter__(self) -> CuttingRelay:
        self._listener = socket.create_server((self._host, 0))
        self.port: int = self._listener.getsockname()[1]
        self._begin(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            left = list(self._sockets)
        for end in left:
            _end(end)
        for thread in self._threads:
            thread.join(10)
        for end in left:
            end.close()

    def cut_at(self, words: bytes, *, times: int = 1, delivered: bool = False) -> None:
        """Break the next ``times`` connections at ``words``; ``delivered``: the server has carried them out."""
        with self._lock:
            self._words, self._times, self._delivered = words, times, delivered
            self.cuts = 0

    def _cuts(self, data: bytes) -> bool:
        with self._lock:
            if not self._times or self._words not in data:
                return False
            self._times -= 1
            self.cuts += 1
            return True

    def _begin(self, work: object, *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(self._target)
            with self._lock:
                self._sockets |= {client, server}
            answered = threading.Event()
            broken = threading.Event()
            self._begin(self._pass_requests, client, server, answered, broken)
            self._begin(self._pass_answers, client, server, answered, broken)

    def _pass_requests(
        self, client: socket.socket, server: socket.socket, answered: threading.Event, broken: threading.Event
    ) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                if self._cuts(data):
                    broken.set()
                    if self._delivered:
                        server.sendall(data)
                        answered.wait(30)
                    break
                server.sendall(data)
        _end(client)
        _end(server)

    def _pass_answers(
        self, client: socket.socket, server: socket.socket, answered: threading.Event, broken: threading.Event
    ) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                if broken.is_set():
                    answered.set()
                else:
                    client.sendall(data)
        _end(client)


def _end(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
