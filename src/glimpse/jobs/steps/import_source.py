"""The sources of imports: staged data, URLs of users, and the copies of an image in other stores."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from glimpse.domain.image import Image
from glimpse.errors import DataNotFound, GlimpseError, Invalid, LeaseLost, LimitExceeded, Unavailable
from glimpse.fetch.rules import UrlRules
from glimpse.jobs.base import Run
from glimpse.jobs.steps.import_plan import Plan
from glimpse.settings.model import DataSources
from glimpse.staging.base import StagingArea
from glimpse.stores.base import Reader
from glimpse.transfer.pump import BATCH_BYTES

if TYPE_CHECKING:
    from glimpse.fetch.url_source import UrlSource

#: Opens the data of an active image: the first copy that can be read, and the next ones when it fails.
OpenCopies = Callable[[Image], Reader]

#: Seconds between checks of the job while a source is not to be asked again yet.
_CHECK_INTERVAL = 0.5


class SourceFailed(Exception):
    """The data could not be read to their end. ``str(error)`` is the reason for the user.

    ``is_final``: trying again will not help. ``is_gone``: there are no data.
    """

    def __init__(self, reason: str, *, is_final: bool = False, is_gone: bool = False) -> None:
        super().__init__(reason)
        self.is_final = is_final
        self.is_gone = is_gone


class ImportSource(Protocol):
    """A :class:`~glimpse.transfer.source.ByteSource` whose only errors are :class:`SourceFailed`, and those of the
    run. ``length`` is in bytes, None while it is unknown.
    """

    @property
    def length(self) -> int | None: ...

    def next_batch(self) -> bytes | None: ...

    def close(self) -> None: ...


class ReaderSource:
    """The :class:`ImportSource` of a reader."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self.length = reader.length

    def next_batch(self) -> bytes | None:
        """Return the next bytes; None after the end."""
        try:
            return self._reader.read(BATCH_BYTES) or None
        except GlimpseError as error:
            raise SourceFailed(str(error)) from error

    def close(self) -> None:
        """Close the reader."""
        self._reader.close()


class WebSource:
    """The :class:`ImportSource` of a URL, which connects at once. What may pass was tried again already."""

    def __init__(self, source: UrlSource) -> None:
        self._source = source
        try:
            self.length = source.open().total
        except (Invalid, LimitExceeded, Unavailable) as error:
            raise _failure_of_url(error) from error

    def next_batch(self) -> bytes | None:
        """Return the next bytes; None after the end."""
        try:
            return self._source.next_batch()
        except (Invalid, LimitExceeded, Unavailable) as error:
            raise _failure_of_url(error) from error

    def close(self) -> None:
        """Close the connection."""
        self._source.close()


class ImportSources:
    """Opens what imports read."""

    def __init__(
        self,
        staging: StagingArea,
        open_copies: OpenCopies,
        *,
        rules: UrlRules,
        web: DataSources,
        size_cap: int,
    ) -> None:
        """``rules`` are those for URLs of users; ``size_cap`` is the maximum of bytes that is read from one."""
        self._staging = staging
        self._open_copies = open_copies
        self._rules = rules
        self._web = web
        self._size_cap = size_cap

    def open(self, run: Run, plan: Plan, image: Image) -> ImportSource:
        """Open the source of an import; ``run`` is asked while a web server is not to be asked again yet.

        :raises SourceFailed: it cannot be read.
        """
        if plan.uri is not None:
            return self._url(run, plan.uri)
        try:
            if plan.is_staged:
                return ReaderSource(self._staging.reader(image.id))
            if plan.copies:
                return ReaderSource(self._open_copies(image))
        except DataNotFound as error:
            raise SourceFailed(str(error), is_final=True, is_gone=True) from error
        except LeaseLost:
            raise
        except Unavailable as error:
            raise SourceFailed(str(error)) from error
        except GlimpseError as error:
            raise SourceFailed(str(error), is_final=True) from error
        raise SourceFailed(f"This version cannot import with the method {plan.method}.", is_final=True)

    def _url(self, run: Run, url: str) -> WebSource:
        return WebSource(self.url_source(run, url, self._size_cap))

    def url_source(self, run: Run, url: str, size_cap: int) -> UrlSource:
        """Return the reader of a user's URL, which connects when it is first read.

        :param size_cap: maximum number of bytes that it reads.
        """
        # imported here: slow to import, and needed by no other job
        from glimpse.fetch.fetcher import Fetcher, FetchOptions  # noqa: PLC0415
        from glimpse.fetch.url_source import ReadLimits, UrlSource  # noqa: PLC0415

        def pause(seconds: float) -> None:
            until = time.monotonic() + seconds
            while (left := until - time.monotonic()) > 0:
                run.check()
                time.sleep(min(left, _CHECK_INTERVAL))

        options = FetchOptions(open_timeout=self._web.open_timeout, least_rate=self._web.least_rate)
        return UrlSource(Fetcher(self._rules, options), url, ReadLimits(size_cap=size_cap), pause=pause)


def _failure_of_url(error: GlimpseError) -> SourceFailed:
    from glimpse.fetch.url_source import SourceChanged  # noqa: PLC0415 - see ImportSources

    return SourceFailed(str(error), is_final=not isinstance(error, SourceChanged))
