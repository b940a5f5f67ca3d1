"""What other tables say of images: tags and custom properties, as filters of a list.

The images that match such a filter are looked through when there are few of them. Otherwise the list is followed in
its order until the page is full. Each image on the way is asked for its tag or property, which is soon done with where
many have it; where not, all that have it are put into a set at first, and the images on the way are looked up in that.

How many there are is estimated, because no database knows how many images have a certain value of a certain property:
an index by value has the ids of images in their order, and ids are random, so the first ones tell how close together
they all are. What is chosen for a wrong estimate takes longer and finds the same.
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

# Of T images N match a filter, so T/N are passed for each that is found, and a hundred times as many for a page. They
# are few while to look N of them up takes less than to put N into a set and pass those with a look into it; a set is
# made while this takes less than to ask each. By what it takes on each kind of database these hold up to the square
# roots of so many times T (measured with T = 200,000). Less than a sample are always few.
_FEW = {"postgresql": 5, "sqlite": 15, "mysql": 50}
_SET = {"postgresql": 900, "sqlite": 120, "mysql": 180}

# rows of the index that the estimate is made from
_SAMPLE = 256
#: Of a page of ids, which no page reaches: with any limit databases begin with what it is the limit of.
NO_LIMIT = sa.literal_column(str(2**31 - 1), sa.Integer())

# Longer values are not in the index (migration glimpse_004), for which PostgreSQL would have no room. That of MySQL
# has the beginning of each value, and a comparison there does not mind blanks at the end.
_INDEXED = 255


class TagPropertyFilter(msgspec.Struct, frozen=True):
    """A filter by a tag or a custom property, with parameters ``tag_N``, or ``property_N`` and ``value_N``.

    ``is_indexed``: an index leads from the tag or property to its images.
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
        """Whether the image has it, asked of the image; with ``hints`` the database is told by which index."""
        one = sa.literal_column("1", sa.Integer())
        rows = self._rows(one, dialect)
        if hints and self.is_indexed and not self.is_tag:
            # it would take the unique one, and has to look at the row then
            rows = use_index(rows, image_properties, "glimpse_image_properties_value")
        if self.is_tag or dialect != "sqlite":
            rows = rows.where(self._image_id == images.c.id)
        else:
            # so SQLite takes the index by value, which has all it needs, and not the unique one
            rows = rows.where(self._image_id.between(images.c.id, images.c.id))
        # not EXISTS: planners would take that as a reason to look for all images that match
        return rows.limit(one).scalar_subquery().is_not(None)

    def in_set(self, dialect: str) -> sa.ColumnElement[bool]:
        """Whether the image has it, looked up among all that have it."""
        # without IS TRUE planners would begin with the images in the set
        return images.c.id.in_(self._rows(self._image_id, dialect)).is_(sa.true())

    def few_images(self, dialect: str) -> sa.Subquery:
        """The ids of the images with it, each once, where they are few."""
        return self._rows(self._image_id, dialect).distinct().limit(NO_LIMIT).subquery("matching")

    def sample(self, dialect: str) -> sa.Select[*tuple[Any, ...]]:
        """One row for :func:`estimate`: rows at the beginning of the index, and the last image id in them."""
        return _sampled(self._rows(self._image_id, dialect))


def sample_of_all() -> sa.Select[*tuple[Any, ...]]:
    """The same of all images, deleted ones among them."""
    # the condition, which all of them meet, lets SQLite say that it looks for them in an index
    every = sa.select(images.c.id.label("image_id")).where(images.c.id >= sa.literal_column("''", images.c.id.type))
    return _sampled(every.order_by(images.c.id))


def _sampled(image_ids: sa.Select[Any]) -> sa.Select[*tuple[Any, ...]]:
    first = image_ids.limit(sa.literal_column(str(_SAMPLE))).subquery()
    return sa.select(sa.func.count(), sa.func.max(first.c.image_id))


def estimate(rows: int, last: str | None) -> float:
    """How many images match a filter, from its :meth:`TagPropertyFilter.sample`.

    Exact where these are fewer than the sample takes.
    """
    if last is None or rows < _SAMPLE:
        return rows
    try:
        place = max(int(last[:8], 16), 0)
    except ValueError:
        # the id is no UUID, which only Glance's tools let happen
        return rows
    return rows * 2**32 / (place + 1)


def tag_property_filters_of(query: ListQuery) -> tuple[TagPropertyFilter, ...]:
    """The tags and properties that a list asks for."""
    tags = [TagPropertyFilter(position, is_tag=True) for position in range(len(query.tags))]
    properties = [
        TagPropertyFilter(position, is_indexed=len(value) <= _INDEXED)
        for position, (_, value) in enumerate(query.properties)
    ]
    return (*tags, *properties)


class Use(msgspec.Struct, frozen=True):
    """What is done with the tag and property filters of a list: the images that match ``few`` are looked through, those
    that match ``many`` are put into a set, and images are asked for all others. One of the two is None, or both."""

    few: TagPropertyFilter | None = None
    many: TagPropertyFilter | None = None


def use_of(
    asked: Sequence[TagPropertyFilter], numbers: Sequence[float], images_in_all: float, dialect: str, *, asks_all: bool
) -> Use:
    """``numbers`` are the estimates for the indexed filters.

    ``asks_all``: no index has the order of the list and no other filter narrows it, so that every image would be asked,
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
