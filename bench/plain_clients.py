"""What a storage system gives to a plain client without any image service: the limit of what a service can reach.

    python -m bench.plain_clients BACKEND CONFIGURATION MIB STREAMS

runs in an interpreter that has the library of the backend: the standard library for files, librados and librbd,
obstore, python-swiftclient, or os-brick. The options of the store are those of CONFIGURATION, a glance-api.conf. Each
line of the output is a JSON document: way, seconds, CPU seconds of the client.
"""

from __future__ import annotations

import configparser
import hashlib
import json
import os
import resource
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from bench.plain_cinder import CinderVolume
from bench.transfers import BLOCK, MIB, block

#: What the writing clients hand over at a time, and what is in flight at most.
PIECE = 8 * MIB
IN_FLIGHT = 8

Options = dict[str, str]


class Plain(Protocol):
    """A client of one object. ``parts`` are pieces of ``PIECE`` bytes, the last one may be shorter."""

    def write(self, parts: Iterator[memoryview], size: int) -> None:
        """Store the data durably."""
        ...

    def read(self, offset: int, size: int) -> None:
        """Read these bytes and discard them."""
        ...

    def remove(self) -> None:
        """Remove the object."""
        ...


class File:
    """A file beside those of the store."""

    def __init__(self, options: Options) -> None:
        self._path = Path(options["filesystem_store_datadir"]) / f".bench-{os.getpid()}"

    def write(self, parts: Iterator[memoryview], size: int) -> None:
        with self._path.open("wb", buffering=0) as file:
            os.posix_fallocate(file.fileno(), 0, size)
            for part in parts:
                file.write(part)
            os.fsync(file.fileno())

    def read(self, offset: int, size: int) -> None:
        buffer = bytearray(MIB)
        with self._path.open("rb", buffering=0) as file:
            file.seek(offset)
            while size > 0 and (count := file.readinto(memoryview(buffer)[: min(size, MIB)])):
                size -= count

    def remove(self) -> None:
        self._path.unlink()


class Rbd:
    """An RBD image with asynchronous writes."""

    def __init__(self, options: Options) -> None:
        import rados  # noqa: PLC0415
        import rbd  # noqa: PLC0415

        self._rbd = rbd
        self._cluster = rados.Rados(conffile=options.get("rbd_store_ceph_conf", ""), rados_id=options["rbd_store_user"])
        self._cluster.connect()
        self._pool = self._cluster.open_ioctx(options.get("rbd_store_pool", "images"))
        self._name = f"bench-{os.getpid()}"

    def write(self, parts: Iterator[memoryview], size: int) -> None:
        self._rbd.RBD().create(self._pool, self._name, size, order=23, old_format=False, features=1)
        with self._rbd.Image(self._pool, self._name) as image:
            flights = _Flights()
            offset = 0
            for part in parts:
                flights.add(image.aio_write(bytes(part), offset, _ignore))
                offset += len(part)
            flights.end()
            image.flush()

    def read(self, offset: int, size: int) -> None:
        with self._rbd.Image(self._pool, self._name, read_only=True) as image:
            flights = _Flights()
            for start in range(offset, offset + size, PIECE):
                flights.add(image.aio_read(start, min(PIECE, offset + size - start), _ignore))
            flights.end()

    def remove(self) -> None:
        self._rbd.RBD().remove(self._pool, self._name)


class _Flights:
    """Asynchronous calls of librbd, of which only some are in flight."""

    def __init__(self) -> None:
        self._running: deque[Any] = deque()

    def add(self, completion: Any) -> None:
        self._running.append(completion)
        if len(self._running) == IN_FLIGHT:
            self._wait()

    def end(self) -> None:
        while self._running:
            self._wait()

    def _wait(self) -> None:
        completion = self._running.popleft()
        completion.wait_for_complete_and_cb()
        if completion.get_return_value() < 0:
            raise OSError(-completion.get_return_value(), "an asynchronous call failed")


def _ignore(*_: object) -> None:
    pass


class S3:
    """An object by obstore: a multipart upload with parallel parts."""

    def __init__(self, options: Options) -> None:
        import obstore  # noqa: PLC0415
        from obstore.store import S3Store  # noqa: PLC0415

        host = options["s3_store_host"]
        self._obstore = obstore
        self._store = S3Store(
            options["s3_store_bucket"],
            endpoint=host if "://" in host else f"http://{host}",
            access_key_id=options["s3_store_access_key"],
            secret_access_key=options["s3_store_secret_key"],
            region=options.get("s3_store_region_name") or "us-east-1",
            client_options={"allow_http": True, "timeout": "3600s"},
        )
        self._key = f"bench-{os.getpid()}"

    def write(self, parts: Iterator[memoryview], size: int) -> None:  # noqa: ARG002
        self._obstore.put(self._store, self._key, map(bytes, parts), chunk_size=PIECE, max_concurrency=IN_FLIGHT)

    def read(self, offset: int, size: int) -> None:
        found = self._obstore.get(self._store, self._key, options={"range": (offset, offset + size)})
        for _ in found.stream(min_chunk_size=MIB):
            pass

    def remove(self) -> None:
        self._obstore.delete(self._store, self._key)


class Swift:
    """A large object by python-swiftclient, its segments one after the other as ``swift upload`` streams them."""

    SEGMENT = 25 * PIECE

    def __init__(self, options: Options) -> None:
        import swiftclient  # noqa: PLC0415

        named = _reference(options)
        project, _, user = named["user"].partition(":")
        self._arguments = {
            "authurl": named["auth_address"], "user": user, "key": named["key"], "auth_version": "3",
            "os_options": {"project_name": project, "project_domain_id": "default", "user_domain_id": "default"},
        }  # fmt: skip
        self._swiftclient = swiftclient
        self._connection = swiftclient.Connection(**self._arguments)
        self._container = options["swift_store_container"]
        self._name = f"bench-{os.getpid()}"
        self._names: list[str] = []

    def write(self, parts: Iterator[memoryview], size: int) -> None:
        for number, offset in enumerate(range(0, size, self.SEGMENT)):
            length = min(self.SEGMENT, size - offset)
            self._put(f"{self._name}-{number:05}", _File(parts, length), length)
        self._put(self._name, None, 0, {"X-Object-Manifest": f"{self._container}/{self._name}-"})

    def read(self, offset: int, size: int) -> None:
        connection = self._swiftclient.Connection(**self._arguments)
        wanted = {"Range": f"bytes={offset}-{offset + size - 1}"}
        _, body = connection.get_object(self._container, self._name, resp_chunk_size=MIB, headers=wanted)
        for _ in body:
            pass
        connection.close()

    def remove(self) -> None:
        for name in self._names:
            self._connection.delete_object(self._container, name)
        self._names.clear()

    def _put(self, name: str, source: Any, length: int, headers: Options | None = None) -> None:
        self._names.append(name)
        self._connection.put_object(self._container, name, source, length, chunk_size=PIECE, headers=headers)


class _File:
    """The next bytes of an iterator as a file: a read returns one piece."""

    def __init__(self, parts: Iterator[memoryview], size: int) -> None:
        self._parts = parts
        self._rest = size

    def read(self, _size: int = -1) -> bytes:
        if self._rest <= 0:
            return b""
        part = bytes(next(self._parts))
        self._rest -= len(part)
        return part


BACKENDS: dict[str, Callable[[Options], Plain]] = {
    "file": File, "rbd": Rbd, "s3": S3, "swift": Swift, "cinder": CinderVolume,
}  # fmt: skip
#: A volume is attached once at a time.
ONE_READER = {"cinder"}


def _reference(options: Options) -> Options:
    """Return the Swift credentials: those of the reference file, or the options themselves."""
    path = options.get("swift_store_config_file")
    if not path:
        return {name.removeprefix("swift_store_"): value for name, value in options.items()}
    return _sections(Path(path))[options.get("default_swift_reference", "ref1")]


def _sections(path: Path) -> dict[str, Options]:
    parser = configparser.RawConfigParser(strict=False)
    parser.read(path)
    return {name: dict(parser[name]) for name in parser.sections()}


def _parts(size: int) -> Iterator[memoryview]:
    data = memoryview(block())
    for offset in range(0, size, PIECE):
        start = offset % BLOCK
        yield data[start : start + min(PIECE, size - offset)]


def _digested(parts: Iterator[memoryview]) -> Iterator[memoryview]:
    """Yield the parts while two threads compute MD5 and SHA-512 of them, one part behind."""
    digests = (hashlib.md5(usedforsecurity=False), hashlib.sha512())
    running: list[Future[None]] = []
    with ThreadPoolExecutor(len(digests)) as threads:
        for part in parts:
            for future in running:
                future.result()
            running = [threads.submit(digest.update, part) for digest in digests]
            yield part


@contextmanager
def _measured(way: str) -> Iterator[None]:
    def cpu() -> float:
        used = resource.getrusage(resource.RUSAGE_SELF)
        return used.ru_utime + used.ru_stime

    began, before = time.perf_counter(), cpu()
    yield
    figures = {"way": way, "seconds": time.perf_counter() - began, "cpu": cpu() - before}
    print(json.dumps(figures), flush=True)


def main() -> None:
    """Write and read one object, and print how long it took."""
    backend, configuration = sys.argv[1:3]
    size, streams = int(sys.argv[3]) * MIB, int(sys.argv[4])
    client = BACKENDS[backend](_sections(Path(configuration))["glance_store"])
    block()
    try:
        with _measured("digests"):
            client.write(_digested(_parts(size)), size)
    finally:
        client.remove()
    os.sync()
    try:
        with _measured("upload"):
            client.write(_parts(size), size)
        os.sync()
        with _measured("download"):
            client.read(0, size)
        if backend not in ONE_READER:
            step = -(-size // streams)
            ranges = [(offset, min(step, size - offset)) for offset in range(0, size, step)]
            with _measured("ranges"), ThreadPoolExecutor(streams) as threads:
                for future in [threads.submit(client.read, *wanted) for wanted in ranges]:
                    future.result()
    finally:
        client.remove()


if __name__ == "__main__":
    main()
