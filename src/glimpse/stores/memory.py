"""Store ``memory``: images in the memory of this process, for tests and trials. They are lost when it ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from threading import Lock
from typing import Annotated

import msgspec

from glimpse.stores import object_errors
from glimpse.stores.argument_checks import after_scheme, check_names, span_length
from glimpse.stores.base import Bytes, Placed, StoredObject
from glimpse.stores.driver import Driver

SCHEMES = ("memory",)


class MemoryOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Options of a store of kind ``memory``."""

    memory_store_max_bytes: Annotated[
        int, msgspec.Meta(ge=0, description="Maximum total size of all images of the store, in bytes.")
    ] = 1 << 30


class _Object(msgspec.Struct):
    """Data of one attempt; ``content`` does not change once it is visible."""

    attempt: str
    content: bytearray
    modified_at: float = msgspec.field(default_factory=time.time)


def url_prefixes(store_id: str, _options: MemoryOptions) -> tuple[str, ...]:
    """See :class:`glimpse.stores.base.Prefixed`."""
    return (f"memory://{store_id}/",)


class MemoryStore:
    """Implements ``stores.base.Store``. One lock protects the tables and the byte count."""

    scheme = "memory"
    writable = True

    def __init__(self, store_id: str, options: MemoryOptions) -> None:
        self.id = store_id
        self.url_prefixes = url_prefixes(store_id, options)
        self._limit = options.memory_store_max_bytes
        self._used = 0
        self._lock = Lock()
        self._visible: dict[str, _Object] = {}
        self._unfinished: dict[tuple[str, str], _Object] = {}

    def writer(self, image_id: str, size: int | None, attempt: str) -> MemoryWriter:
        check_names(image_id, attempt)
        with self._lock:
            if image_id in self._visible or (image_id, attempt) in self._unfinished:
                raise object_errors.duplicate(self.id, image_id)
            if (size or 0) > self._limit - self._used:
                raise object_errors.full(self.id)
            self._unfinished[image_id, attempt] = _Object(attempt, bytearray())
        return MemoryWriter(self, image_id, attempt)

    def reader(self, url: str, offset: int = 0, length: int | None = None) -> MemoryReader:
        content = self._object(url).content
        length = span_length(len(content), offset, length)
        return MemoryReader(memoryview(content)[offset : offset + length])

    def size(self, url: str) -> int:
        return len(self._object(url).content)

    def delete(self, url: str) -> None:
        image_id = self._image_id(url)
        with self._lock:
            removed = self._visible.pop(image_id, None)
            if removed is None:
                raise object_errors.missing(self.id)
            self._used -= len(removed.content)

    def check_delete(self, url: str) -> None:
        self._object(url)

    def sweep(
        self,
        image_id: str,
        attempt: str,
        is_orphan: Callable[[str], bool] | None = None,  # noqa: ARG002 - every object has its mark
    ) -> bool:
        check_names(image_id, attempt)
        visible = None
        with self._lock:
            unfinished = self._unfinished.pop((image_id, attempt), None)
            if image_id in self._visible and self._visible[image_id].attempt == attempt:
                visible = self._visible.pop(image_id)
            for removed in (unfinished, visible):
                self._used -= len(removed.content) if removed else 0
        return unfinished is not None or visible is not None

    def objects(self) -> Iterator[StoredObject]:
        with self._lock:
            visible, unfinished = list(self._visible.items()), list(self._unfinished.items())
        for image_id, found in visible:
            size = len(found.content)
            url = self.url_prefixes[0] + image_id
            yield StoredObject(image_id=image_id, size=size, modified_at=found.modified_at, url=url)
        for (image_id, attempt), found in unfinished:
            size = len(found.content)
            yield StoredObject(image_id=image_id, size=size, modified_at=found.modified_at, attempt=attempt)

    def url_of(self, image_id: str) -> str:
        """See :class:`glimpse.stores.base.Addressed`."""
        return self.url_prefixes[0] + image_id

    def close(self) -> None:
        """Do nothing: the data are kept as long as the object exists."""

    def append(self, image_id: str, attempt: str, data: Bytes) -> None:
        """Append ``data`` to the unfinished object of a writer, within the limit of the store."""
        count = len(data)
        with self._lock:
            target = self._unfinished.get((image_id, attempt))
            if target is None:
                raise object_errors.aborted(self.id)
            if count > self._limit - self._used:
                raise object_errors.full(self.id)
            self._used += count
            target.content += data
            target.modified_at = time.time()

    def publish(self, image_id: str, attempt: str) -> Placed:
        """Make the object of a writer visible."""
        with self._lock:
            finished = self._unfinished.get((image_id, attempt))
            if finished is None:
                raise object_errors.aborted(self.id)
            if image_id in self._visible:
                raise object_errors.duplicate(self.id, image_id)
            self._visible[image_id] = self._unfinished.pop((image_id, attempt))
        return Placed(self.url_prefixes[0] + image_id, {})

    def discard(self, image_id: str, attempt: str) -> None:
        """Remove the unfinished object of a writer, if it still exists."""
        with self._lock:
            unfinished = self._unfinished.pop((image_id, attempt), None)
            self._used -= len(unfinished.content) if unfinished else 0

    def _object(self, url: str) -> _Object:
        found = self._visible.get(self._image_id(url))
        if found is None:
            raise object_errors.missing(self.id)
        return found

    def _image_id(self, url: str) -> str:
        host, _, image_id = after_scheme(url, SCHEMES, self.id).partition("/")
        if host != self.id or not image_id:
            raise object_errors.foreign(self.id)
        return image_id


class MemoryWriter:
    """Implements ``stores.base.Writer``."""

    __slots__ = ("_attempt", "_ended", "_image_id", "_store")

    def __init__(self, store: MemoryStore, image_id: str, attempt: str) -> None:
        self._store = store
        self._image_id = image_id
        self._attempt = attempt
        self._ended = False

    def write(self, data: Bytes) -> None:
        self._store.append(self._image_id, self._attempt, data)

    def commit(self) -> Placed:
        placed = self._store.publish(self._image_id, self._attempt)
        self._ended = True
        return placed

    def abort(self) -> bool:
        if not self._ended:
            self._ended = True
            self._store.discard(self._image_id, self._attempt)
        return True


class MemoryReader:
    """Implements ``stores.base.Reader``. Keeps a reference to the data, so it survives a deletion."""

    __slots__ = ("_data", "_position", "length")

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._position = 0
        self.length = len(data)

    def read(self, size: int) -> bytes:
        part = bytes(self._data[self._position : self._position + size])
        self._position += len(part)
        return part

    def close(self) -> None:
        self._data.release()


DRIVER = Driver(
    kind="memory",
    schemes=SCHEMES,
    options=MemoryOptions,
    build=MemoryStore,
    url_prefixes=url_prefixes,
    in_directories=True,
    only_own=True,
    durable=False,
)
