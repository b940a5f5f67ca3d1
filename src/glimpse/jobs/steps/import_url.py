"""Sources of imports that are behind URLs: what they have in common, and those of web-download."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Final

from glimpse.errors import GlimpseError, Invalid, LimitExceeded, StoreUnavailable, Unavailable
from glimpse.fetch.fetcher import Fetcher, FetchOptions
from glimpse.fetch.rules import UrlRules
from glimpse.fetch.url_source import NotResumable, ReadLimits, SourceChanged, UrlSource
from glimpse.jobs.base import Run
from glimpse.jobs.steps.import_resumption import Earlier, Marker
from glimpse.jobs.steps.import_source import SourceFailed
from glimpse.settings.model import DataSources

LOG = logging.getLogger(__name__)

#: Seconds between checks of the job while a source is not to be asked again yet.
_CHECK_INTERVAL: Final = 0.5


class UrlReading:
    """How one run of an import reads URLs."""

    def __init__(self, run: Run, rules: UrlRules, web: DataSources, size_cap: int) -> None:
        """``size_cap`` is the maximum of bytes that is read from one."""
        self.fetcher = Fetcher(rules, FetchOptions(open_timeout=web.open_timeout, least_rate=web.least_rate))
        self._run = run
        self._limits = ReadLimits(size_cap=size_cap, time_limit=web.time_limit)

    def source(
        self,
        url: str,
        secrets: Mapping[str, str] | None = None,
        *,
        is_immutable: bool = False,
        earlier: Earlier | None = None,
    ) -> WebSource:
        """Connect to a URL; see :class:`~glimpse.fetch.url_source.UrlSource`.

        If the data are not those any more that an ``earlier`` run has received, or the source does not send the rest of
        them, they are read from their beginning.

        :raises SourceFailed: it cannot be read.
        """
        if earlier is not None:
            source = self.reader(url, secrets, is_immutable=is_immutable)
            source.resume_at(earlier.mark.position, earlier.entity)
            try:
                return WebSource(source, Marker(self._run, earlier), earlier)
            except StartOver as error:
                LOG.info("Import %s begins again with its source: %s", self._run.job.id, error)
        return WebSource(self.reader(url, secrets, is_immutable=is_immutable), Marker(self._run))

    def reader(self, url: str, secrets: Mapping[str, str] | None = None, *, is_immutable: bool = False) -> UrlSource:
        """Return the reader of a URL, which connects when it is first read."""
        return UrlSource(self.fetcher, url, self._limits, secrets=secrets, is_immutable=is_immutable, pause=self._pause)

    def _pause(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self._run.check()
            time.sleep(min(left, _CHECK_INTERVAL))


class StartOver(Exception):
    """The rest of the data cannot be had; ``str(error)`` is the reason."""


class WebSource:
    """The :class:`~glimpse.jobs.steps.import_source.ImportSource` of a URL, which connects at once. What may pass was
    tried again already.
    """

    remote = None

    def __init__(self, source: UrlSource, marker: Marker, earlier: Earlier | None = None) -> None:
        """``earlier`` is what comes before the data of ``source``, which begins where that ends.

        :raises SourceFailed: the source cannot be read.
        :raises StartOver: it can only be read from the beginning.
        """
        self._source = source
        self._marker = marker
        self._earlier = earlier
        try:
            self.length = source.open().total
        except (SourceChanged, NotResumable) as error:
            raise failure_of_url(error) if earlier is None else StartOver(str(error)) from error
        except (Invalid, LimitExceeded, Unavailable) as error:
            raise failure_of_url(error) from error

    def next_batch(self) -> bytes | None:
        """Return the next bytes; None after the end."""
        try:
            if self._earlier is not None:
                if (batch := self._earlier.next_batch()) is not None:
                    return batch
                self._earlier = None
            batch = self._source.next_batch()
        except StoreUnavailable as error:
            raise SourceFailed(f"What was received before cannot be read again: {error}") from error
        except (Invalid, LimitExceeded, Unavailable) as error:
            raise failure_of_url(error) from error
        if batch is not None and self._source.can_be_resumed:
            self._marker.took(batch, self._source.entity)
        return batch

    def close(self) -> None:
        """Close the connection."""
        self._source.close()


def failure_of_url(error: GlimpseError) -> SourceFailed:
    """Return the failure of an import for an error of a URL."""
    return SourceFailed(str(error), is_final=not isinstance(error, SourceChanged))
