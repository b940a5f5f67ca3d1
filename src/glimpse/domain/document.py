"""What the domain asks of the image schema: are a client's values of the right type and form?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class ImageDocumentChecker(Protocol):
    """The image schema with the operator's custom properties (images-api 2.1 and 2.3)."""

    @property
    def required(self) -> frozenset[str]:
        """Names without which no image can be created; empty unless schema-image.json says otherwise."""
        ...

    def check_document(self, document: Mapping[str, object]) -> None:
        """Check a whole document of a creation, ``required`` included.

        :raises Invalid: the first value that breaks the schema, named in plain words.
        """
        ...

    def check_value(self, name: str, value: object) -> None:
        """Check the value of one attribute or property; ``required`` does not matter here.

        :raises Invalid: the value breaks the schema of ``name``.
        """
        ...
