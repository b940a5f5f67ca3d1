"""Filter a list by tags and custom properties.

If few images match a filter, all of them are read and sorted. Otherwise the list is read in its order until the page is
full, and each image read is checked for the tag or property. If many images match, the check is a lookup in the table
of tags or properties. If fewer match, the ids of all matching images are first put into a set, and the check is a
lookup in the set.

The number of matching images is estimated, because no database knows how many images have a given value of a given
property. An index by value has the ids of the matching images in order, and ids are random, so the distance between
the first ones shows how many there are. After a wrong estimate a list is slower, but still correct.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from glimpse.db.sql.exact_comparison import equals
from glimpse.db.sql.index_hints import use_index
from glimpse.db.sql.row_state import is_live
from glimpse.db.sql.tables import image_properties, image_tags, images
from glimpse.domain.listing import ListQuery

# N of T images match a filter, so T/N images are checked for each one found, and a hundred times as many for a page.
# Reading all N matching images is fastest while N² is below _FEW * T. Building a set of them and looking up each image
# there is fastest while N² is below _SET * T. Above that, checking each image by itself is fastest. The factors were
# measured on each kind of database with T = 200,000. Fewer images than a sample are always "few".
_FEW = {"postgresql": 5, "sqlite": 15, "mysql": 50}
_SET = {"postgresql": 900, "sqlite": 120, "mysql": 180}

# number of index rows that an estimate is based on
_SAMPLE = 256
#: A limit above any number of rows: databases execute a subquery first if it has a limit.
NO_LIMIT = sa.literal_column(str(2**31 - 1), sa.Integer())

# Longer values are not in the index (migration glimpse_004), because they exceed PostgreSQL's limit for an index row.
# MySQL's index has a prefix of each value, and its comparisons ignore trailing blanks.
_INDEXED = 255


class TagPropertyFilter(msgspec.Struct, frozen=True):
    """A filter by a tag or a custom property, with parameters ``tag_N``, or ``property_N`` and ``value_N``.

    ``is_indexed``: an index finds the images with the tag or property.
    """

    position: int
    is_tag: bool = False
    is_indexed: bool = True

    def _rows(self, wanted: sa.ColumnElement[Any], dialect: str) -> sa.Select[Any]:
        if self.is_tag:
            return sa.select(wanted).where(
                equals(image_tags.c.value, sa.bindparam(f"tag_{self.position}")), is_live(image_tags, by_index=True)
            )
        value = image_properties.c.value
        rows = sa.select(wanted).where(
            equals(image_properties.c.name, sa.bindparam(f"property_{self.position}")),
            equals(value, sa.bindparam(f"value_{self.position}", type_=value.type)),
            is_live(image_properties, by_index=True),
        )
        if not self.is_indexed or dialect == "mysql":
            return rows
        return rows.where(sa.func.length(value) <= sa.literal_column(str(_INDEXED)))

    @property
    def _image_id(self) -> sa.Column[Any]:
        return (image_tags if self.is_tag else image_properties).c.image_id

    def on_image(self, dialect: str, *, hints: bool) -> sa.ColumnElement[bool]:
        """Return the condition for one image, a lookup by its id; with ``hints`` the statement names the index."""
        one = sa.literal_column("1", sa.Integer())
        rows = self._rows(one, dialect)
        if hints and self.is_indexed and not self.is_tag:
            # MySQL would choose the unique index, and then has to read the row as well
            rows = use_index(rows, image_properties, "glimpse_image_properties_value")
        if self.is_tag or dialect != "sqlite":
            rows = rows.where(self._image_id == images.c.id)
        else:
            # with BETWEEN SQLite uses the index by value, which has all columns needed, instead of the unique one
            rows = rows.where(self._image_id.between(images.c.id, images.c.id))
        # not EXISTS: planners would turn that into a search for all matching images
        return rows.limit(one).scalar_subquery().is_not(None)

    def in_set(self, dialect: str) -> sa.ColumnElement[bool]:
        """Return the condition for one image, a lookup in the set of all matching images."""
        # without IS TRUE planners would start from the images in the set
        return images.c.id.in_(self._rows(self._image_id, dialect)).is_(sa.true())

    def few_images(self, dialect: str) -> sa.Subquery:
        """Return a subquery of the distinct ids of the matching images, for a filter that few images match."""
        return self._rows(self._image_id, dialect).distinct().limit(NO_LIMIT).subquery("matching")

    def sample(self, dialect: str) -> sa.Select[*tuple[Any, ...]]:
        """Return a SELECT of the arguments of :func:`estimate`: number of index rows sampled, last image id in them."""
        return _sampled(self._rows(self._image_id, dialect))


def sample_of_all() -> sa.Select[*tuple[Any, ...]]:
    """Return the same SELECT for all images, including deleted ones."""
    # every image meets this condition; with it SQLite's query plan says that it searches an index
    every = sa.select(images.c.id.label("image_id")).where(images.c.id >= sa.literal_column("''", images.c.id.type))
    return _sampled(every.order_by(images.c.id))


def _sampled(image_ids: sa.Select[Any]) -> sa.Select[*tuple[Any, ...]]:
    first = image_ids.limit(sa.literal_column(str(_SAMPLE))).subquery()
    return sa.select(sa.func.count(), sa.func.max(first.c.image_id))


def estimate(rows: int, last: str | None) -> float:
    """Estimate how many images match a filter, from its :meth:`TagPropertyFilter.sample`.

    The number is exact if it is smaller than the sample size.
    """
    if last is None or rows < _SAMPLE:
        return rows
    try:
        place = max(int(last[:8], 16), 0)
    except ValueError:
        # the id is not a UUID; only Glance's tools allow that
        return rows
    return rows * 2**32 / (place + 1)


def tag_property_filters_of(query: ListQuery) -> tuple[TagPropertyFilter, ...]:
    """Return the tag and property filters of a list."""
    tags = [TagPropertyFilter(position, is_tag=True) for position in range(len(query.tags))]
    properties = [
        TagPropertyFilter(position, is_indexed=len(value) <= _INDEXED)
        for position, (_, value) in enumerate(query.properties)
    ]
    return (*tags, *properties)


class Use(msgspec.Struct, frozen=True):
    """How to apply the tag and property filters of a list.

    All images that match ``few`` are read, or those that match ``many`` are put into a set; at most one is given. The
    other filters are checked for each image.
    """

    few: TagPropertyFilter | None = None
    many: TagPropertyFilter | None = None


def use_of(
    asked: Sequence[TagPropertyFilter], numbers: Sequence[float], images_in_all: float, dialect: str, *, asks_all: bool
) -> Use:
    """Choose how to apply the filters. ``numbers`` are the estimates for the indexed ones.

    ``asks_all``: no index has the order of the list and there are no other filters, so every image would be checked and
    not only those up to the end of the page.
    """
    fewest, rarest = min(
        zip(numbers, [one for one in asked if one.is_indexed], strict=True),
        key=lambda pair: pair[0],
        default=(0, None),
    )
    if fewest < _SAMPLE or fewest**2 < _FEW[dialect] * images_in_all:
        return Use(few=rarest)
    return Use(many=rarest) if asks_all or fewest**2 < _SET[dialect] * images_in_all else Use()
