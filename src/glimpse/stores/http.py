"""Store ``http``: data on web servers, read-only (store-formats 6)."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import msgspec
from msgspec import Meta

from glimpse.errors import (
    AccessDenied,
    DeletionDenied,
    Invalid,
    RangeNotSatisfiable,
    StoreReadOnly,
    StoreUnavailable,
    Unavailable,
)
from glimpse.fetch.rules import UrlRules
from glimpse.settings.model import DataSources, UriFilter
from glimpse.stores import object_errors
from glimpse.stores.argument_checks import after_scheme
from glimpse.stores.base import StoreMisconfigured
from glimpse.stores.driver import Driver

if TYPE_CHECKING:
    from glimpse.fetch.fetcher import Fetched, Fetcher

LOG = logging.getLogger(__name__)

SCHEMES = ("http", "https")

#: Maximum number of redirects followed.
REDIRECTS = 5

#: Temporary refusals of a server: Request Timeout, Too Early, Too Many Requests.
_PASSING = frozenset({408, 425, 429})

#: How often a broken download is resumed at the byte reached; the pause in seconds before each.
_RESUME_PAUSES = (0.0, 0.5, 2.0)

_CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)")


class HttpOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Options of a store of kind ``http``; an empty string means not set."""

    https_ca_certificates_file: Annotated[
        str | None,
        Meta(description="File of CA certificates to trust (PEM). If set, `https_insecure` has no effect."),
    ] = None
    https_insecure: Annotated[
        bool,
        Meta(
            description="Do not verify the certificates of servers. The default is true because existing installations "
            "rely on it."
        ),
    ] = True
    http_proxy_information: Annotated[
        dict[str, str],
        Meta(description="Proxies by scheme of the location, for example `https:10.0.0.1:3128`."),
    ] = {}


class HttpStore:
    """Implements ``stores.base.Store``. A location is any URL that the rules for users' URLs allow.

    The rules are checked on every connection, not only when a location is added: a host name may resolve differently
    later.
    """

    scheme = "http"
    # ranges are requested; if a server does not support them, the bytes before the range are read and dropped
    writable = False

    def __init__(
        self,
        store_id: str,
        options: HttpOptions,
        uri_filter: UriFilter,
        sources: DataSources = DataSources(),  # noqa: B008 - it cannot be changed
        rules: UrlRules | None = None,
    ) -> None:
        """``rules`` replace those built from ``uri_filter``.

        :raises StoreMisconfigured: the file of certificates cannot be read.
        """
        self.id = store_id
        self._options = options
        self._sources = sources
        self._rules = rules or UrlRules(uri_filter)
        certificates = options.https_ca_certificates_file
        if certificates and not Path(certificates).is_file():
            raise StoreMisconfigured(store_id, f"https_ca_certificates_file {certificates} is not a file")

    def writer(self, image_id: str, size: int | None, attempt: str) -> NoReturn:  # noqa: ARG002 - the protocol's signature
        """:raises StoreReadOnly: always."""
        raise StoreReadOnly(f"Store {self.id} is read-only.")

    def reader(self, url: str, offset: int = 0, length: int | None = None) -> HttpReader:
        if offset < 0 or (length is not None and length < 0):
            raise RangeNotSatisfiable("A byte range must not have negative numbers.")
        after_scheme(url, SCHEMES, self.id)
        answer = self._open("GET", url, _range_header(offset, length))
        try:
            reader = self._reader(answer, offset, length)
        except BaseException:
            answer.close()
            raise
        tag = _strong_tag(answer)
        if tag is not None:
            reader.resume = partial(self._resumed, url, tag, offset)
        return reader

    def size(self, url: str) -> int | None:
        """Return the size in bytes that the server reports, None if it reports none.

        If a server answers HEAD with an error, or without a length, a GET follows, whose body is not read.

        :raises AccessDenied: the rules refuse the URL or a redirect, or the server refuses the request.
        """
        for method in ("HEAD", "GET"):
            with self._open(method, url, {}) as answer:
                size = _length(answer)
                if answer.status == 200 and size is not None:
                    return size
                if method == "GET":
                    self._require_success(answer)
                    _require_end(answer)
        return None

    def delete(self, url: str) -> NoReturn:
        """:raises DeletionDenied: always; the data do not belong to the service."""
        self.check_delete(url)

    def check_delete(self, url: str) -> NoReturn:
        """:raises DeletionDenied: always."""
        after_scheme(url, SCHEMES, self.id)
        raise DeletionDenied(f"Store {self.id} is read-only: the service does not delete data on web servers.")

    def sweep(
        self,
        image_id: str,  # noqa: ARG002 - the protocol's signature
        attempt: str,  # noqa: ARG002
        is_orphan: Callable[[str], bool] | None = None,  # noqa: ARG002
    ) -> bool:
        return False

    def close(self) -> None:
        """Do nothing: each request has a connection of its own, and none stays open."""

    @cached_property
    def _fetcher(self) -> Fetcher:
        # imported here: it is slow to import, and most services have no location on a web server
        from glimpse.fetch.fetcher import Fetcher, FetchOptions  # noqa: PLC0415

        certificates = self._options.https_ca_certificates_file or None
        options = FetchOptions(
            open_timeout=self._sources.open_timeout,
            least_rate=self._sources.least_rate,
            redirects=REDIRECTS,
            proxies=self._options.http_proxy_information,
            ca_file=certificates,
            verify=certificates is not None or not self._options.https_insecure,
        )
        try:
            return Fetcher(self._rules, options)
        except OSError as error:
            raise StoreUnavailable(f"Store {self.id} cannot use its https_ca_certificates_file.") from error

    def _open(self, method: str, url: str, headers: dict[str, str]) -> Fetched:
        after_scheme(url, SCHEMES, self.id)
        try:
            return self._fetcher.open(method, url.strip(), headers)
        except Invalid as error:
            raise AccessDenied(str(error)) from error
        except Unavailable as error:
            raise StoreUnavailable(str(error)) from error

    def _resumed(self, url: str, tag: str, offset: int, delivered: int, length: int | None) -> Fetched | None:
        """Open the rest of a range whose download broke after ``delivered`` bytes; None if the server does not send it.

        ``tag`` is the entity tag of the data so far: data that changed since are not sent.
        """
        start = offset + delivered
        last = "" if length is None else offset + length - 1
        try:
            answer = self._open("GET", url, {"Range": f"bytes={start}-{last}", "If-Range": tag})
        except (AccessDenied, StoreUnavailable) as error:
            LOG.warning("Store %s: reading could not be resumed at byte %d: %s", self.id, start, error)
            return None
        found = _CONTENT_RANGE.fullmatch(answer.headers.get("content-range", ""))
        if answer.status == 206 and found is not None and found[1] == str(start) and _strong_tag(answer) == tag:
            LOG.info("Store %s: reading is resumed at byte %d", self.id, start)
            return answer
        answer.close()
        LOG.warning("Store %s: reading could not be resumed at byte %d: the server does not send it", self.id, start)
        return None

    def _reader(self, answer: Fetched, offset: int, length: int | None) -> HttpReader:
        if answer.status == 206:
            start, total = self._range_of(answer)
        elif answer.status == 416:
            total = _total(answer)
            raise RangeNotSatisfiable("The range is outside the data.", total)
        else:
            self._require_success(answer)
            start, total = 0, _length(answer)
        if start > offset:
            raise StoreUnavailable("The server sent a different range than requested.")
        if total is not None:
            end = total if length is None else offset + length
            if end > total or (offset >= total and not offset == total == 0):
                raise RangeNotSatisfiable(f"The data have {total} bytes; the range lies outside.", total)
            length = end - offset
        elif length is None:
            _require_end(answer)
        return HttpReader(answer, skip=offset - start, length=length)

    def _range_of(self, answer: Fetched) -> tuple[int, int | None]:
        """Return the first byte of the part that was sent, and the size of the whole, None if it is unknown."""
        found = _CONTENT_RANGE.fullmatch(answer.headers.get("content-range", ""))
        if found is None or found[1] is None:
            raise StoreUnavailable("The server sent a part of the data without a valid Content-Range.")
        return int(found[1]), None if found[3] == "*" else int(found[3])

    def _require_success(self, answer: Fetched) -> None:
        if answer.status in {404, 410}:
            raise object_errors.missing(self.id)
        if answer.status >= 500 or answer.status in _PASSING:
            raise StoreUnavailable(f"The server of the location answers {answer.status}.")
        if answer.status != 200:
            raise AccessDenied(f"The server of the location answers {answer.status}.")


class HttpReader:
    """Implements ``stores.base.Reader``. Resumes a broken download at the byte reached, if the server identifies the
    data by a strong entity tag.
    """

    __slots__ = ("_answer", "_chunks", "_delivered", "_pauses", "_rest", "_skip", "length", "resume")

    def __init__(self, answer: Fetched, *, skip: int, length: int | None) -> None:
        """``skip`` bytes precede the range; with a ``length`` of None it extends to the end of the response."""
        self.length = length
        self._answer = answer
        self._chunks: Iterator[bytes] = answer.chunks()
        self._rest = b""
        self._skip = skip
        self._delivered = 0
        self._pauses = iter(_RESUME_PAUSES)
        #: takes the bytes delivered and the length of the range; returns the rest of the range, None if it cannot
        self.resume: Callable[[int, int | None], Fetched | None] | None = None

    def read(self, size: int) -> bytes:
        wanted = size if self.length is None else min(size, self.length - self._delivered)
        if not wanted:
            return b""
        while not self._rest:
            if not self._next():
                return b""
        part, self._rest = self._rest, b""
        if len(part) > wanted:
            part, self._rest = part[:wanted], part[wanted:]
        self._delivered += len(part)
        return part

    def close(self) -> None:
        self._answer.close()

    def _next(self) -> bool:
        """Read the next chunk of the response, or resume it; False at the end of data of unknown length."""
        try:
            chunk = self._chunk()
        except Unavailable as error:
            if self._go_on():
                return True
            raise StoreUnavailable(str(error)) from error
        if chunk is None:
            if self._skip:
                raise StoreUnavailable("The data ended before the range began.")
            self.length = self._delivered
            return False
        dropped = min(self._skip, len(chunk))
        self._skip -= dropped
        self._rest = chunk[dropped:]
        return True

    def _chunk(self) -> bytes | None:
        """:raises Unavailable: the response broke off."""
        chunk = next(self._chunks, None)
        if chunk is None and self.length is not None:
            raise Unavailable(f"The data ended {self.length - self._delivered} bytes too early.")
        return chunk

    def _go_on(self) -> bool:
        """Replace the broken response by one with the rest of the range; False if that is not possible."""
        pause = next(self._pauses, None)
        if self.resume is None or pause is None:
            return False
        self._answer.close()
        time.sleep(pause)
        answer = self.resume(self._delivered, self.length)
        if answer is None:
            return False
        self._answer, self._chunks, self._skip = answer, answer.chunks(), 0
        return True


def _range_header(offset: int, length: int | None) -> dict[str, str]:
    """Return no header for a range from the first byte: the rest is not read, which works with any server."""
    if offset == 0:
        return {}
    # at least one byte: an empty range cannot be expressed
    last = "" if length is None else str(offset + max(length, 1) - 1)
    return {"Range": f"bytes={offset}-{last}"}


def _strong_tag(answer: Fetched) -> str | None:
    tag = answer.headers.get("etag", "").strip()
    return tag if len(tag) > 2 and tag.startswith('"') and tag.endswith('"') else None


def _length(answer: Fetched) -> int | None:
    text = answer.headers.get("content-length", "")
    return int(text) if text.isascii() and text.isdigit() else None


def _total(answer: Fetched) -> int | None:
    found = _CONTENT_RANGE.fullmatch(answer.headers.get("content-range", ""))
    return int(found[3]) if found is not None and found[3] != "*" else None


def _require_end(answer: Fetched) -> None:
    """Require that a body without a length marks its end; otherwise a broken connection would look like the end.

    :raises AccessDenied: it does not.
    """
    if answer.headers.get("transfer-encoding", "").rpartition(",")[2].strip().lower() != "chunked":
        raise AccessDenied("The server says neither how long the data are nor where they end.")


DRIVER = Driver(kind="http", schemes=SCHEMES, options=HttpOptions, build=HttpStore, fetches=True, only_read=True)
