"""What slow senders cost the others: uploads of 1 KiB a second, and of one byte a second.

    python -m bench.slow_senders [--senders N] [--seconds N] [--source DIRECTORY [--unlimited]]

As ``bench.slow_parties`` does it for those who read: list, show, and upload and download of 1 MiB are timed beside.
Who is cut off comes again.
"""

from __future__ import annotations

import argparse
import contextlib
import socket
import threading

from bench.slow_parties import HOST, MIB, image_with_data, measure, new_image, resident_mib, service

SENDERS = 300


class SlowSending(threading.Thread):
    """``number`` uploads that send ``rate`` bytes a second each."""

    def __init__(self, port: int, number: int, rate: int) -> None:
        super().__init__(daemon=True)
        self._port = port
        self._part = bytes(rate)
        self._connections = [self._begin() for _ in range(number)]
        self._ended = threading.Event()
        self.cut = 0

    def run(self) -> None:
        while not self._ended.wait(1.0):
            for index, connection in enumerate(self._connections):
                try:
                    connection.sendall(self._part)
                except OSError:
                    connection.close()
                    self.cut += 1
                    self._connections[index] = self._begin()

    def end(self) -> None:
        """Hang up."""
        self._ended.set()
        self.join()
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.close()

    def _begin(self) -> socket.socket:
        image_id = new_image(self._port)
        connection = socket.create_connection((HOST, self._port), timeout=120)
        head = f"PUT /v2/images/{image_id}/file HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 1000000000\r\n"
        connection.sendall(f"{head}Content-Type: application/octet-stream\r\n\r\n".encode())
        return connection


def slow_senders(source: str | None, options: str, seconds: float, number: int, rate: int) -> None:
    """Measure beside ``number`` senders of ``rate`` bytes a second."""
    with service(source, options) as (port, pid):
        image_id = image_with_data(port, MIB)
        measure(port, pid, 3, "nobody slow", image_id)
        before = resident_mib(pid)
        slow = SlowSending(port, number, rate)
        slow.start()
        measure(port, pid, seconds, f"{number} senders of {rate} bytes/s", image_id)
        print(f"    grown by {resident_mib(pid) - before:.0f} MiB, {slow.cut} cut", flush=True)
        slow.end()


def main() -> None:
    """Measure both."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--senders", type=int, default=SENDERS)
    parser.add_argument("--seconds", type=float, default=90.0)
    parser.add_argument("--source", help="where another version of the package is, its directory src")
    parser.add_argument("--unlimited", action="store_true", help="that version has no max_uploads_per_project")
    asked = parser.parse_args()
    options = "" if asked.unlimited else f"[glimpse]\nmax_uploads_per_project = {asked.senders + 20}\n"
    for rate in (1024, 1):
        slow_senders(asked.source, options, asked.seconds, asked.senders, rate)


if __name__ == "__main__":
    main()
