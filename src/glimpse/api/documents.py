"""Documents that handlers serve unchanged, encoded once at start."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from glimpse.api.v2.views import ImageView


@dataclass(frozen=True, slots=True)
class Documents:
    """``schemas`` are encoded documents by name; ``openapi`` gives the encoded document of the whole API."""

    schemas: Mapping[str, bytes]
    image_view: ImageView
    openapi: Callable[[], bytes]
