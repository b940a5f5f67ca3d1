"""What other tables say of images: tags and custom properties, as filters of a list.

The images with a mark are looked through when there are few of them. Otherwise the list is followed in its order and
each image is asked for the mark: with many, those of a page are soon found. Which it is must be counted, because no
database knows how many images have a certain value of a certain property.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from glimpse.db.sql.tables import image_properties, image_tags, images
from glimpse.domain.listing import ListQuery

#: So many images are few.
FEW = 5000

# Longer values are not in the index (migration glimpse_004), for which PostgreSQL would have no room. That of MySQL
# has the beginning of each value, and a comparison there does not mind blanks at the end.
_INDEXED = 255


class Mark(msgspec.Struct, frozen=True):
    """A tag or a custom property; the values are the parameters ``tag_N``, or ``property_N`` and ``value_N``.

    ``is_indexed``: an index leads from the mark to its images.
    """

    position: int
    is_tag: bool = False
    is_indexed: bool = True

    def _rows(self, wanted: sa.ColumnElement[Any], dialect: str) -> sa.Select[Any]:
        if self.is_tag:
            return sa.select(wanted).where(
                image_tags.c.value == sa.bindparam(f"tag_{self.position}"), image_tags.c.deleted == sa.false()
            )
        value = image_properties.c.value
        rows = sa.select(wanted).where(
            image_properties.c.name == sa.bindparam(f"property_{self.position}"),
            value == sa.bindparam(f"value_{self.position}", type_=value.type),
            image_properties.c.deleted == sa.false(),
        )
        if not self.is_indexed or dialect == "mysql":
            return rows
        return rows.where(sa.func.length(value) <= sa.literal_column(str(_INDEXED)))

    @property
    def _image_id(self) -> sa.Column[Any]:
        return (image_tags if self.is_tag else image_properties).c.image_id

    def on_image(self, dialect: str) -> sa.ColumnElement[bool]:
        """Whether the image has it."""
        one = sa.literal_column("1", sa.Integer())
        found = self._rows(one, dialect).where(self._image_id == images.c.id).limit(one)
        # not EXISTS: planners would take that as a reason to look for all images with the mark
        return found.scalar_subquery().is_not(None)

    def few_images(self, dialect: str) -> sa.Subquery:
        """The ids of the images with it, each once, where they are few."""
        # the limit, which others do not reach meanwhile, makes databases begin here
        rows = self._rows(self._image_id, dialect).distinct()
        return rows.limit(sa.literal_column(str(10 * FEW))).subquery("marked")

    def count(self, dialect: str) -> sa.ScalarSelect[Any]:
        """How many rows it has, counted no further than one beyond :data:`FEW`."""
        some = self._rows(self._image_id, dialect).limit(sa.literal_column(str(FEW + 1))).subquery("some")
        return sa.select(sa.func.count()).select_from(some).scalar_subquery()


def marks_of(query: ListQuery) -> tuple[Mark, ...]:
    """The marks that a list asks for."""
    tags = [Mark(position, is_tag=True) for position in range(len(query.tags))]
    properties = [
        Mark(position, is_indexed=len(value) <= _INDEXED) for position, (_, value) in enumerate(query.properties)
    ]
    return (*tags, *properties)


def of_few(marks: Sequence[Mark], counts: Sequence[int]) -> Mark | None:
    """The mark that the fewest images have, if these are few; ``counts`` are those of the indexed ones."""
    counted = zip(counts, [mark for mark in marks if mark.is_indexed], strict=True)
    fewest, mark = min(counted, key=lambda pair: pair[0], default=(FEW + 1, None))
    return mark if fewest <= FEW else None
