"""What identifies the data at a URL."""

from __future__ import annotations

import msgspec


class Entity(msgspec.Struct, frozen=True, kw_only=True):
    """What identifies the data of a source, to be recorded by those who may have to resume reading.

    ``tag``: strong entity tag. ``last_modified``: the field, if it identifies the data like a strong validator (RFC
    9110, 8.8.2.2). ``total``: bytes of the data, None if the source does not say.
    """

    tag: str | None = None
    last_modified: str | None = None
    total: int | None = None

    @property
    def validator(self) -> str | None:
        """The value for ``If-Range``; None: nothing shows whether the data are the same."""
        return self.tag or self.last_modified
