"""A file server on loopback for tests that have something downloaded (GET, HEAD, Range), and the files it serves.

usage: file_server.py DIRECTORY PORT

Besides the files of DIRECTORY it answers
  /slow/SECONDS/NAME   the file NAME, sent over about SECONDS seconds
  /status/CODE         an empty answer with that status
"""

from __future__ import annotations

import http.server
import random
import re
import struct
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

CLUSTER = 65536
STEPS = 20


def qcow2(content: bytes) -> bytes:
    """A minimal valid qcow2 (version 3) of 1 MiB that begins with at most one cluster of ``content``.

    Its clusters: 0 header, 1 refcount table, 2 refcount block, 3 L1 table, 4 L2 table, 5 data.
    """
    copied = 1 << 63
    header = struct.pack(
        ">4sIQIIQIIQQIIQQQQII", b"QFI\xfb", 3, 0, 0, 16, 1 << 20, 0, 1, 3 * CLUSTER, CLUSTER, 1, 0, 0, 0, 0, 0, 4, 104
    )
    clusters = (
        header + struct.pack(">II", 0, 0),
        struct.pack(">Q", 2 * CLUSTER),
        struct.pack(">6H", *(1,) * 6),
        struct.pack(">Q", copied | 4 * CLUSTER),
        struct.pack(">Q", copied | 5 * CLUSTER),
        content[:CLUSTER],
    )
    return b"".join(cluster.ljust(CLUSTER, b"\0") for cluster in clusters)


def make_files(directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    content = random.Random(20260101)
    (directory / "small.raw").write_bytes(content.randbytes(1 << 20))
    (directory / "medium.raw").write_bytes(content.randbytes(8 << 20))
    (directory / "tiny.qcow2").write_bytes(qcow2(content.randbytes(CLUSTER)))


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    directory = Path()

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, *, body: bool) -> None:
        path = re.split("[?#]", self.path)[0]
        if status := re.match(r"/status/(\d{3})$", path):
            return self.head(int(status[1]), 0)
        seconds = 0.0
        if slow := re.match(r"/slow/([0-9.]+)/(.*)$", path):
            seconds, path = float(slow[1]), slow[2]
        file = self.directory / Path(path).name
        if not file.is_file():
            return self.head(404, 0)
        data = file.read_bytes()
        if (wanted := re.match(r"bytes=(\d+)-(\d*)$", self.headers.get("Range", ""))) and int(wanted[1]) < len(data):
            first, last = int(wanted[1]), min(int(wanted[2] or len(data) - 1), len(data) - 1)
            self.head(206, last + 1 - first, {"Content-Range": f"bytes {first}-{last}/{len(data)}"})
            data = data[first : last + 1]
        else:
            self.head(200, len(data))
        if body:
            self.send(data, seconds)
        return None

    def send(self, data: bytes, seconds: float) -> None:
        step = max(1, len(data) // STEPS) if seconds else max(1, len(data))
        with suppress(BrokenPipeError, ConnectionResetError):  # a client may go when it has seen enough
            for start in range(0, len(data), step):
                self.wfile.write(data[start : start + step])
                if seconds:
                    time.sleep(seconds / STEPS)
            return
        self.close_connection = True

    def head(self, status: int, length: int, extra: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(length))
        for name, value in (extra or {}).items():
            self.send_header(name, value)
        self.end_headers()


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True


def main() -> None:
    Handler.directory = Path(sys.argv[1])
    make_files(Handler.directory)
    Server(("127.0.0.1", int(sys.argv[2])), Handler).serve_forever()


if __name__ == "__main__":
    main()
