"""How much the images of one project may take together (images-api 6.2 and 6.3; imports-and-stores 7)."""

from __future__ import annotations

import msgspec

from glimpse.errors import LimitExceeded

#: Of what is free, a reservation that goes beyond its need takes at most this part: others upload as well.
_SHARE = 8


class Allowance(msgspec.Struct, frozen=True, kw_only=True):
    """The bytes that the images of ``project_id`` may have.

    Sums are compared in whole units of ``unit`` bytes, because limits of Keystone count in MiB. With ``overshoot``
    an operation that cannot know its size may go beyond ``limit``, one at a time: the others keep within it.
    """

    project_id: str
    limit: int
    unit: int = 1
    overshoot: bool = False

    def grant(self, used: int, needed: int, wished: int) -> int:
        """The bytes that an operation gets: at least ``needed``, at most ``wished`` if that is more.

        ``used`` are the bytes of everything else, running operations included.

        :raises LimitExceeded: ``needed`` does not fit.
        """
        unit = self.unit
        if used // unit + needed // unit > self.limit // unit and not (
            self.overshoot and used // unit <= self.limit // unit
        ):
            raise LimitExceeded(
                f"The images of project {self.project_id} may use at most {self.limit} bytes in total: {used} bytes "
                f"are used or being uploaded, and this needs {needed} bytes or more."
            )
        spare = (self.limit - used - needed) // _SHARE
        return needed + max(0, min(wished - needed, spare))


class ImageCeiling(msgspec.Struct, frozen=True):
    """The number of images that ``project_id`` may have."""

    project_id: str
    limit: int

    def check(self, count: int) -> None:
        """Refuse one more image than the ``count`` that there are.

        :raises LimitExceeded: the limit is reached.
        """
        if count + 1 > self.limit:
            raise LimitExceeded(
                f"Project {self.project_id} already has {count} images; at most {self.limit} are allowed."
            )
