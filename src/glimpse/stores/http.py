"""Store ``http``: data on web servers, read and never written (store-formats 6)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import msgspec
from msgspec import Meta

from glimpse.errors import (
    AccessDenied,
    DataNotFound,
    DeletionDenied,
    Invalid,
    RangeNotSatisfiable,
    StoreReadOnly,
    StoreUnavailable,
    Unavailable,
)
from glimpse.fetch.rules import UrlRules
from glimpse.settings.model import DataSources, UriFilter
from glimpse.stores.argument_checks import after_scheme
from glimpse.stores.base import StoreMisconfigured

if TYPE_CHECKING:
    from glimpse.fetch.fetcher import Fetched, Fetcher

SCHEMES = ("http", "https")

#: Redirects that are followed.
REDIRECTS = 5

#: Refusals of a server that pass: Request Timeout, Too Early, Too Many Requests.
_PASSING = frozenset({408, 425, 429})

_CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)")


class HttpOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Options of a store of kind ``http``; an empty text means not set."""

    https_ca_certificates_file: Annotated[
        str | None,
        Meta(description="File of certificates (PEM) to trust; with it, `https_insecure` has no effect."),
    ] = None
    https_insecure: Annotated[
        bool,
        Meta(description="Do not look at the certificates of servers. True because installations rely on it."),
    ] = True
    http_proxy_information: Annotated[
        dict[str, str],
        Meta(description="Proxies by the scheme of the location, for instance `https:10.0.0.1:3128`."),
    ] = {}


class HttpStore:
    """Implements ``stores.base.Store``. A location is any URL that the rules for URLs of users let pass.

    The rules hold for every connection, long after the location was added: what a name means may change.
    """

    scheme = "http"
    # ranges are asked for; a server that knows none sends everything, and what is before the range is read and dropped
    writable = False

    def __init__(
        self,
        store_id: str,
        options: HttpOptions,
        uri_filter: UriFilter,
        sources: DataSources = DataSources(),  # noqa: B008 - it cannot be changed
        rules: UrlRules | None = None,
    ) -> None:
        """``rules`` take the place of those that ``uri_filter`` makes.

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
        raise StoreReadOnly(f"Store {self.id} is read-only: it takes no data.")

    def reader(self, url: str, offset: int = 0, length: int | None = None) -> HttpReader:
        if offset < 0 or (length is not None and length < 0):
            raise RangeNotSatisfiable("A range of bytes has no negative numbers.")
        after_scheme(url, SCHEMES, self.id)
        answer = self._open("GET", url, _range_header(offset, length))
        try:
            return self._reader(answer, offset, length)
        except BaseException:
            answer.close()
            raise

    def size(self, url: str) -> int | None:
        """Bytes that the server says there are, None if it does not.

        Servers that answer HEAD with an error, or without a length, are asked by GET, whose body is not read.

        :raises AccessDenied: the rules refuse the URL or one that it leads to, or the server refuses the request.
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
        """:raises DeletionDenied: always; the data are not the service's."""
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
        """Nothing stays open between calls: each request has a connection of its own."""

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
            raise StoreUnavailable(f"Store {self.id} cannot use its file of certificates.") from error

    def _open(self, method: str, url: str, headers: dict[str, str]) -> Fetched:
        after_scheme(url, SCHEMES, self.id)
        try:
            return self._fetcher.open(method, url.strip(), headers)
        except Invalid as error:
            raise AccessDenied(str(error)) from error
        except Unavailable as error:
            raise StoreUnavailable(str(error)) from error

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
            raise StoreUnavailable("The server sent another range than it was asked for.")
        if total is not None:
            end = total if length is None else offset + length
            if end > total or (offset >= total and not offset == total == 0):
                raise RangeNotSatisfiable(f"The data have {total} bytes; the range lies outside.", total)
            length = end - offset
        elif length is None:
            _require_end(answer)
        return HttpReader(answer, skip=offset - start, length=length)

    def _range_of(self, answer: Fetched) -> tuple[int, int | None]:
        """First byte of a part that was sent, and the bytes of the whole where they are known."""
        found = _CONTENT_RANGE.fullmatch(answer.headers.get("content-range", ""))
        if found is None or found[1] is None:
            raise StoreUnavailable("The server sent a part of the data and does not say which.")
        return int(found[1]), None if found[3] == "*" else int(found[3])

    def _require_success(self, answer: Fetched) -> None:
        if answer.status in {404, 410}:
            raise DataNotFound(f"Store {self.id} has no data at the location.")
        if answer.status >= 500 or answer.status in _PASSING:
            raise StoreUnavailable(f"The server of the location answers {answer.status}.")
        if answer.status != 200:
            raise AccessDenied(f"The server of the location answers {answer.status}.")


class HttpReader:
    """Implements ``stores.base.Reader``."""

    __slots__ = ("_answer", "_chunks", "_delivered", "_rest", "_skip", "length")

    def __init__(self, answer: Fetched, *, skip: int, length: int | None) -> None:
        """``skip`` bytes come before the range; with a ``length`` of None it goes to the end of the answer."""
        self.length = length
        self._answer = answer
        self._chunks: Iterator[bytes] = answer.chunks()
        self._rest = b""
        self._skip = skip
        self._delivered = 0

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
        """Take the next piece of the answer; False at the end of data of unknown length."""
        try:
            chunk = next(self._chunks, None)
        except Unavailable as error:
            raise StoreUnavailable(str(error)) from error
        if chunk is None:
            if self.length is not None:
                raise StoreUnavailable(f"The data ended {self.length - self._delivered} bytes too early.")
            if self._skip:
                raise StoreUnavailable("The data ended before the range began.")
            self.length = self._delivered
            return False
        dropped = min(self._skip, len(chunk))
        self._skip -= dropped
        self._rest = chunk[dropped:]
        return True


def _range_header(offset: int, length: int | None) -> dict[str, str]:
    """Nothing for a range that begins at the front: the rest is not read, and any server can do that."""
    if offset == 0:
        return {}
    # one byte at least: a range of none cannot be written
    last = "" if length is None else str(offset + max(length, 1) - 1)
    return {"Range": f"bytes={offset}-{last}"}


def _length(answer: Fetched) -> int | None:
    text = answer.headers.get("content-length", "")
    return int(text) if text.isascii() and text.isdigit() else None


def _total(answer: Fetched) -> int | None:
    found = _CONTENT_RANGE.fullmatch(answer.headers.get("content-range", ""))
    return int(found[3]) if found is not None and found[3] != "*" else None


def _require_end(answer: Fetched) -> None:
    """Of a body without a length: its end must be marked, or a connection that breaks would look like it.

    :raises AccessDenied: it is not.
    """
    if answer.headers.get("transfer-encoding", "").rpartition(",")[2].strip().lower() != "chunked":
        raise AccessDenied("The server says neither how long the data are nor where they end.")
