"""Lists combined from several index ranges (own, public, shared) are complete and ordered over all pages."""

from __future__ import annotations

import functools
import itertools
import random
import threading
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from sqlalchemy import event

from glimpse.db import schema
from glimpse.db.base import Database
from glimpse.db.migrations.online import drop_index_online, own_indexes
from glimpse.db.records import Viewer
from glimpse.db.sql import listing
from glimpse.db.sql.tables import image_tags, images
from glimpse.db.sql.tag_property_filters import TagPropertyFilter, Use
from glimpse.domain.image import Image, ImageChange
from glimpse.domain.listing import SORT_KEYS, Comparison, ListQuery, SortKey
from glimpse.domain.status import Status, Visibility
from glimpse.errors import MarkerUnknown
from tests.contract.db.backends import Backend, available
from tests.contract.db.examples import ADMIN, MOMENT, OWNER, STRANGER, image

VIEWERS = {
    "owner": OWNER,
    "member": STRANGER,
    "nobody": Viewer(None),
    "admin": ADMIN,
    "admin of a project": Viewer("project-b", is_admin=True),
}
VISIBILITIES = (Visibility.PRIVATE, Visibility.SHARED, Visibility.PUBLIC, Visibility.COMMUNITY)


def stored_images() -> Iterator[Image]:
    """Images of three projects and of nobody, with NULLs and equal values in every key."""
    for number, (owner, visibility) in enumerate(
        itertools.product(["project-a", "project-a", "project-b", "project-c", None], VISIBILITIES)
    ):
        for copy in range(2):
            serial = number * 2 + copy
            yield image(
                id=f"image-{serial * 17 % 40:02}",
                owner=owner,
                visibility=visibility,
                name=[None, "", "a", "b", "a", "c"][serial % 6],
                status=[Status.ACTIVE, Status.QUEUED, Status.DEACTIVATED][serial % 3],
                container_format=[None, "bare", "ovf"][serial // 2 % 3],
                disk_format=[None, "raw", "qcow2", "iso"][serial // 3 % 4],
                size=[None, 0, 5, None, 2**40][serial % 5],
                created_at=MOMENT + timedelta(seconds=serial // 7),
                updated_at=MOMENT + timedelta(seconds=[1, 0, 2][serial % 3]),
            )


@pytest.fixture
def filled(backend: Backend) -> tuple[Backend, list[Image]]:
    """Of the shared images of project-a and project-c every other one is shared with project-b, who accepted."""
    stored = list(stored_images())
    for one in stored:
        backend.database.create_image(one)
    for one in [one for one in stored if one.visibility == "shared" and one.owner in {"project-a", "project-c"}][::2]:
        backend.share(one.id, "project-b")
    backend.execute(sa.update(images).where(images.c.id.in_(["image-03", "image-17"])).values(updated_at=None))
    return backend, stored


def key_of(backend: Backend) -> dict[str, dict[str, Any]]:
    return {row["id"]: row for row in backend.rows(images)}


def in_order(rows: dict[str, dict[str, Any]], ids: Sequence[str], order: Sequence[SortKey]) -> list[str]:
    def compare(left: str, right: str) -> int:
        for key in order:
            mine, other = rows[left][key.column], rows[right][key.column]
            if mine != other:
                smaller = mine is None or (other is not None and mine < other)
                return 1 if smaller == key.descending else -1
        return 0

    return sorted(ids, key=functools.cmp_to_key(compare))


def walk(database: Database, viewer: Viewer, query: ListQuery) -> list[str]:
    found: list[str] = []
    while page := database.list_images(query, viewer):
        found += [one.id for one in page]
        query = msgspec.structs.replace(query, marker=found[-1])
        assert len(found) < 500
    return found


def orders(column: str) -> Iterator[tuple[SortKey, ...]]:
    """A key up and down; the ties with it, against it, and apart."""
    for key, created, ties in itertools.product([True, False], repeat=3):
        columns = dict.fromkeys((column, "created_at", "id"))
        directions = dict(zip(columns, (key, created, ties) if len(columns) == 3 else (key, ties), strict=True))
        yield tuple(SortKey(name, descending) for name, descending in directions.items())


@pytest.mark.parametrize("viewer", VIEWERS)
@pytest.mark.parametrize("column", sorted(SORT_KEYS))
def test_every_order_for_every_viewer(filled: tuple[Backend, list[Image]], column: str, viewer: str) -> None:
    backend, _ = filled
    rows = key_of(backend)
    everything = [one.id for one in backend.database.list_images(ListQuery(limit=100), VIEWERS[viewer])]
    assert len(everything) >= 8
    for order in orders(column):
        expected = in_order(rows, everything, order)
        for limit in (3, 40):
            assert walk(backend.database, VIEWERS[viewer], ListQuery(order=order, limit=limit)) == expected, order


@pytest.mark.parametrize("viewer", ["owner", "member", "admin"])
def test_pairs_of_keys(filled: tuple[Backend, list[Image]], viewer: str) -> None:
    backend, _ = filled
    rows = key_of(backend)
    everything = [one.id for one in backend.database.list_images(ListQuery(limit=100), VIEWERS[viewer])]
    keys = sorted(SORT_KEYS - {"id", "created_at"})
    for number, (first, second) in enumerate(itertools.permutations(keys, 2)):
        pair = (SortKey(first, number % 2 == 0), SortKey(second, number % 3 == 0))
        order = (*pair, SortKey("created_at", number % 5 == 0), SortKey("id"))
        found = walk(backend.database, VIEWERS[viewer], ListQuery(order=order, limit=7))
        assert found == in_order(rows, everything, order), order


#: They begin as an index does and go on otherwise, or end before it does.
DEPARTING = [
    "name,created_at,size,id",
    "created_at,name,id",
    "created_at,size,name,id",
    "name,id",
    "created_at,id",
    "size,id,name",
    "size,name,size,created_at,id",
    "disk_format,container_format,name,created_at,id",
    "updated_at,status,created_at,id",
]


@pytest.mark.parametrize("viewer", ["owner", "member", "admin"])
@pytest.mark.parametrize("columns", DEPARTING)
def test_orders_that_an_index_has_only_the_beginning_of(
    filled: tuple[Backend, list[Image]], columns: str, viewer: str
) -> None:
    backend, stored = filled
    for one in stored:
        if one.id[-1] not in "36":
            backend.database.update_image(one.id, ImageChange(set_properties={"p": "v"}))
    rows = key_of(backend)
    everything = [one.id for one in backend.database.list_images(ListQuery(limit=100), VIEWERS[viewer])]
    matching = [one for one in everything if one[-1] not in "36"]
    names = columns.split(",")
    for directions in itertools.islice(itertools.product([True, False], repeat=len(names)), 0, None, 3):
        order = tuple(SortKey(name, descending) for name, descending in zip(names, directions, strict=True))
        for limit in (3, 40):
            query = ListQuery(order=order, limit=limit)
            assert walk(backend.database, VIEWERS[viewer], query) == in_order(rows, everything, order), order
        query = ListQuery(order=order, limit=4, properties=(("p", "v"),))
        assert walk(backend.database, VIEWERS[viewer], query) == in_order(rows, matching, order), order


@pytest.mark.parametrize("visibility", ["all", *VISIBILITIES])
@pytest.mark.parametrize("viewer", VIEWERS)
def test_every_visibility_in_pages(filled: tuple[Backend, list[Image]], visibility: str, viewer: str) -> None:
    backend, _ = filled
    rows = key_of(backend)
    for order in itertools.chain(orders("created_at"), orders("name")):
        query = ListQuery(visibility=visibility, order=order, limit=100)
        everything = [one.id for one in backend.database.list_images(query, VIEWERS[viewer])]
        found = walk(backend.database, VIEWERS[viewer], msgspec.structs.replace(query, limit=2))
        assert found == in_order(rows, everything, order)


def test_an_image_that_is_found_twice_is_listed_once(backend: Backend) -> None:
    """It is one's own and public, or shared with its owner, or twice with the same project (database 15.6)."""
    own_and_public = image(visibility=Visibility.PUBLIC)
    own_and_shared, shared_twice = image(visibility=Visibility.SHARED), image(owner="x", visibility=Visibility.SHARED)
    for one in (own_and_public, own_and_shared, shared_twice):
        backend.database.create_image(one)
    backend.share(own_and_shared.id, "project-a")
    for _ in range(2):
        backend.share(shared_twice.id, "project-a")
    expected = sorted([own_and_public.id, own_and_shared.id, shared_twice.id], reverse=True)
    for limit in (1, 2, 10):
        assert walk(backend.database, OWNER, ListQuery(limit=limit)) == expected
    assert walk(backend.database, OWNER, ListQuery(visibility="shared", limit=1)) == [
        one for one in expected if one != own_and_public.id
    ]


WAYS = {"looked through": Use(few=TagPropertyFilter(0)), "in a set": Use(many=TagPropertyFilter(0)), "asked for": Use()}


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every way to find images with a tag or a property, whatever their number."""
    use = WAYS[request.param]

    def chosen(asked: Sequence[TagPropertyFilter], *_: object, **_named: object) -> Use:
        first = next((one for one in asked if one.is_indexed), None)
        return Use(few=use.few and first, many=use.many and first)

    monkeypatch.setattr(listing, "use_of", chosen)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("viewer", ["owner", "member", "admin"])
def test_every_order_of_images_with_a_property(filled: tuple[Backend, list[Image]], viewer: str) -> None:
    backend, stored = filled
    for one in stored:
        if one.id[-1] not in "36":
            backend.database.update_image(one.id, ImageChange(set_properties={"p": "v"}))
    rows = key_of(backend)
    query = ListQuery(properties=(("p", "v"),), limit=9)
    seen = backend.database.list_images(ListQuery(limit=100), VIEWERS[viewer])
    matching = [one.id for one in seen if one.id[-1] not in "36"]
    assert len(matching) >= 6
    for column in sorted(SORT_KEYS):
        # one or two of each direction; all of them are tried without a property
        for order in itertools.islice(orders(column), 0, None, 3):
            found = walk(backend.database, VIEWERS[viewer], msgspec.structs.replace(query, order=order))
            assert found == in_order(rows, matching, order), order
    for order in ORDERS:
        named = msgspec.structs.replace(query, order=order, comparisons=(Comparison("name", "eq", "a"),))
        expected = [one for one in in_order(rows, matching, order) if rows[one]["name"] == "a"]
        assert walk(backend.database, VIEWERS[viewer], named) == expected, order


@pytest.mark.usefixtures("way")
def test_a_page_is_full_when_an_image_goes_while_it_is_read(backend: Backend) -> None:
    """A page that is too short would end the list."""
    for number in range(8):
        backend.database.create_image(image(id=f"image-{number}", properties={"p": "v"}))
    query = ListQuery(properties=(("p", "v"),), limit=3)
    passed: list[str] = []
    number = 0

    def delete(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        passed.append(statement)
        if len(passed) == number:
            backend.database.delete_without_data(f"image-{8 - number}")

    event.listen(backend.engine, "before_cursor_execute", delete)
    for number in (1, 2, 3):
        passed.clear()
        assert len(backend.database.list_images(query, OWNER)) == 3
        assert len(passed) > number
        assert len(backend.database.list_images(ListQuery(limit=100), OWNER)) == 8 - number


@pytest.mark.usefixtures("way")
def test_an_image_that_moves_while_a_page_is_read_takes_nobody_along(backend: Backend) -> None:
    """At the end of the page it would be the marker of the next one, which would begin behind all others."""
    for number in range(8):
        backend.database.create_image(image(id=f"image-{number}", name=f"a{number}", properties={"p": "v"}))
    by_name = (SortKey("name", False), SortKey("created_at"), SortKey("id"))
    query = ListQuery(properties=(("p", "v"),), order=by_name, limit=3)
    passed: list[str] = []
    at = moved = 0

    def rename(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        passed.append(statement)
        if len(passed) == at:
            backend.database.update_image(f"image-{moved}", ImageChange(columns={"name": "z"}))

    event.listen(backend.engine, "before_cursor_execute", rename)
    # samples, two ranges of own images, the page, its parts; the first image of each page moves
    for moved in range(5):
        passed.clear()
        at = moved + 1
        page = [one.name for one in backend.database.list_images(query, OWNER)]
        assert len(page) == 3
        assert "z" not in page
        at = 0
        backend.database.update_image(f"image-{moved}", ImageChange(columns={"name": "z"}))


@pytest.mark.usefixtures("way")
def test_filters_by_tags_and_properties_in_pages(backend: Backend) -> None:
    expected: list[str] = []
    for number in range(24):
        owner = ["project-a", "project-b"][number % 2]
        visibility = VISIBILITIES[number // 2 % 4]
        one = image(
            id=f"image-{number:02}",
            owner=owner,
            visibility=visibility,
            tags=("s", "t") if number % 3 else ("s",),
            properties={f"p{index}": "v" for index in range(5)} | {"size": "big" if number % 4 < 3 else "small"},
        )
        backend.database.create_image(one)
        if visibility == "shared":
            backend.share(one.id, "project-a")
            backend.share(one.id, "project-c")
        if number % 3 and number % 4 < 3 and (owner == "project-a" or visibility in {"public", "shared"}):
            expected.append(one.id)
    # two live rows for one tag, as two requests at once may leave them
    moment = MOMENT
    double = {"value": "t", "created_at": moment, "updated_at": moment, "deleted": False}
    backend.execute(sa.insert(image_tags), [{"image_id": one, **double} for one in expected[:2]])

    query = ListQuery(tags=("t", "s"), properties=(("size", "big"), ("p1", "v")))
    for limit in (1, 3, 50):
        found = walk(backend.database, OWNER, msgspec.structs.replace(query, limit=limit))
        assert found == sorted(expected, reverse=True)
    assert walk(backend.database, OWNER, msgspec.structs.replace(query, tags=("t", "t", "u"))) == []
    tied = msgspec.structs.replace(
        query, limit=2, order=(SortKey("name", False), SortKey("created_at"), SortKey("id", False))
    )
    assert walk(backend.database, OWNER, tied) == sorted(expected)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("value", ["x" * 255, "x" * 256, "\u20ac" * 255, "\u20ac" * 256, "x" * 65535])
def test_properties_of_any_length_are_filters(backend: Backend, value: str) -> None:
    """Only short ones are in the index."""
    backend.database.create_image(image(id="found", properties={"p": value}))
    backend.database.create_image(image(id="other", properties={"p": value[:-1] + "y"}))
    backend.database.create_image(image(id="shorter", properties={"p": value[:-1]}))
    query = ListQuery(properties=(("p", value),))
    assert [one.id for one in backend.database.list_images(query, OWNER)] == ["found"]


def test_hidden_images_and_statuses_do_not_shorten_pages(backend: Backend) -> None:
    for number in range(30):
        status = [Status.ACTIVE, Status.PENDING_DELETE, Status.KILLED][number % 3]
        backend.database.create_image(image(id=f"image-{number:02}", status=status, os_hidden=number % 2 == 0))
    expected = [f"image-{number:02}" for number in range(29, -1, -1) if number % 3 == 0]
    shown = [one for one in expected if int(one[-2:]) % 2]
    assert walk(backend.database, OWNER, ListQuery(limit=2)) == shown
    assert walk(backend.database, OWNER, ListQuery(limit=2, os_hidden=True)) == [
        one for one in expected if one not in shown
    ]
    assert [one.id for one in backend.database.list_images(ListQuery(limit=5), OWNER)] == shown


def test_an_admin_lists_the_images_of_a_project(filled: tuple[Backend, list[Image]]) -> None:
    backend, _ = filled
    rows = key_of(backend)
    owned = [one for one, row in rows.items() if row["owner"] == "project-a" and row["visibility"] != "community"]
    for order in itertools.chain(orders("created_at"), orders("size")):
        query = ListQuery(comparisons=(Comparison("owner", "eq", "project-a"),), order=order, limit=3)
        assert walk(backend.database, ADMIN, query) == in_order(rows, owned, order)


def test_a_marker_that_is_deleted_between_two_pages(filled: tuple[Backend, list[Image]]) -> None:
    backend, _ = filled
    last = backend.database.list_images(ListQuery(limit=3), OWNER)[-1]
    backend.database.delete_without_data(last.id)
    with pytest.raises(MarkerUnknown):
        backend.database.list_images(ListQuery(limit=3, marker=last.id), OWNER)


@pytest.mark.parametrize("viewer", ["admin", "admin of a project"])
@pytest.mark.parametrize("column", ["created_at", "name", "size"])
def test_an_administrators_list_goes_on_behind_a_marker_that_was_deleted(
    filled: tuple[Backend, list[Image]], column: str, viewer: str
) -> None:
    database = filled[0].database
    order = tuple(SortKey(key, descending=False) for key in dict.fromkeys((column, "created_at", "id")))
    everything = [one.id for one in database.list_images(ListQuery(order=order, limit=100), VIEWERS[viewer])]
    for position in (0, 5, len(everything) - 1):
        marker = everything[position]
        database.delete_without_data(marker)
        behind = database.list_images(ListQuery(order=order, limit=100, marker=marker), VIEWERS[viewer])
        assert [one.id for one in behind] == everything[position + 1 :]


def test_a_marker_that_no_image_ever_had_is_unknown_to_an_administrator_too(backend: Backend) -> None:
    with pytest.raises(MarkerUnknown):
        backend.database.list_images(ListQuery(marker="none"), ADMIN)


ORDERS = [
    (SortKey("created_at"), SortKey("id")),
    (SortKey("created_at", False), SortKey("id")),
    (SortKey("name", False), SortKey("created_at"), SortKey("id")),
    (SortKey("size"), SortKey("created_at"), SortKey("id")),
    (SortKey("status", False), SortKey("disk_format"), SortKey("created_at"), SortKey("id")),
]


@pytest.mark.parametrize("seed", range(5))
def test_what_stays_is_listed_once_while_others_come_and_go(filled: tuple[Backend, list[Image]], seed: int) -> None:
    """Between any two pages images are made, changed and deleted; not the last one, which is the marker."""
    backend, _ = filled
    pick = random.Random(seed)
    order = ORDERS[seed]
    steady = {one.id for one in backend.database.list_images(ListQuery(limit=100), OWNER)}
    passing: list[str] = []
    found: list[str] = []
    query = ListQuery(order=order, limit=3)
    while page := backend.database.list_images(query, OWNER):
        found += [one.id for one in page]
        query = msgspec.structs.replace(query, marker=found[-1])
        for _ in range(pick.randrange(4)):
            disturb(backend, pick, passing, keep=found[-1])
        assert len(found) < 300
    seen = [one for one in found if one in steady]
    assert sorted(seen) == sorted(steady)
    assert seen == in_order(key_of(backend), seen, order)


def disturb(backend: Backend, pick: random.Random, passing: list[str], *, keep: str) -> None:
    """Make, rename or delete an image that is not steady."""
    free = [one for one in passing if one != keep]
    action = pick.choice(["make", "make", "change", "delete"]) if free else "make"
    if action == "make":
        one = image(
            name=pick.choice([None, "a", "b"]),
            size=pick.choice([None, 0, 5]),
            created_at=MOMENT + timedelta(seconds=pick.randrange(8)),
            visibility=pick.choice([Visibility.PRIVATE, Visibility.PUBLIC]),
        )
        backend.database.create_image(one)
        passing.append(one.id)
    elif action == "change":
        change = ImageChange(columns={"name": pick.choice([None, "a", "z"]), "size": pick.choice([None, 7])})
        backend.database.update_image(pick.choice(free), change)
    else:
        passing.remove(gone := pick.choice(free))
        backend.database.delete_without_data(gone)


@pytest.mark.parametrize("properties", [(), (("p", "v"),)], ids=["all", "with a property"])
def test_pages_read_while_others_write(
    filled: tuple[Backend, list[Image]], properties: tuple[tuple[str, str], ...]
) -> None:
    backend, stored = filled
    for one in stored:
        backend.database.update_image(one.id, ImageChange(set_properties={"p": "v"}))
    steady = {one.id for one in backend.database.list_images(ListQuery(limit=100), OWNER)}
    written = threading.Event()

    def write() -> None:
        for number in range(60):
            moment = MOMENT + timedelta(seconds=number % 8)
            one = image(name=["a", None][number % 2], created_at=moment, properties={"p": "v"})
            backend.database.create_image(one)
            backend.database.delete_without_data(one.id)
        written.set()

    writer = threading.Thread(target=write)
    writer.start()
    walks = 0
    try:
        while not written.is_set() or not walks:
            order = ORDERS[walks % len(ORDERS)]
            try:
                found = walk(backend.database, OWNER, ListQuery(order=order, limit=7, properties=properties))
            except MarkerUnknown:
                # the page ended with an image that is gone by now
                continue
            finally:
                walks += 1
            assert [one for one in found if one in steady] == in_order(key_of(backend), sorted(steady), order)
    finally:
        writer.join()


def test_lists_do_without_the_indexes(bare: Backend) -> None:
    """They are named to MySQL, which refuses the name of what somebody has dropped."""
    schema.sync(bare.engine)
    for number in range(6):
        bare.database.create_image(image(id=f"image-{number}", properties={"a": "1", "b": "2"}))
    with bare.engine.connect() as connection:
        for name, table in own_indexes(connection):
            drop_index_online(connection, name, table)
    expected = [f"image-{number}" for number in reversed(range(6))]
    for order in ORDERS:
        assert sorted(walk(bare.database, OWNER, ListQuery(order=order, limit=2)), reverse=True) == expected
    two = ListQuery(limit=2, properties=(("a", "1"), ("b", "2")))
    assert walk(bare.database, OWNER, two) == expected


@pytest.mark.parametrize("bare", [kind for kind in available() if kind != "postgresql"], indirect=True)
def test_lists_do_without_an_index_of_glance_that_they_name(bare: Backend) -> None:
    schema.sync(bare.engine)
    bare.database.create_image(image(id="one", properties={"a": "1"}, tags=("t",)))
    with bare.engine.connect() as connection:
        on_table = " ON image_tags" if bare.kind == "mysql" else ""
        connection.exec_driver_sql(f"DROP INDEX ix_image_tags_image_id{on_table}")
    [listed] = bare.database.list_images(ListQuery(limit=2), OWNER)
    assert (listed.properties, listed.tags) == ({"a": "1"}, ("t",))
