"""What a test has to know about an image of the catalogue."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

Refusal = Literal["safety", "incomplete", "unsized", "mismatch"]
"""How the library's inspection ends: a safety check fails, the data end too early to check them, the size
cannot be read, or the content is not (only) what the user claims."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """An image, what its user claims it to be, and what inspection finds in it."""

    name: str
    disk_format: str
    """What a user registers it as."""
    detected: str
    """The inspector that recognises it."""
    also: tuple[str, ...] = ()
    """Further inspectors that recognise it."""
    virtual_size: int | None = None
    """What the inspector `detected` reads from it, in bytes; None where it finds none (or 0)."""
    build: Callable[[], bytes]
    disk: bytes | None = field(default=None, repr=False)
    """The raw disk a converter finds inside."""
    reason: str = ""
    """Why it is refused; empty for the valid ones."""
    refusal: Refusal | None = None
    check: str = ""
    """The name of the safety check that fails, for the refusal `safety`."""

    strict: str = ""
    """The check of our own reading that refuses it where the library has no opinion, as "FORMAT check NAME"."""

    beyond_library: bool = False
    """Whether the service accepts it although the library's inspectors would not."""

    @property
    def matches(self) -> frozenset[str]:
        """All inspectors that recognise it."""
        return frozenset({self.detected, *self.also})

    @property
    def recorded_virtual_size(self) -> int | None:
        """What the service records: for an image registered as raw that is the number of its bytes."""
        if self.disk_format == "raw":
            return len(self.build()) or None
        return self.virtual_size
