"""Paging: every order, over NULLs and ties, walks through all images once (database 10.2)."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from datetime import timedelta

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from glimpse.db.base import Database
from glimpse.db.sql.tables import images
from glimpse.domain.image import Image, ImageChange
from glimpse.domain.listing import SORT_KEYS, ListQuery, SortKey
from glimpse.domain.status import Status
from tests.contract.db.backends import Backend
from tests.contract.db.examples import ADMIN, MOMENT, image

NULLABLE = {"name", "container_format", "disk_format", "size", "updated_at"}


@pytest.fixture
def filled(backend: Backend) -> tuple[Backend, list[Image]]:
    """Thirteen images with NULLs and equal values in every column that can have them."""
    stored: list[Image] = []
    for number in range(13):
        one = image(
            id=f"image-{number * 7 % 13:02}",
            name=[None, "", "a", "b", "a"][number % 5],
            status=[Status.ACTIVE, Status.QUEUED][number % 2],
            container_format=[None, "bare", "ovf"][number % 3],
            disk_format=[None, None, "raw", "qcow2"][number % 4],
            size=[None, 0, 5, None, 2**40][number * 3 % 5],
            created_at=MOMENT + timedelta(seconds=number // 3),
            updated_at=MOMENT + timedelta(seconds=[1, 0, 2][number % 3]),
        )
        backend.database.create_image(one)
        stored.append(one)
    return backend, stored


def compare(order: Sequence[SortKey], left: Image, right: Image) -> int:
    for key in order:
        mine, other = getattr(left, key.column), getattr(right, key.column)
        if mine == other:
            continue
        smaller = mine is None or (other is not None and mine < other)
        return 1 if smaller == key.descending else -1
    return 0


def in_order(stored: list[Image], order: Sequence[SortKey]) -> list[str]:
    return [one.id for one in sorted(stored, key=functools.cmp_to_key(functools.partial(compare, order)))]


def walk(database: Database, order: tuple[SortKey, ...], limit: int) -> list[str]:
    found: list[str] = []
    marker = None
    while page := database.list_images(ListQuery(order=order, limit=limit, marker=marker), ADMIN):
        found += [one.id for one in page]
        marker = found[-1]
        assert len(found) < 100
    return found


@pytest.mark.parametrize("column", sorted(SORT_KEYS))
def test_every_key_in_every_direction(filled: tuple[Backend, list[Image]], column: str) -> None:
    backend, stored = filled
    for directions in itertools.product([True, False], repeat=3):
        keys = zip((column, "created_at", "id"), directions, strict=True)
        order = tuple(SortKey(name, descending) for name, descending in keys)
        expected = in_order(stored, order)
        for limit in (1, 2, 5):
            assert walk(backend.database, order, limit) == expected


@pytest.mark.parametrize("descending", [True, False])
def test_times_that_glance_left_out(filled: tuple[Backend, list[Image]], descending: bool) -> None:
    backend, stored = filled
    without = [one.id for one in stored[::3]]
    backend.execute(sa.update(images).where(images.c.id.in_(without)).values(updated_at=None))
    order = (SortKey("updated_at", descending), SortKey("id", True))
    found = walk(backend.database, order, 2)
    assert sorted(found) == sorted(one.id for one in stored)
    nulls = found[-len(without) :] if descending else found[: len(without)]
    assert nulls == sorted(without, reverse=True)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    keys=st.lists(st.tuples(st.sampled_from(sorted(SORT_KEYS)), st.booleans()), max_size=4),
    limit=st.integers(1, 6),
)
def test_any_order(filled: tuple[Backend, list[Image]], keys: list[tuple[str, bool]], limit: int) -> None:
    backend, stored = filled
    order = (*(SortKey(*key) for key in keys), SortKey("created_at"), SortKey("id"))
    assert walk(backend.database, order, limit) == in_order(stored, order)


def test_the_default_order_is_the_newest_first(filled: tuple[Backend, list[Image]]) -> None:
    backend, stored = filled
    page = backend.database.list_images(ListQuery(), ADMIN)
    assert [one.id for one in page] == in_order(stored, (SortKey("created_at"), SortKey("id")))


def test_a_marker_outside_the_list_still_has_its_place(filled: tuple[Backend, list[Image]]) -> None:
    backend, stored = filled
    order = (SortKey("name", False), SortKey("created_at"), SortKey("id"))
    expected = in_order(stored, order)
    marker = expected[6]
    backend.database.update_image(marker, ImageChange(columns={"os_hidden": True}))
    page = backend.database.list_images(ListQuery(order=order, marker=marker), ADMIN)
    assert [one.id for one in page] == expected[7:]


def test_rows_that_come_and_go_do_not_move_the_rest(filled: tuple[Backend, list[Image]]) -> None:
    backend, stored = filled
    order = (SortKey("created_at"), SortKey("id"))
    expected = in_order(stored, order)
    first = [one.id for one in backend.database.list_images(ListQuery(limit=4), ADMIN)]
    backend.database.create_image(image(created_at=MOMENT + timedelta(days=1)))
    backend.database.delete_without_data(expected[0])
    backend.database.delete_without_data(expected[5])
    rest = [one.id for one in backend.database.list_images(ListQuery(limit=20, marker=first[-1]), ADMIN)]
    assert first + rest == [one for one in expected if one != expected[5]]
