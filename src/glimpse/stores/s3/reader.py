"""Reading a range of an object as it arrives; a connection that breaks is replaced at the byte reached."""

from __future__ import annotations

import logging
import re
import time
import zlib
from base64 import b64encode
from collections.abc import Mapping

from glimpse.errors import GlimpseError, StoreUnavailable
from glimpse.stores.connections import ConnectionFailed, Stream
from glimpse.stores.s3.answers import ServerSilent, unreachable
from glimpse.stores.s3.client import Client

LOG = logging.getLogger(__name__)

#: Pauses in seconds before a broken read is continued. After so many breaks without progress reading fails; a server
#: that is silent until the time limit counts twice.
_PAUSES = (0.0, 0.5, 2.0)
#: Bytes between two breaks that count as progress.
_PROGRESS = 16 << 20

_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


def range_header(offset: int, length: int | None) -> Mapping[str, str]:
    """Return the header for a range of at least one byte; none for the whole object."""
    if offset == 0 and length is None:
        return {}
    last = "" if length is None else str(offset + length - 1)
    return {"range": f"bytes={offset}-{last}"}


def span_of(stream: Stream) -> tuple[int, int, int] | None:
    """Return the first byte, the length, and the size of the whole object of a response with data; None if it does not
    say so.
    """
    if stream.status == 206:
        found = _CONTENT_RANGE.fullmatch(stream.headers.get("content-range", ""))
        if found is None:
            return None
        first, last, total = (int(number) for number in found.groups())
        return first, last + 1 - first, total
    length = stream.length
    return None if length is None else (0, length, length)


class S3Reader:
    """Implements ``stores.base.Reader``."""

    def __init__(self, client: Client, key: str, stream: Stream | None, offset: int, length: int) -> None:
        """``stream`` delivers ``length`` bytes from ``offset``; None for an empty range."""
        self.length = length
        self._client = client
        self._key = key
        self._stream = stream
        self._etag = "" if stream is None else stream.headers.get("etag", "")
        self._position = offset
        self._end = offset + length
        self._breaks = 0
        self._broken_at = offset
        # the checksum of the whole object, not one of the checksums of its parts
        self._expected = "" if stream is None or offset else _checksum(stream, length)
        self._crc = 0

    def read(self, size: int) -> bytes:
        wanted = min(size, self._end - self._position)
        if not wanted:
            return b""
        while True:
            stream = self._stream
            if stream is None:
                raise StoreUnavailable("The reader is closed.")
            try:
                data = stream.read(wanted)
            except ConnectionFailed as error:
                self._resume(stream, unreachable(self._client.endpoint.store_id, error))
                continue
            if not data:
                self._resume(stream, StoreUnavailable("The server of the store sent fewer data than it announced."))
                continue
            self._position += len(data)
            if self._expected:
                self._check(data)
            return data

    def close(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()

    def _resume(self, stream: Stream, error: StoreUnavailable) -> None:
        """Request the rest of the range.

        :raises StoreUnavailable: the object has changed, or too many connections broke without progress.
        """
        stream.close()
        self._stream = None
        if self._position - self._broken_at >= _PROGRESS:
            self._breaks = 0
        while self._breaks < len(_PAUSES):
            time.sleep(_PAUSES[self._breaks])
            self._breaks += 2 if isinstance(error, ServerSilent) else 1
            self._broken_at = self._position
            try:
                self._stream = self._open_rest()
            except StoreUnavailable as next_error:
                error = next_error
            else:
                LOG.info("A read of %s was continued at byte %d: %s", self._key, self._position, error)
                return
        raise error

    def _open_rest(self) -> Stream:
        headers = dict(range_header(self._position, self._end - self._position))
        if self._etag:
            headers["if-match"] = self._etag
        try:
            stream = self._client.open(self._key, headers)
        except StoreUnavailable:
            raise
        except GlimpseError as error:
            self._breaks = len(_PAUSES)
            raise StoreUnavailable(f"The object cannot be read any more: {error}") from error
        span = span_of(stream)
        if stream.status != 206 or span is None or span[0] != self._position:
            stream.close()
            self._breaks = len(_PAUSES)
            raise StoreUnavailable("The object was replaced while it was read.")
        return stream

    def _check(self, data: bytes) -> None:
        self._crc = zlib.crc32(data, self._crc)
        if self._position == self._end and b64encode(self._crc.to_bytes(4, "big")).decode() != self._expected:
            raise StoreUnavailable("The data do not have the checksum that the store has recorded.")


def _checksum(stream: Stream, length: int) -> str:
    span = span_of(stream)
    checksum = stream.headers.get("x-amz-checksum-crc32", "")
    return checksum if span is not None and span[2] == length and "-" not in checksum else ""
