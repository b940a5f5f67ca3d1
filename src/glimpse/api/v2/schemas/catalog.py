"""All schemas of images, members and tasks, built once at start and kept as response bodies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from glimpse.api.v2.schemas.checker import ImageSchemaChecker
from glimpse.api.v2.schemas.custom import read_custom
from glimpse.api.v2.schemas.image import base_properties, image_schema, images_schema
from glimpse.api.v2.schemas.member import member_schema, members_schema
from glimpse.api.v2.schemas.task import task_schema, tasks_schema


class SchemaCatalog(msgspec.Struct, frozen=True, kw_only=True):
    """``bodies`` are the encoded documents by name (``image``, ``images``, ``member`` …); ``checker`` validates images.

    ``custom_names`` and ``typed_names`` are for :class:`glimpse.api.v2.views.ImageView`.
    """

    bodies: Mapping[str, bytes]
    checker: ImageSchemaChecker
    custom_names: frozenset[str]
    typed_names: frozenset[str]


def build_schemas(
    *, container_formats: Iterable[str], disk_formats: Iterable[str], custom: Mapping[str, object] | None
) -> SchemaCatalog:
    """Build every schema; ``custom`` is the decoded schema-image.json (images-api 2.3).

    :raises CustomSchemaError: schema-image.json cannot be used.
    """
    base = base_properties(container_formats, disk_formats)
    own = read_custom(custom, base)
    image = image_schema({**base, **own.properties}, own.required)
    checker = ImageSchemaChecker(image)
    documents = {
        "image": image,
        "images": images_schema(image),
        "member": member_schema(),
        "members": members_schema(),
        "task": task_schema(),
        "tasks": tasks_schema(),
    }
    return SchemaCatalog(
        bodies={name: msgspec.json.encode(document) for name, document in documents.items()},
        checker=checker,
        custom_names=own.names,
        typed_names=own.typed_names,
    )
