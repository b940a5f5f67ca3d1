"""Filters of a list (images-api 3.4.3): combined with AND, and never a row twice."""

from __future__ import annotations

import itertools
import operator
from datetime import timedelta
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from glimpse.db.base import Database
from glimpse.db.sql.tables import images
from glimpse.domain.image import ImageChange, Location
from glimpse.domain.listing import Comparison, ListQuery, OneOf
from glimpse.domain.status import Status
from tests.contract.db.backends import Backend
from tests.contract.db.examples import ADMIN, MOMENT, OWNER, image

OPERATORS = {
    "eq": operator.eq,
    "neq": operator.ne,
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
}


def listed(database: Database, **query: Any) -> list[str | None]:
    return [one.name for one in database.list_images(ListQuery(**query), OWNER)]


def fill(database: Database, *fields: dict[str, Any]) -> None:
    for number, values in enumerate(fields):
        database.create_image(image(**({"created_at": MOMENT + timedelta(seconds=-number)} | values)))


def test_a_page_is_complete(database: Database) -> None:
    stored = [
        image(
            name=f"n{number}",
            created_at=MOMENT - timedelta(seconds=number),
            properties={f"p{index}": f"{number}-{index}" for index in range(number)},
            tags=tuple(f"t{index}" for index in reversed(range(number))),
            locations=tuple(Location(url=f"u{index}", metadata={"store": "s"}) for index in range(number)),
        )
        for number in range(4)
    ]
    for one in stored:
        database.create_image(one)
    page = database.list_images(ListQuery(), OWNER)
    assert page == [database.get_image(one.id, OWNER) for one in stored]
    assert [[location.url for location in one.locations] for one in page][3] == ["u0", "u1", "u2"]


def test_a_page_has_at_most_its_limit(database: Database) -> None:
    fill(database, {"name": "a"}, {"name": "b"}, {"name": "c"})
    assert listed(database, limit=2) == ["a", "b"]
    assert listed(database, limit=3) == ["a", "b", "c"]


def test_no_images_are_asked_for(backend: Backend) -> None:
    fill(backend.database, {"name": "a"})
    with backend.counting() as statements:
        assert listed(backend.database, limit=0) == []
    assert statements == []


def test_deleted_images_are_not_listed(database: Database) -> None:
    fill(database, {"name": "a"})
    [one] = database.list_images(ListQuery(), OWNER)
    database.delete_without_data(one.id)
    assert database.list_images(ListQuery(), ADMIN) == []


@pytest.mark.parametrize("status", Status)
def test_some_statuses_are_never_listed(database: Database, status: Status) -> None:
    fill(database, {"name": "a", "status": status})
    expected = [] if status in {Status.KILLED, Status.DELETED, Status.PENDING_DELETE} else ["a"]
    assert listed(database) == expected
    assert listed(database, one_of=(OneOf("status", (status.value,)),)) == expected
    assert listed(database, comparisons=(Comparison("status", "eq", status.value),)) == expected


@pytest.mark.parametrize("column", ["size", "virtual_size", "min_disk", "min_ram"])
@pytest.mark.parametrize("op", OPERATORS)
def test_numbers(database: Database, column: str, op: str) -> None:
    values = [0, 5, 10] if column.startswith("min") else [None, 0, 5, 10]
    fill(database, *({"name": str(value), column: value} for value in values))
    for wanted in (-1, 0, 5, 7, 10, 2**31, -(2**40), 2**63, -(2**70)):
        expected = [str(value) for value in values if value is not None and OPERATORS[op](value, wanted)]
        assert listed(database, comparisons=(Comparison(column, op, wanted),)) == expected, wanted


@pytest.mark.parametrize("column", ["created_at", "updated_at"])
@pytest.mark.parametrize("op", OPERATORS)
def test_times(backend: Backend, column: str, op: str) -> None:
    moments = [MOMENT + timedelta(seconds=seconds) for seconds in (0, 1, 60)]
    fill(backend.database, *({"name": str(moment), column: moment} for moment in moments))
    for wanted in (*moments, MOMENT + timedelta(seconds=30)):
        expected = {str(moment) for moment in moments if OPERATORS[op](moment, wanted)}
        assert set(listed(backend.database, comparisons=(Comparison(column, op, wanted),))) == expected
    backend.execute(sa.update(images).values(updated_at=None))
    assert listed(backend.database, comparisons=(Comparison("updated_at", op, MOMENT),)) == []


@pytest.mark.parametrize("protected", [True, False])
def test_truths(database: Database, protected: bool) -> None:
    fill(database, {"name": "True", "protected": True}, {"name": "False"})
    assert listed(database, comparisons=(Comparison("protected", "eq", protected),)) == [str(protected)]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("name", "x"),
        ("owner", "project-a"),
        ("checksum", "c" * 32),
        ("os_hash_algo", "sha512"),
        ("os_hash_value", "d" * 128),
        ("disk_format", "raw"),
        ("container_format", "bare"),
        ("id", "image-x"),
        ("visibility", "shared"),
    ],
)
def test_texts(database: Database, column: str, value: str) -> None:
    other = {"owner": "project-b", "visibility": "public"} if column in {"owner", "visibility"} else {}
    database.create_image(image(**({"name": "found"} | ({} if column == "visibility" else {column: value}))))
    database.create_image(image(**({"name": "other"} | other)))
    [one] = database.list_images(ListQuery(comparisons=(Comparison(column, "eq", value),)), OWNER)
    assert getattr(one, column) == value
    [one] = database.list_images(ListQuery(one_of=(OneOf(column, (value,)),)), OWNER)
    assert getattr(one, column) == value


def test_one_of_several(database: Database) -> None:
    fill(database, {"name": "a"}, {"name": "b"}, {"name": "c,d"}, {"name": None})
    assert listed(database, one_of=(OneOf("name", ("a", "c,d", "nothing")),)) == ["a", "c,d"]
    assert listed(database, one_of=(OneOf("name", ()),)) == []
    assert listed(database, one_of=(OneOf("name", ("a",)), OneOf("status", ("queued", "active")))) == ["a"]
    assert listed(database, one_of=(OneOf("name", ("a",)), OneOf("status", ("active",)))) == []


def test_all_tags_are_needed(database: Database) -> None:
    fill(database, {"name": "none"}, {"name": "s", "tags": ("s",)}, {"name": "st", "tags": ("s", "t")})
    assert listed(database, tags=("s",)) == ["s", "st"]
    assert listed(database, tags=("s", "t")) == ["st"]
    assert listed(database, tags=("t", "t")) == ["st"]
    assert listed(database, tags=("s", "u")) == []


def test_all_properties_are_needed(database: Database) -> None:
    fill(
        database,
        {"name": "none"},
        {"name": "a", "properties": {"a": "1", "b": ""}},
        {"name": "ab", "properties": {"a": "1", "b": "2", "c": None}},
    )
    assert listed(database, properties=(("a", "1"),)) == ["a", "ab"]
    assert listed(database, properties=(("a", "1"), ("b", "2"))) == ["ab"]
    assert listed(database, properties=(("b", ""),)) == ["a"]
    assert listed(database, properties=(("a", "2"),)) == []
    assert listed(database, properties=(("a", "1%"),)) == []
    assert listed(database, properties=(("nothing", "1"),)) == []


def test_dead_rows_do_not_match(database: Database) -> None:
    fill(database, {"name": "a", "tags": ("t",), "properties": {"p": "1"}})
    [one] = database.list_images(ListQuery(), OWNER)
    database.update_image(one.id, ImageChange(drop_tags=("t",), drop_properties=("p",)))
    assert listed(database, tags=("t",)) == []
    assert listed(database, properties=(("p", "1"),)) == []


@pytest.mark.parametrize("text", ["\U0001f600", "\x00", "\ud800", "x" * 70000, "'", "%", "\\", "?", ":a", "%(a)s"])
def test_texts_that_no_image_has(database: Database, text: str) -> None:
    fill(database, {"name": "a", "tags": ("t",), "properties": {"p": "1"}})
    queries = [
        {"comparisons": (Comparison("name", "eq", text),)},
        {"one_of": (OneOf("name", (text,)),)},
        {"tags": (text,)},
        {"tags": ("t", text)},
        {"properties": ((text, "1"),)},
        {"properties": (("p", text),)},
    ]
    for query in queries:
        assert listed(database, **query) == []
    assert listed(database, one_of=(OneOf("name", (text, "a")),)) == ["a"]


def test_everything_together(database: Database) -> None:
    """Each image misses one condition; only the last has all."""
    wanted: dict[str, Any] = {
        "size": 5,
        "disk_format": "raw",
        "tags": ("s", "t"),
        "properties": {"p": "1", "q": "2"},
        "protected": True,
    }
    wrong: dict[str, Any] = {
        "size": 4,
        "disk_format": "qcow2",
        "tags": ("s",),
        "properties": {"p": "1"},
        "protected": False,
    }
    fill(database, *({"name": key} | wanted | {key: value} for key, value in wrong.items()), {"name": "all"} | wanted)
    found = listed(
        database,
        comparisons=(Comparison("size", "gte", 5), Comparison("protected", "eq", True)),
        one_of=(OneOf("disk_format", ("raw", "iso")),),
        tags=("s", "t"),
        properties=(("p", "1"), ("q", "2")),
    )
    assert found == ["all"]


def test_many_images_on_a_page(backend: Backend) -> None:
    rows = [
        {
            "id": f"image-{number:04}",
            "status": "active",
            "created_at": MOMENT,
            "updated_at": MOMENT,
            "deleted": False,
            "owner": "project-a",
            "min_disk": 0,
            "min_ram": 0,
        }
        for number in range(1100)
    ]
    backend.execute(sa.insert(images), rows)
    page = backend.database.list_images(ListQuery(limit=1000), OWNER)
    assert [one.id for one in page] == [row["id"] for row in reversed(rows)][:1000]
    rest = backend.database.list_images(ListQuery(limit=1000, marker=page[-1].id), OWNER)
    assert [one.id for one in itertools.chain(page, rest)] == [row["id"] for row in reversed(rows)]


def test_a_list_does_not_show_the_membership_of_others(backend: Backend) -> None:
    stored = image()
    backend.database.create_image(stored)
    backend.share(stored.id, "project-b")
    [one] = backend.database.list_images(ListQuery(), OWNER)
    assert one.membership is None
    [one] = backend.database.list_images(ListQuery(), msgspec.structs.replace(OWNER, project_id="project-b"))
    assert one.membership == "accepted"
