"""The real image schema, and one with an operator's properties."""

from __future__ import annotations

import pytest

from glimpse.api.v2.schemas.catalog import ImageSchemaChecker, build_schemas
from glimpse.settings.model import Formats


def _checker(custom: dict[str, object] | None) -> ImageSchemaChecker:
    formats = Formats()
    return build_schemas(
        container_formats=formats.container_formats, disk_formats=formats.disk_formats, custom=custom
    ).checker


@pytest.fixture(scope="session")
def checker() -> ImageSchemaChecker:
    """Without schema-image.json."""
    return _checker(None)


@pytest.fixture(scope="session")
def strict_checker() -> ImageSchemaChecker:
    """With schema-image.json: a required property, a nullable one, and ones that are no text."""
    return _checker(
        {
            "properties": {
                "licence": {"type": "string"},
                "kernel_id": {"type": ["null", "string"]},
                "cores": {"type": "integer"},
                "factors": {"type": "array", "items": {"type": "number"}},
            },
            "required": ["name", "licence"],
        }
    )
