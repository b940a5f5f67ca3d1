"""Reads the data at a user's URL from start to end, and resumes where a connection broke (imports-and-stores 2.11).

Every connection is opened by the :class:`~glimpse.fetch.fetcher.Fetcher`: the rules for users' URLs, redirects and the
addresses of names are checked anew each time. What the source sends is pinned to the data that it began with, so data
of two versions are never mixed.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Final, Self

import msgspec

from glimpse.errors import Invalid, LimitExceeded, Unavailable
from glimpse.fetch.entity import Entity
from glimpse.fetch.fetcher import Fetched, Fetcher
from glimpse.transfer.pump import BATCH_BYTES

LOG = logging.getLogger(__name__)

#: Temporary refusals besides 5xx: Request Timeout, Too Early, Too Many Requests.
_PASSING: Final = frozenset({408, 425, 429})
#: Answers to a request for the rest of the data that mean that they are other data now.
_OTHER_DATA: Final = frozenset({200, 412, 416})
#: A batch is returned after this many seconds even if it is small, so that the job sees progress and cancellation.
_FILL_SECONDS: Final = 1.0
_CONTENT_RANGE: Final = re.compile(r"bytes ([0-9]{1,19})-([0-9]{1,19})/([0-9]{1,19}|\*)")
_STRONG_TAG: Final = re.compile(r'"[\x21\x23-\x7e]+"')


class SourceRefused(Invalid):
    """The source answers that it does not give the data; trying again will not help."""


class SourceUnavailable(Unavailable):
    """The source could not be read to the end of the data, also not by resuming."""


class SourceChanged(SourceUnavailable):
    """The data changed while they were read: those read so far are useless."""


class NotResumable(SourceUnavailable):
    """The source does not send the rest of the data; they can only be read from their beginning."""


class _Passing(Unavailable):
    """A status that may pass; ``wait`` are the seconds that the source asks for."""

    def __init__(self, message: str, wait: float) -> None:
        super().__init__(message)
        self.wait = wait


class ReadLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of one source.

    ``size_cap``: maximum bytes of the data (``image_size_cap``). ``time_limit``: seconds for everything, pauses
    included; 0: any; exceeded by at most the read time-out of the fetcher. ``tries``: how often to connect again
    without 1 MiB of progress. The pause before that starts with ``first_pause`` seconds and doubles up to
    ``longest_pause``, which also limits what the source asks for by ``Retry-After``.
    """

    size_cap: int
    time_limit: float = 0.0
    tries: int = 5
    first_pause: float = 1.0
    longest_pause: float = 60.0


class UrlSource:
    """Implements ``transfer.source.ByteSource``: the body of a GET of a URL.

    The service sends no credentials of its own; those in the URL go to the origin of the URL only. Data with a
    ``Content-Encoding`` are refused. No message contains the URL. After an error the source is closed.
    """

    def __init__(
        self,
        fetcher: Fetcher,
        url: str,
        limits: ReadLimits,
        *,
        secrets: Mapping[str, str] | None = None,
        is_immutable: bool = False,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """``pause`` waits for some seconds; an exception that it raises ends reading.

        :param secrets: headers that only the origin of the URL may get, so redirects to another one are refused.
        :param is_immutable: the data at the URL never change, so reading can be resumed without a validator. The caller
            verifies their digest.
        """
        #: bytes of the data that were read, or that :meth:`resume_at` was told of
        self.position = 0
        #: what identifies the data; empty before :meth:`open`
        self.entity = Entity()
        self._fetcher = fetcher
        self._url = url
        self._limits = limits
        self._secrets = secrets or {}
        self._is_immutable = is_immutable
        self._pause = pause
        self._pinned = False
        self._ended = False
        self._answer: Fetched | None = None
        self._chunks: Iterator[bytes] | None = None
        self._until: float | None = None
        #: why the last connection ended, the failures since the last progress, and the position at that progress
        self._fault: Unavailable | None = None
        self._failures = 0
        self._progress = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    def resume_at(self, position: int, entity: Entity) -> None:
        """Go on where another process stopped, which read ``position`` bytes of ``entity``. Call it before reading.

        :raises ValueError: reading has begun, or there is no such position.
        """
        if self._pinned or position < 0 or (entity.total is not None and position > entity.total):
            raise ValueError(f"reading cannot be resumed at byte {position}")
        self.position = self._progress = position
        self.entity = entity
        self._pinned = True
        self._ended = position == entity.total

    @property
    def can_be_resumed(self) -> bool:
        """Whether the rest of the data may be asked for, once :meth:`open` has returned."""
        return self._is_immutable or self.entity.validator is not None

    def open(self) -> Entity:
        """Connect to the source unless this is done, and return what identifies the data.

        :raises Invalid: the rules refuse the URL or a redirect; :class:`SourceRefused`: the source refuses.
        :raises LimitExceeded: the source announces more bytes than allowed.
        :raises SourceChanged: the data are not those that reading began with.
        :raises SourceUnavailable: the source cannot be reached, or not be resumed, or the time is over.
        """
        if self._until is None and self._limits.time_limit:
            self._until = time.monotonic() + self._limits.time_limit
        try:
            while self._chunks is None and not self._ended:
                if self._fault is not None:
                    self._wait_after(self._fault)
                try:
                    self._connect()
                except SourceUnavailable:
                    raise
                except Unavailable as error:
                    self._break(error)
        except BaseException:
            self.close()
            raise
        return self.entity

    def next_batch(self) -> bytes | None:
        """Return the next bytes, about 1 MiB unless the source is slow; None after the end.

        :raises LimitExceeded: the data are longer than allowed.

        Errors of :meth:`open` are raised as well.
        """
        while not self._ended:
            self.open()
            if self._chunks is None:
                break
            try:
                batch = self._gather(self._chunks)
            except BaseException:
                self.close()
                raise
            if batch:
                return batch
        return None

    def close(self) -> None:
        """Close the connection; safe to call twice."""
        answer, self._answer, self._chunks = self._answer, None, None
        if answer is not None:
            answer.close()

    def _gather(self, chunks: Iterator[bytes]) -> bytes:
        """Read a batch; it is short, or empty, if the response ends or breaks."""
        pieces: list[bytes] = []
        size = 0
        until = time.monotonic() + _FILL_SECONDS
        try:
            for chunk in chunks:
                self._advance(len(chunk))
                pieces.append(chunk)
                size += len(chunk)
                now = time.monotonic()
                self._check_time(now)
                if size >= BATCH_BYTES or (size and now >= until):
                    break
            else:
                self._end_of_answer()
        except (SourceUnavailable, LimitExceeded):
            raise
        except Unavailable as error:
            self._break(error)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _advance(self, count: int) -> None:
        self.position += count
        total = self.entity.total
        if total is not None and self.position > total:
            raise SourceChanged(f"The source sent more than the {total} bytes that it announced.")
        self._check_size(self.position)

    def _end_of_answer(self) -> None:
        total = self.entity.total
        if total is None:
            self.entity = msgspec.structs.replace(self.entity, total=self.position)
        elif self.position < total:
            raise Unavailable(f"The response ended before the end of the {total} bytes.")
        self._ended = True
        self.close()

    def _break(self, fault: Unavailable) -> None:
        """Record that a connection failed. What was read before is delivered first."""
        self.close()
        if self._pinned and self.position == self.entity.total:
            self._ended = True
            return
        if self.position - self._progress >= BATCH_BYTES:
            self._failures = 0
            self._progress = self.position
        self._failures += 1
        self._fault = fault

    def _wait_after(self, fault: Unavailable) -> None:
        if self.position and not self.can_be_resumed:
            raise SourceUnavailable(
                f"{self._stopped(fault)} It cannot be resumed, because the source does not identify its data by a "
                "strong entity tag or a modification time."
            ) from fault
        if self._failures > self._limits.tries:
            raise SourceUnavailable(f"{self._stopped(fault)} That was try {self._failures} at this point.") from fault
        limits = self._limits
        wait = min(limits.first_pause * 2.0 ** (self._failures - 1), limits.longest_pause)
        if isinstance(fault, _Passing):
            wait = max(wait, min(fault.wait, limits.longest_pause))
        self._check_time(time.monotonic() + wait)
        self._pause(wait)

    def _stopped(self, fault: Unavailable) -> str:
        return f"The source could not be read beyond byte {self.position}: {fault}"

    def _check_time(self, now: float) -> None:
        if self._until is not None and now >= self._until:
            raise SourceUnavailable(
                f"The source could not be read within {self._limits.time_limit:g} seconds; {self.position} bytes were "
                "read."
            )

    def _check_size(self, size: int) -> None:
        if size > self._limits.size_cap:
            raise LimitExceeded(
                f"The data of the source are too large: {size} bytes or more, image_size_cap allows "
                f"{self._limits.size_cap}."
            )

    def _connect(self) -> None:
        start = self.position
        headers: dict[str, str] = {}
        if start:
            if not self.can_be_resumed:
                raise NotResumable(f"Reading the source cannot be resumed at byte {start}: nothing identifies it.")
            validator = self.entity.validator
            headers = {"Range": f"bytes={start}-", **({"If-Range": validator} if validator is not None else {})}
        answer = self._fetcher.open("GET", self._url, {**headers, **self._secrets}, stays=bool(self._secrets))
        try:
            self._check_status(answer)
            found = self._rest(answer) if start else self._whole(answer)
            if found.total is not None:
                self._check_size(found.total)
        except BaseException:
            answer.close()
            raise
        if self._fault is not None:
            LOG.info("Reading of a source goes on at byte %d, after: %s", start, self._fault)
        self.entity = found
        self._pinned = True
        self._fault = None
        self._answer = answer
        self._chunks = answer.chunks()

    def _check_status(self, answer: Fetched) -> None:
        status = answer.status
        said = f"The source answers {status} {answer.reason}".rstrip()
        if self.position:
            said += f" when asked for the data from byte {self.position}"
        if status >= 500 or status in _PASSING:
            raise _Passing(f"{said}.", _retry_after(answer.headers.get("retry-after", "")))
        if self.position and status in _OTHER_DATA:
            if status == 200 and (self._is_immutable or _strong_tag(answer) == self.entity.tag is not None):
                raise NotResumable(f"{said}: it does not send a part of its data, so it cannot be resumed.")
            raise self._changed()
        if status != (206 if self.position else 200):
            raise SourceRefused(f"{said}.")
        encoding = answer.headers.get("content-encoding", "identity").strip().lower()
        if encoding not in {"identity", ""}:
            raise SourceRefused("The source sends the data with a Content-Encoding, although it was asked not to.")

    def _whole(self, answer: Fetched) -> Entity:
        """Identify the data of a response with status 200.

        :raises SourceRefused: the end of the data could not be told from a broken connection.
        :raises SourceChanged: reading began with other data.
        """
        total = _length(answer)
        if total is None and answer.headers.get("transfer-encoding", "").strip().lower() != "chunked":
            raise SourceRefused("The source says neither how long the data are nor where they end.")
        found = Entity(tag=_strong_tag(answer), last_modified=_strong_time(answer), total=total)
        if self._pinned and not _same(found, self.entity):
            raise self._changed()
        return found

    def _rest(self, answer: Fetched) -> Entity:
        """Check that a response with status 206 has the rest of the same data.

        :raises SourceChanged: it has something else.
        """
        found = _CONTENT_RANGE.fullmatch(answer.headers.get("content-range", "").strip())
        if found is None or found[3] == "*":
            raise NotResumable(
                f"Reading the source cannot be resumed at byte {self.position}: its Content-Range is not usable."
            )
        first, last, total = int(found[1]), int(found[2]), int(found[3])
        length = _length(answer)
        entity = self.entity
        if (
            first != self.position
            or not first <= last < total
            or (length is not None and length != last - first + 1)
            or (entity.total is not None and total != entity.total)
            or _strong_tag(answer) != entity.tag
            # a response to If-Range need not repeat the time
            or (
                entity.tag is None and answer.headers.get("last-modified", entity.last_modified) != entity.last_modified
            )
        ):
            raise self._changed()
        return msgspec.structs.replace(entity, total=total)

    def _changed(self) -> SourceChanged:
        return SourceChanged(
            f"The data of the source changed while they were read: they are not the same any more at byte "
            f"{self.position}."
        )


def _same(one: Entity, other: Entity) -> bool:
    if (one.tag, one.total) != (other.tag, other.total):
        return False
    times = {one.last_modified, other.last_modified} - {None}
    return one.tag is not None or len(times) <= 1


def _length(answer: Fetched) -> int | None:
    text = answer.headers.get("content-length", "")
    if "transfer-encoding" in answer.headers or not (text.isascii() and text.isdigit()):
        return None
    return int(text)


def _strong_tag(answer: Fetched) -> str | None:
    tag = answer.headers.get("etag", "").strip()
    return tag if _STRONG_TAG.fullmatch(tag) else None


def _strong_time(answer: Fetched) -> str | None:
    """``Last-Modified``, if the response was sent at least a second later; else data of the same second may differ."""
    text = answer.headers.get("last-modified", "")
    if not text.isascii():
        return None  # a request cannot repeat it
    modified, sent = _time(text), _time(answer.headers.get("date", ""))
    return text if modified is not None and sent is not None and (sent - modified).total_seconds() >= 1 else None


def _time(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def _retry_after(text: str) -> float:
    """Seconds that ``Retry-After`` asks for, as a number or a time; 0 if it is not there."""
    if text.isascii() and text.isdigit():
        return float(text[:9])
    moment = _time(text)
    return 0.0 if moment is None else max(0.0, (moment - datetime.now(UTC)).total_seconds())
