"""The domain's interface for validation against the image schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class ImageDocumentChecker(Protocol):
    """The image schema with the operator's custom properties (images-api 2.1 and 2.3)."""

    @property
    def required(self) -> frozenset[str]:
        """Names that are required to create an image; empty unless schema-image.json lists some."""
        ...

    def check_document(self, document: Mapping[str, object]) -> None:
        """Validate the complete document of a creation, including ``required``.

        :raises Invalid: a value violates the schema; the message describes the first one.
        """
        ...

    def check_value(self, name: str, value: object) -> None:
        """Validate the value of one attribute or property; ``required`` does not matter here.

        :raises Invalid: the value violates the schema of ``name``.
        """
        ...
