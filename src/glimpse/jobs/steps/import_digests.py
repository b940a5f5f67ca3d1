"""The digests that the data of an import must have, and their comparison with what the source sends."""

from __future__ import annotations

from glimpse.domain.digests import ExpectedDigest
from glimpse.domain.image import Image
from glimpse.domain.remote_image import RemoteImage
from glimpse.errors import Invalid, LimitExceeded, Unavailable
from glimpse.fetch.checksum_file import LONGEST_FILE, file_name_of, from_sums, read_text
from glimpse.jobs.base import Run
from glimpse.jobs.steps.import_plan import Plan
from glimpse.jobs.steps.import_resumption import Earlier
from glimpse.jobs.steps.import_source import ImportSource, SourceFailed
from glimpse.jobs.steps.import_sources import ImportSources
from glimpse.stores.base import LocalFile
from glimpse.transfer.expected_digest import Verifier


class VerifiedSource:
    """An :class:`ImportSource` that does not end before the digests of all that it sent are the expected ones.

    It is a :class:`~glimpse.stores.base.LocalFile` if ``source`` is one.
    """

    def __init__(self, source: ImportSource, verifier: Verifier) -> None:
        self._source = source
        self._verifier = verifier
        if isinstance(source, LocalFile):
            self.fileno = source.fileno

    @property
    def length(self) -> int | None:
        """Bytes of the data, None while it is unknown."""
        return self._source.length

    @property
    def remote(self) -> RemoteImage | None:
        """The image of another service, of the source."""
        return self._source.remote

    def next_batch(self) -> bytes | None:
        """Return the next bytes; None after the end.

        :raises Invalid: the data do not have the digests that were given. Instead of the end.
        """
        batch = self._source.next_batch()
        if batch is None:
            self._verifier.verify()
        else:
            self._verifier.update(batch)
        return batch

    def close(self) -> None:
        """Close the source."""
        self._source.close()


def open_verified(
    sources: ImportSources, run: Run, plan: Plan, image: Image, earlier: Earlier | None = None
) -> ImportSource:
    """Open the source of an import; where digests of its data are known they are verified while it is read.

    They are those of the data as the source sends them, whatever is done to them afterwards. ``earlier`` is what an
    earlier run has received.

    :raises SourceFailed: it cannot be read, or the digests cannot be found or contradict each other.
    """
    expected = _expected(sources, run, plan)
    if not expected:
        return sources.open(run, plan, image, earlier)
    try:
        verifier = Verifier(expected)
    except Invalid as error:
        raise SourceFailed(str(error), is_final=True) from error
    return VerifiedSource(sources.open(run, plan, image, earlier), verifier)


def _expected(sources: ImportSources, run: Run, plan: Plan) -> list[ExpectedDigest]:
    found = list(plan.digests)
    if plan.checksum_uri is not None:
        found.append(_listed(sources, run, plan.checksum_uri, plan.uri or ""))
    return found


def _listed(sources: ImportSources, run: Run, checksum_uri: str, uri: str) -> ExpectedDigest:
    """Return the digest that the file at ``checksum_uri`` has for the data at ``uri``.

    :raises SourceFailed: the file cannot be read, or does not have one.
    """
    try:
        with sources.url_source(run, checksum_uri, LONGEST_FILE) as source:
            return from_sums(read_text(source, run.check), file_name_of(uri))
    except LimitExceeded as error:
        raise _unusable(f"it has more than {LONGEST_FILE} bytes.") from error
    except (Invalid, Unavailable) as error:
        raise _unusable(str(error)) from error


def _unusable(reason: str) -> SourceFailed:
    # what may pass was tried again already
    return SourceFailed(f"The file at 'checksum_uri' cannot be used: {reason}", is_final=True)
