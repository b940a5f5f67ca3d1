"""How long lists take, on a database that ``bench/load.py`` has filled: medians in milliseconds.

    python -m bench.lists URL [ROUNDS]

``all`` is the whole of ``list_images`` for 100 images; ``SQL`` its statements run again by themselves, their rows
fetched, on PostgreSQL planned anew each time; ``CPU`` the processor time of the database for these; ``read`` what
they read to find the images (``plans.py``). The deep page begins after as many images as the project has, less 100:
of 200,000 images it is page 500.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa
from sqlalchemy import event

from bench.catalogue import END, LARGE
from bench.plans import NOTHING, Reading, reading
from bench.processor import processor_clock
from glimpse.db.records import Viewer
from glimpse.db.sql.database import SqlDatabase
from glimpse.db.sql.engine import connect
from glimpse.db.sql.keyset import order_by
from glimpse.db.sql.tables import image_members, image_properties, images
from glimpse.db.sql.visibility import INDEXED_KEYS, ListScope
from glimpse.domain.listing import SORT_KEYS, Comparison, ListQuery, OneOf, SortKey
from glimpse.domain.status import UNLISTED
from glimpse.settings.model import DatabaseSettings, Secret

LIMIT = 100
PROJECT = Viewer(LARGE)
ADMIN = Viewer("a" * 32, is_admin=True)


class Case(NamedTuple):
    """One list; ``deep`` ones are also asked for a page far behind."""

    name: str
    query: ListQuery
    viewer: Viewer = PROJECT
    deep: bool = False


class Times(NamedTuple):
    """Medians in milliseconds, what was read, and how many images the page had."""

    operation: float
    statements: float
    processor: float | None
    reading: Reading
    images: int


class Lists:
    """A database under measurement."""

    def __init__(self, url: str, rounds: int = 7) -> None:
        self.engine = connect(DatabaseSettings(connection=Secret(url), sqlite_synchronous=False))
        self._database = SqlDatabase(self.engine)
        self._rounds = rounds
        self._deep = self._count(images, images.c.owner == LARGE, images.c.deleted == sa.false()) - LIMIT
        #: Images that are gathered unless the order is by time: public ones, and those that are shared with it.
        self.gathered = self._count(images, images.c.visibility == "public") + self._count(
            image_members, image_members.c.member == LARGE
        )

    def _count(self, table: sa.Table, *conditions: sa.ColumnElement[bool]) -> int:
        with self.engine.connect() as connection:
            return int(
                connection.execute(sa.select(sa.func.count()).select_from(table).where(*conditions)).scalar_one()
            )

    def close(self) -> None:
        """Give up the connections."""
        self._database.close()

    def deep(self, case: Case) -> Case:
        """The deep page of a list; its marker is found by sorting all images."""
        query = case.query
        scope = ListScope.of(case.viewer, query.visibility, query.member_status)
        statement = (
            sa.select(images.c.id)
            .where(
                images.c.deleted == sa.false(),
                images.c.status.not_in(UNLISTED),
                images.c.os_hidden == sa.false(),
                scope.condition(),
            )
            .order_by(*order_by(query.order, state_nulls=self.engine.dialect.name == "postgresql"))
            .offset(self._deep - 1)
            .limit(1)
        )
        values = {"project": case.viewer.project_id, "member_status": query.member_status}
        with self.engine.connect() as connection:
            marker = str(connection.execute(statement, values).scalar_one())
        return case._replace(query=msgspec.structs.replace(query, marker=marker))

    def rare_property(self) -> tuple[str, str]:
        """A property of one image."""
        statement = sa.select(image_properties.c.name, image_properties.c.value).where(
            image_properties.c.name == "instance_uuid",
            image_properties.c.image_id == images.c.id,
            images.c.owner == LARGE,
            images.c.status == "active",
            images.c.os_hidden == sa.false(),
        )
        with self.engine.connect() as connection:
            name, value = connection.execute(statement.limit(1)).one()
        return str(name), str(value)

    def read(self, case: Case) -> Reading:
        """What the statements of a list read to find its images; what belongs to them is as much for any page."""
        with self._statements() as statements:
            self._database.list_images(case.query, case.viewer)
        with self.engine.connect() as connection:
            readings = [reading(connection, *statement) for statement in statements if "meta_data" not in statement[0]]
        return sum(readings, NOTHING)

    def measure(self, case: Case) -> Times:
        """Run a list again and again."""
        with self._statements() as statements:
            found = self._database.list_images(case.query, case.viewer)
        operation, _ = self._median(lambda: self._database.list_images(case.query, case.viewer), lambda: 0)
        with self.engine.connect() as connection:
            driver: Any = connection.connection.dbapi_connection
            options = {"prepare": False} if self.engine.dialect.name == "postgresql" else {}

            def replay() -> None:
                cursor = driver.cursor()
                for statement, parameters in statements:
                    cursor.execute(statement, parameters, **options)
                    cursor.fetchall()
                cursor.close()

            clock = processor_clock(connection)
            taken, processor = self._median(replay, clock or (lambda: 0))
        return Times(operation, taken, processor if clock else None, self.read(case), len(found))

    def _median(self, work: Callable[[], object], clock: Callable[[], float]) -> tuple[float, float]:
        """Milliseconds on the wall, and by a clock."""
        work()
        taken: list[tuple[float, float]] = []
        for _ in range(self._rounds):
            wall, by_clock = time.perf_counter(), clock()
            work()
            taken.append((time.perf_counter() - wall, clock() - by_clock))
        walls, by_clocks = zip(*taken, strict=True)
        return statistics.median(walls) * 1000, statistics.median(by_clocks) * 1000

    @contextmanager
    def _statements(self) -> Iterator[list[tuple[str, Any]]]:
        found: list[tuple[str, Any]] = []

        def record(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
            found.append((statement, parameters))

        event.listen(self.engine, "before_cursor_execute", record)
        try:
            yield found
        finally:
            event.remove(self.engine, "before_cursor_execute", record)


def orders() -> Iterator[tuple[str, tuple[SortKey, ...]]]:
    """Every key in every direction, the ties in the same and in the other one."""
    for key in ("created_at", *sorted(SORT_KEYS - {"created_at"})):
        for descending in (True, False):
            for ties in (descending, not descending):
                if key == "id" and ties != descending:
                    continue
                columns = dict.fromkeys((key, "created_at", "id"))
                name = f"{key} {'desc' if descending else 'asc'}" + ("" if ties == descending else ", ties turned")
                yield name, tuple(SortKey(column, descending if column == key else ties) for column in columns)


def cases(lists: Lists) -> Iterator[Case]:
    """What is measured."""
    for name, order in orders():
        yield Case(name, ListQuery(order=order, limit=LIMIT), deep=order[0].column in INDEXED_KEYS)
    recent, old = END - timedelta(days=2), END - timedelta(days=1000)
    by_update = (SortKey("updated_at"), SortKey("created_at"), SortKey("id"))
    for name, query in {
        "property of 40 % (os_distro)": ListQuery(properties=(("os_distro", "ubuntu"),)),
        "property of 5 % (architecture)": ListQuery(properties=(("architecture", "aarch64"),)),
        "property of 1 % (os_distro)": ListQuery(properties=(("os_distro", "freebsd"),)),
        "property of 0.05 % (base_image_ref)": ListQuery(
            properties=(("base_image_ref", "00000007-0000-4000-8000-000000000000"),)
        ),
        "property of one image": ListQuery(properties=(lists.rare_property(),)),
        "property of no image": ListQuery(properties=(("os_distro", "plan9"),)),
        "two properties": ListQuery(properties=(("os_distro", "ubuntu"), ("hw_firmware_type", "uefi"))),
        "tag of 39 %": ListQuery(tags=("env-0",)),
        "tag of 0.2 %": ListQuery(tags=("team-7",)),
        "two tags": ListQuery(tags=("env-0", "team-7")),
        "name of 2 %": ListQuery(comparisons=(Comparison("name", "eq", "snapshot"),)),
        "name of no image": ListQuery(comparisons=(Comparison("name", "eq", "no such name"),)),
        "name in two": ListQuery(one_of=(OneOf("name", ("snapshot", "cirros")),)),
        "status active": ListQuery(comparisons=(Comparison("status", "eq", "active"),)),
        "status saving": ListQuery(comparisons=(Comparison("status", "eq", "saving"),)),
        "disk_format vhd": ListQuery(comparisons=(Comparison("disk_format", "eq", "vhd"),)),
        "size_min": ListQuery(comparisons=(Comparison("size", "gte", 60 << 30),)),
        "updated in two days": ListQuery(comparisons=(Comparison("updated_at", "gte", recent),)),
        "updated in two days, by update": ListQuery(
            comparisons=(Comparison("updated_at", "gte", recent),), order=by_update
        ),
        "updated in 1000 days": ListQuery(comparisons=(Comparison("updated_at", "gte", old),)),
        "created 1000 days ago or before": ListQuery(comparisons=(Comparison("created_at", "lte", old),)),
        "checksum of no image": ListQuery(comparisons=(Comparison("checksum", "eq", "0" * 32),)),
        "hidden": ListQuery(os_hidden=True),
        "member_status all": ListQuery(member_status="all"),
        "member_status pending": ListQuery(member_status="pending"),
        **{
            f"visibility {visibility}": ListQuery(visibility=visibility)
            for visibility in ("public", "community", "shared", "private", "all")
        },
        "shared, pending": ListQuery(visibility="shared", member_status="pending"),
    }.items():
        yield Case(name, msgspec.structs.replace(query, limit=LIMIT))
    yield from filtered_cases()
    yield from sorted_by_several_keys("", PROJECT)
    for name, order in orders():
        if order[0].descending and "turned" not in name:
            deep = order[0].column in {*INDEXED_KEYS, "id"}
            yield Case(f"admin, {name}", ListQuery(order=order, limit=LIMIT), ADMIN, deep=deep)
            private = ListQuery(visibility="private", order=order, limit=LIMIT)
            yield Case(f"admin, private, {name}", private, ADMIN, deep=deep)
    yield from sorted_by_several_keys("admin, ", ADMIN)
    for name, query in {
        "admin, name of 2 %": ListQuery(comparisons=(Comparison("name", "eq", "snapshot"),)),
        "admin, status saving": ListQuery(comparisons=(Comparison("status", "eq", "saving"),)),
        "admin, owner": ListQuery(comparisons=(Comparison("owner", "eq", LARGE),)),
        "admin, property of 1 %": ListQuery(properties=(("os_distro", "freebsd"),)),
        "admin, property of 5 %": ListQuery(properties=(("architecture", "aarch64"),)),
        "admin, property of 40 %": ListQuery(properties=(("os_distro", "ubuntu"),)),
        "admin, updated in two days": ListQuery(comparisons=(Comparison("updated_at", "gte", recent),)),
    }.items():
        yield Case(name, msgspec.structs.replace(query, limit=LIMIT), ADMIN)


def filtered_cases() -> Iterator[Case]:
    """Every key, with a property, with a tag, with a name, and with all three."""
    name = (Comparison("name", "eq", "snapshot"),)
    tags, properties = ("env-0",), (("os_distro", "ubuntu"),)
    for label, query in {
        "property": ListQuery(properties=properties),
        "tag": ListQuery(tags=tags),
        "name": ListQuery(comparisons=name),
        "all three": ListQuery(properties=properties, tags=tags, comparisons=name),
    }.items():
        for order_name, order in orders():
            if order[0].descending and "turned" not in order_name:
                changed = msgspec.structs.replace(query, order=order, limit=LIMIT)
                deep = label == "property" and order[0].column in INDEXED_KEYS
                yield Case(f"{order_name}, {label}", changed, deep=deep)


def sorted_by_several_keys(whose: str, viewer: Viewer) -> Iterator[Case]:
    """No index has such an order, but one has its beginning."""
    ties = (SortKey("created_at"), SortKey("id"))
    for first, second in (("name", "size"), ("disk_format", "name"), ("status", "updated_at"), ("size", "name")):
        order = (SortKey(first, descending=False), SortKey(second), *ties)
        yield Case(f"{whose}{first} asc, {second} desc", ListQuery(order=order, limit=LIMIT), viewer)


class Measured(NamedTuple):
    """One list: its first page, and one far behind where it has been asked for."""

    case: Case
    first: Times
    deep: Times | None


def measure(lists: Lists) -> Iterator[Measured]:
    """All lists, one after the other."""
    for case in cases(lists):
        yield Measured(case, lists.measure(case), lists.measure(lists.deep(case)) if case.deep else None)


def report(measured: Iterable[Measured]) -> Iterator[str]:
    """A table, line by line."""
    half = f"{'all':>7} {'SQL':>7} {'CPU':>7} {'read':>7}"
    yield f"{'':<36} {'':>6}   {'page 1':<31}  deep page"
    yield f"{'list':<36} {'images':>6}  {half}  {half}"
    taken: dict[bool, list[float]] = {False: [], True: []}
    for case, first, deep in measured:
        pages = [first] if deep is None else [first, deep]
        yield f"{case.name:<36} {first.images:>6}  " + "  ".join(_half(page) for page in pages)
        taken[case.viewer.is_admin] += [page.statements if page.processor is None else page.processor for page in pages]
    for is_admin, times in taken.items():
        if len(times) > 1:
            whose = "an administrator" if is_admin else "the project"
            middle, late = statistics.median(times), statistics.quantiles(times, n=10)[-1]
            yield f"pages of {whose}: median {middle:.1f}, nine of ten {late:.1f}, slowest {max(times):.1f}"


def _half(page: Times) -> str:
    processor = "-" if page.processor is None else f"{page.processor:.1f}"
    return f"{page.operation:>7.1f} {page.statements:>7.1f} {processor:>7} {page.reading.amount:>7}"


def main() -> None:
    """Measure, and print as it goes."""
    lists = Lists(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 7)
    for line in report(measure(lists)):
        print(line, flush=True)
    lists.close()


if __name__ == "__main__":
    main()
