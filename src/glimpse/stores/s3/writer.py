"""Writing one object: parts are filled by the caller and uploaded by the threads of the store, several at a time."""

from __future__ import annotations

import logging
import mmap
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from glimpse.errors import Duplicate, GlimpseError, StoreUnavailable
from glimpse.stores.base import Bytes, Placed
from glimpse.stores.connections import Interruption
from glimpse.stores.s3.answers import ServerSilent, UploadGone
from glimpse.stores.s3.parts import in_flight
from glimpse.stores.s3.uploads import Upload, Uploads

LOG = logging.getLogger(__name__)

#: Seconds before a part is uploaded again that failed for a passing reason. It is uploaded only once more if the server
#: is silent, because each time takes until the time limit.
_PAUSES = (0.5, 2.0)


class S3Writer:
    """Implements ``stores.base.Writer``. The upload belongs to it until it ends."""

    def __init__(
        self,
        uploads: Uploads,
        upload: Upload,
        threads: Callable[[], ThreadPoolExecutor],
        sizes: Callable[[int], int],
        *,
        most_threads: int,
        size: int | None,
        url: str,
    ) -> None:
        """``sizes`` gives the size of each part, ``size`` the bytes of the whole object, if known."""
        self._uploads = uploads
        self._upload = upload
        self._threads = threads
        self._sizes = sizes
        self._most_threads = most_threads
        self._left = size
        self._placed = Placed(url, {})
        self._sender = _PartSender(uploads, upload)
        self._number = 0
        self._buffer: memoryview | None = None
        self._filled = 0
        self._free: list[memoryview] = []
        self._running: deque[tuple[Future[tuple[str, str]], memoryview]] = deque()
        self._parts: list[tuple[str, str]] = []
        self._ended = False
        self._nothing_left = True
        self._commit_failed = False

    def write(self, data: Bytes) -> None:
        rest = memoryview(data)
        while rest:
            buffer = self._buffer or self._begin_part()
            taken = min(len(rest), len(buffer) - self._filled)
            buffer[self._filled : self._filled + taken] = rest[:taken]
            self._filled += taken
            rest = rest[taken:]
            if self._filled == len(buffer):
                self._end_part()

    def commit(self) -> Placed:
        if self._filled or not self._number:
            if self._buffer is None:
                self._begin_part()
            self._end_part()
        while self._running:
            self._collect()
        try:
            self._uploads.commit(self._upload, self._parts)
        except Duplicate:
            raise
        except BaseException:
            self._commit_failed = True
            raise
        self._ended = True
        self._release()
        return self._placed

    def abort(self) -> bool:
        if self._ended:
            return self._nothing_left
        self._ended = True
        self._sender.cancel()
        for future, _ in self._running:
            if not future.cancel():
                future.exception()  # a part that arrives after the abort would stay
        self._release()
        try:
            self._uploads.discard(self._upload, maybe_visible=self._commit_failed)
        except GlimpseError as error:
            self._nothing_left = False
            LOG.warning(
                "The unfinished data of image %s could not be removed, they stay until they are swept: %s",
                self._upload.key,
                error,
            )
        return self._nothing_left

    def _begin_part(self) -> memoryview:
        """Take a buffer for the next part; waits for a part in flight if the maximum of them is reached."""
        self._number += 1
        size = self._sizes(self._number)
        while self._running and len(self._running) >= max(1, in_flight(size, self._most_threads)):
            self._collect()
        if self._left:
            size = min(size, self._left)
            self._left -= size
        while self._free:
            buffer = self._free.pop()
            if len(buffer) >= size:
                self._buffer = buffer[:size]
                break
        else:
            # pages of the mapping take memory when they are written to
            self._buffer = memoryview(mmap.mmap(-1, size))
        self._filled = 0
        return self._buffer

    def _end_part(self) -> None:
        """Upload the part that is filled: in another thread if more parts may follow at the same time."""
        assert self._buffer is not None  # noqa: S101 - set by the caller
        buffer, number = self._buffer, self._number
        body, self._buffer, self._filled = buffer[: self._filled], None, 0
        alone = self._left == 0 and not self._running
        if alone or not in_flight(len(buffer), self._most_threads):
            self._parts.append(self._sender.send(number, body))
            self._free.append(buffer)
            return
        try:
            future = self._threads().submit(self._sender.send, number, body)
        except RuntimeError as error:
            raise StoreUnavailable("The store is closed.") from error
        self._running.append((future, buffer))

    def _collect(self) -> None:
        """Wait for the oldest part in flight."""
        future, buffer = self._running.popleft()
        self._parts.append(future.result())
        self._free.append(buffer)

    def _release(self) -> None:
        self._buffer = None
        self._free.clear()
        self._running.clear()


class _PartSender:
    """Uploads the parts of one object; thread-safe."""

    def __init__(self, uploads: Uploads, upload: Upload) -> None:
        self._client = uploads.client
        self._upload = upload
        self._interruption = Interruption()

    def send(self, number: int, body: memoryview) -> tuple[str, str]:
        """Upload a part, again if it failed for a passing reason."""
        silent = False
        for pause in _PAUSES:
            try:
                return self._send_once(number, body)
            except UploadGone:
                raise
            except StoreUnavailable as error:
                if self._interruption.interrupted or silent:
                    raise
                silent = isinstance(error, ServerSilent)
            time.sleep(pause)
        return self._send_once(number, body)

    def cancel(self) -> None:
        """Let the parts that are being sent fail at once, and all further ones."""
        self._interruption.interrupt()

    def _send_once(self, number: int, body: memoryview) -> tuple[str, str]:
        upload = self._upload
        return self._client.upload_part(upload.key, upload.upload_id, number, body, self._interruption)
