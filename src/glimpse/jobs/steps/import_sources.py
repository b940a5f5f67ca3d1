"""Opens the sources of imports: staged data, the copies of an image, URLs of users, and other image services."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from glimpse.domain.image import Image
from glimpse.errors import DataNotFound, GlimpseError, LeaseLost, Unavailable
from glimpse.fetch.rules import UrlRules
from glimpse.jobs.base import Run
from glimpse.jobs.steps.import_plan import Plan
from glimpse.jobs.steps.import_resumption import Earlier
from glimpse.jobs.steps.import_source import ImportSource, ReaderSource, SourceFailed, StagedSource
from glimpse.settings.model import DataSources, Formats
from glimpse.staging.base import StagingArea
from glimpse.stores.base import Reader

if TYPE_CHECKING:
    from glimpse.fetch.url_source import UrlSource
    from glimpse.jobs.steps.import_url import UrlReading

#: Opens the data of an active image: the first copy that can be read, and the next ones when it fails.
OpenCopies = Callable[[Image], Reader]


class ImportSources:
    """Opens what imports read."""

    def __init__(
        self,
        staging: StagingArea,
        open_copies: OpenCopies,
        *,
        rules: UrlRules,
        web: DataSources,
        formats: Formats,
        copied_properties: tuple[str, ...],
        size_cap: int,
    ) -> None:
        """``rules`` are those for URLs of users; ``size_cap`` is the maximum of bytes that is read from one.

        ``copied_properties`` are the beginnings of the names of properties that are taken over from another service.
        """
        self._staging = staging
        self._open_copies = open_copies
        self._rules = rules
        self._web = web
        self._formats = formats
        self._copied_properties = copied_properties
        self._size_cap = size_cap

    def open(self, run: Run, plan: Plan, image: Image, earlier: Earlier | None = None) -> ImportSource:
        """Open the source of an import; ``run`` is asked while a web server is not to be asked again yet.

        ``earlier`` is what an earlier run has received of a URL.

        :raises SourceFailed: it cannot be read.
        """
        if plan.uri is not None:
            return self._reading(run).source(plan.uri, earlier=earlier)
        if plan.glance is not None:
            from glimpse.jobs.steps.import_glance import open_glance_image  # noqa: PLC0415 - see _reading

            reading = self._reading(run)
            return open_glance_image(reading, plan.glance, self._formats, self._copied_properties, earlier)
        try:
            if plan.is_staged:
                return StagedSource(self._staging.reader(image.id))
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

    def url_source(self, run: Run, url: str, size_cap: int) -> UrlSource:
        """Return the reader of a user's URL, which connects when it is first read.

        :param size_cap: maximum number of bytes that it reads.
        """
        return self._reading(run, size_cap).reader(url)

    def _reading(self, run: Run, size_cap: int | None = None) -> UrlReading:
        # imported here: slow to import, and needed by no other job
        from glimpse.jobs.steps.import_url import UrlReading  # noqa: PLC0415

        return UrlReading(run, self._rules, self._web, self._size_cap if size_cap is None else size_cap)
