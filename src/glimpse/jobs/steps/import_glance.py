"""The source of glance-download: an image of another service (imports-and-stores 2.12).

Its record is read first, with the token of the caller, then its data. Neither request follows a redirect to another
server, because that would get the token. The data of an active image never change, so reading them is resumed also at a
Glance, which sends no entity tags; their size and digest are compared with the record.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from glimpse.domain.digests import ExpectedDigest
from glimpse.domain.remote_image import RemoteImage, remote_image
from glimpse.errors import Invalid, Unavailable
from glimpse.fetch.fetcher import Fetched
from glimpse.jobs.steps.import_plan import GlancePlan
from glimpse.jobs.steps.import_resumption import Earlier
from glimpse.jobs.steps.import_source import SourceFailed
from glimpse.jobs.steps.import_url import UrlReading, WebSource
from glimpse.settings.model import Formats
from glimpse.transfer.expected_digest import Verifier
from glimpse.transfer.pump import is_supported

#: Maximum of bytes of a record.
_RECORD_BYTES: Final = 4 << 20
_VERSION: Final = re.compile(r"/v[0-9]+(?:\.[0-9]+)?$")


class GlanceSource:
    """The :class:`~glimpse.jobs.steps.import_source.ImportSource` of an image of another service."""

    def __init__(self, source: WebSource, remote: RemoteImage) -> None:
        """:raises SourceFailed: the data have another size than the record says."""
        self.remote = remote
        self.length = remote.size
        self._source = source
        self._position = 0
        self._verifier = Verifier(_expected(remote))
        if source.length is not None:
            self._require_size(source.length)

    def next_batch(self) -> bytes | None:
        """Return the next bytes; None after the end, when they are those of the record."""
        batch = self._source.next_batch()
        if batch is None:
            self._require_size(self._position)
            try:
                self._verifier.verify()
            except Invalid as error:
                raise SourceFailed(f"The data are not those of the source image: {error}", is_final=True) from error
            return None
        self._position += len(batch)
        self._verifier.update(batch)
        return batch

    def close(self) -> None:
        """Close the connection."""
        self._source.close()

    def _require_size(self, size: int) -> None:
        if size != self.remote.size:
            raise SourceFailed(
                f"The source image has {self.remote.size} bytes by its record, but {size} bytes of data.", is_final=True
            )


def open_glance_image(
    reading: UrlReading,
    plan: GlancePlan,
    formats: Formats,
    copied_properties: tuple[str, ...],
    earlier: Earlier | None = None,
) -> GlanceSource:
    """Read the record of an image, and connect to its data, the rest of them after what was received ``earlier``.

    :raises SourceFailed: the catalog has no such endpoint, or the image cannot be read.
    """
    if plan.endpoint is None:
        raise SourceFailed(
            f"The service catalog of the caller has no image service with the interface {plan.interface} in the region "
            f"{plan.region}.",
            is_final=True,
        )
    url = f"{_VERSION.sub('', plan.endpoint.rstrip('/'))}/v2/images/{plan.image_id}"
    secrets = {} if plan.token is None else {"X-Auth-Token": plan.token}
    try:
        document = _record(reading, url, secrets)
        remote = remote_image(
            document,
            copied_properties,
            disk_formats=formats.disk_formats,
            container_formats=formats.container_formats,
        )
    except Invalid as error:
        raise SourceFailed(str(error), is_final=True) from error
    except Unavailable as error:
        raise SourceFailed(str(error)) from error
    source = reading.source(f"{url}/file", secrets, is_immutable=bool(_expected(remote)), earlier=earlier)
    try:
        return GlanceSource(source, remote)
    except BaseException:
        source.close()
        raise


def _record(reading: UrlReading, url: str, secrets: dict[str, str]) -> object:
    """:raises Invalid: the source refuses; trying again will not help."""
    with reading.fetcher.open("GET", url, {"Accept": "application/json", **secrets}, stays=True) as answer:
        said = f"The source answers {answer.status} {answer.reason}".rstrip()
        if answer.status >= 500 or answer.status in {408, 425, 429}:
            raise Unavailable(f"{said} when asked for its image.")
        if answer.status in {401, 403}:
            raise Invalid(f"{said} when asked for its image: it does not accept the token, or does not show the image.")
        if answer.status != 200:
            raise Invalid(f"{said} when asked for its image.")
        try:
            return msgspec.json.decode(_body(answer))
        except msgspec.DecodeError as error:
            raise Invalid("The source does not answer with JSON when asked for its image.") from error


def _body(answer: Fetched) -> bytes:
    body = bytearray()
    for chunk in answer.chunks():
        body += chunk
        if len(body) > _RECORD_BYTES:
            raise Invalid("The record of the source image is too large.")
    return bytes(body)


def _expected(remote: RemoteImage) -> list[ExpectedDigest]:
    """Return the strongest digest of the record; none if it has none that can be calculated."""
    if remote.hash_algo is not None and remote.hash_value is not None and is_supported(remote.hash_algo):
        return [ExpectedDigest(remote.hash_algo, remote.hash_value)]
    return [] if remote.checksum is None else [ExpectedDigest("md5", remote.checksum)]
