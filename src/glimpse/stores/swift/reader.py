"""Reads a range of an object, and resumes at the byte reached when the connection breaks."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping

from glimpse.errors import AccessDenied, RangeNotSatisfiable, StoreUnavailable
from glimpse.stores import object_errors
from glimpse.stores.argument_checks import span_length
from glimpse.stores.connections import ConnectionFailed, Stream
from glimpse.stores.swift.account import Account
from glimpse.stores.swift.answers import failure, unreachable
from glimpse.stores.swift.locations import Place

_CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-\d+|\*)/(\d+)")
#: Seconds before the first resumption; each further pause is twice as long.
_FIRST_PAUSE = 0.2


class SwiftReader:
    """Implements ``stores.base.Reader``."""

    __slots__ = ("_account", "_etag", "_place", "_position", "_resumptions", "_stream", "length")

    def __init__(
        self,
        account: Account,
        place: Place,
        stream: Stream | None,
        *,
        offset: int,
        length: int | None,
        resumptions: int,
    ) -> None:
        """``stream`` begins at ``offset``, None for no bytes. At most ``resumptions`` more may follow it."""
        self.length = length
        self._account = account
        self._place = place
        self._stream = stream
        self._etag = None if stream is None else stream.headers.get("etag")
        self._position = (offset, 0)
        self._resumptions = resumptions

    def read(self, size: int) -> bytes:
        offset, delivered = self._position
        wanted = size if self.length is None else min(size, self.length - delivered)
        if not wanted:
            return b""
        while True:
            if self._stream is None:
                raise StoreUnavailable("The reader is closed.")
            try:
                data = self._stream.read(wanted)
            except ConnectionFailed as error:
                self._resume(error)
                continue
            if not data:
                if self.length is not None:
                    raise StoreUnavailable(f"The data ended {self.length - delivered} bytes too early.")
                self.length = delivered
            self._position = (offset, delivered + len(data))
            return data

    def close(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()

    def _resume(self, error: ConnectionFailed) -> None:
        """Open the rest of the range.

        :raises StoreUnavailable: it cannot be opened, or the object is not the same any more.
        """
        self.close()
        offset, delivered = self._position
        failed = unreachable(self._account.store_id, error)
        pause = _FIRST_PAUSE
        while self._resumptions:
            self._resumptions -= 1
            time.sleep(pause)
            pause *= 2
            end = "" if self.length is None else str(offset + self.length - 1)
            try:
                stream = self._account.open("GET", self._place.path, {"Range": f"bytes={offset + delivered}-{end}"})
            except StoreUnavailable as again:
                failed = again
                continue
            except AccessDenied as again:
                raise StoreUnavailable(str(again)) from again
            if stream.status == 206 and stream.headers.get("etag") == self._etag:
                self._stream = stream
                return
            stream.close()
            if stream.status < 500:
                raise StoreUnavailable(f"The data in store {self._account.store_id} have changed while they were read.")
        raise failed from error


def open_reader(account: Account, place: Place, offset: int, length: int | None, resumptions: int) -> SwiftReader:
    """Open a range as ``stores.base.Store.reader`` says."""
    if offset < 0 or (length is not None and length < 0):
        raise RangeNotSatisfiable("A byte range must not have negative numbers.")
    headers: Mapping[str, str] = {}
    if offset or length is not None:
        # at least one byte: an empty range cannot be expressed
        last = "" if length is None else str(offset + max(length, 1) - 1)
        headers = {"Range": f"bytes={offset}-{last}"}
    stream = account.open("GET", place.path, headers)
    try:
        total = _total(account, place, stream, offset)
        if total is not None:
            length = span_length(total, offset, length)
    except BaseException:
        stream.close()
        raise
    if length == 0:
        stream.close()
        return SwiftReader(account, place, None, offset=offset, length=0, resumptions=0)
    return SwiftReader(account, place, stream, offset=offset, length=length, resumptions=resumptions)


def _total(account: Account, place: Place, stream: Stream, offset: int) -> int | None:
    """Return the size of the whole object, None if Swift does not tell."""
    if stream.status == 200:
        if offset:
            raise StoreUnavailable(f"Store {account.store_id} serves no ranges of this object.")
        if not stream.is_delimited:
            raise StoreUnavailable(f"Store {account.store_id} does not tell where the data of this object end.")
        return stream.length
    if stream.status not in {206, 416}:
        raise failure(account.store_id, stream)
    found = _CONTENT_RANGE.fullmatch(stream.headers.get("content-range", ""))
    if stream.status == 206:
        if found is None or found[1] != str(offset):
            raise StoreUnavailable(f"Store {account.store_id} sent another range than requested.")
        return int(found[2])
    if found is not None:
        return int(found[2])
    size = object_size(account, place)
    if size is None:
        raise RangeNotSatisfiable("The range is outside the data.")
    return size


def object_size(account: Account, place: Place) -> int | None:
    """Return the size of an object in bytes, None if Swift does not tell.

    :raises DataNotFound: the object does not exist.
    """
    headers = account.head(place.path)
    if headers is None:
        raise object_errors.missing(account.store_id)
    text = headers.get("content-length", "")
    return int(text) if text.isascii() and text.isdigit() else None
