"""Limits on the total of a project's images (images-api 6.2 and 6.3; imports-and-stores 7)."""

from __future__ import annotations

import msgspec

from glimpse.errors import LimitExceeded

#: A reservation beyond the need takes at most this fraction of the free space, because others upload too.
_SHARE = 8


class Allowance(msgspec.Struct, frozen=True, kw_only=True):
    """The total size allowed for the images of ``project_id``.

    Sums are compared in whole units of ``unit`` bytes, because Keystone's limits are in MiB. With ``overshoot``, one
    operation of unknown size at a time may exceed ``limit``; the others stay within it. With ``staged``, the limit is
    for data that wait for an import, or are being imported, and not for stored data.
    """

    project_id: str
    limit: int
    unit: int = 1
    overshoot: bool = False
    staged: bool = False

    def grant(self, used: int, needed: int, wished: int) -> int:
        """Return the bytes that an operation gets: at least ``needed``, and up to ``wished`` if that is more.

        ``used`` are the bytes of everything else, running operations included.

        :raises LimitExceeded: ``needed`` does not fit.
        """
        unit = self.unit
        if used // unit + needed // unit > self.limit // unit and not (
            self.overshoot and used // unit <= self.limit // unit
        ):
            what = "The staged data" if self.staged else "The images"
            raise LimitExceeded(
                f"{what} of project {self.project_id} may use at most {self.limit} bytes in total: {used} bytes "
                f"are used or being {'sent' if self.staged else 'uploaded'}, and this needs {needed} bytes or more."
            )
        spare = (self.limit - used - needed) // _SHARE
        return needed + max(0, min(wished - needed, spare))


class ImageCeiling(msgspec.Struct, frozen=True):
    """The number of images allowed for ``project_id``."""

    project_id: str
    limit: int

    def check(self, count: int) -> None:
        """Check that one more image is allowed besides ``count`` existing ones.

        :raises LimitExceeded: the limit is reached.
        """
        if count + 1 > self.limit:
            raise LimitExceeded(
                f"Project {self.project_id} already has {count} images; at most {self.limit} are allowed."
            )
