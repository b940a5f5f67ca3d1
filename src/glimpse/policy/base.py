"""Policy as the services see it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol, TypeVar

from glimpse.context import Context
from glimpse.domain.image import Image

T = TypeVar("T")


class Policy(Protocol):
    """Decides by rule name (images-api 8). Identities that are not project-scoped fail every rule."""

    def recall_admin(self, caller: Context) -> bool | None:
        """The answer of :meth:`is_admin` where it needs no waiting; None where the rule asks another service."""
        ...

    def is_admin(self, caller: Context) -> bool:
        """The rule ``context_is_admin``, decided on everything known about the caller, whatever the scope.

        ``caller.is_admin`` must be false: the rule cannot rest on its own outcome.

        :raises Unavailable: the rule asks another service, which does not answer.
        """
        ...

    def allows(self, context: Context, rule: str, target: Mapping[str, object]) -> bool:
        """Whether ``rule`` holds for a plain target."""
        ...

    def require(self, context: Context, rule: str, target: Mapping[str, object]) -> None:
        """:raises Forbidden: ``rule`` does not hold for a plain target."""
        ...

    def allows_image(self, context: Context, rule: str, image: Image) -> bool:
        """Whether ``rule`` holds for an image; images-api 8.1 describes the target."""
        ...

    def require_image(self, context: Context, rule: str, image: Image) -> None:
        """Refuse with what the caller may know.

        :raises NotFound: ``rule`` fails and ``get_image`` too.
        :raises Forbidden: ``rule`` fails, and the caller may see the image.
        """
        ...

    @property
    def hides_visible_images(self) -> bool:
        """Whether ``get_image`` may refuse a reader an image that sharing and visibility let them see."""
        ...

    def visible(self, context: Context, images: Iterable[Image]) -> list[Image]:
        """Those images that ``get_image`` allows, deciding once for images that look alike to the rule."""
        ...
