"""The policy interface for services."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol, TypeVar

from glimpse.context import Context
from glimpse.domain.image import Image

T = TypeVar("T")


class Policy(Protocol):
    """Decides by rule name (images-api 8). Every rule refuses identities that are not scoped to a project."""

    def recall_admin(self, caller: Context) -> bool | None:
        """Return the answer of :meth:`is_admin` without waiting; None if the rule calls another service."""
        ...

    def is_admin(self, caller: Context) -> bool:
        """Decide the rule ``context_is_admin`` from all attributes of the caller, regardless of scope.

        ``caller.is_admin`` must be false, because the rule must not depend on its own result.

        :raises Unavailable: the rule calls another service, which does not answer.
        """
        ...

    def allows(self, context: Context, rule: str, target: Mapping[str, object]) -> bool:
        """Tell whether ``rule`` allows the caller, without an image."""
        ...

    def require(self, context: Context, rule: str, target: Mapping[str, object]) -> None:
        """:raises Forbidden: ``rule`` refuses the caller, without an image."""
        ...

    def allows_image(self, context: Context, rule: str, image: Image) -> bool:
        """Tell whether ``rule`` allows the caller for an image; images-api 8.1 describes the target."""
        ...

    def require_image(self, context: Context, rule: str, image: Image) -> None:
        """Require ``rule`` for an image; the error reveals only what the caller may know.

        :raises NotFound: ``rule`` fails and ``get_image`` too.
        :raises Forbidden: ``rule`` fails, and the caller may see the image.
        """
        ...

    @property
    def hides_visible_images(self) -> bool:
        """Tell whether ``get_image`` may refuse images that are visible by ownership, sharing and visibility."""
        ...

    def visible(self, context: Context, images: Iterable[Image]) -> list[Image]:
        """Return the images that ``get_image`` allows; the rule is evaluated once for images that it cannot tell
        apart.
        """
        ...
