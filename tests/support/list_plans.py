"""What lists of a loaded catalogue (bench) must read: the indexes that the documentation names, and not more of them
for a page far behind than for the first one. Lists in the order of a key without an index read the index by time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from bench.lists import LIMIT, Case, Lists, cases
from bench.plans import Reading
from glimpse.db.sql.visibility import INDEXED_KEYS

#: A list, what its first page reads, and what the one far behind reads; None where it has no index of its own.
Pages = tuple[Case, Reading, Reading | None]

# a hundred instructions of SQLite's machine go to this many index entries
_ENTRIES_OF_A_STEP = 4


def index_of(case: Case, kind: str) -> str:
    """The index that docs/operator/database.md names for the order of a list."""
    key = case.query.order[0].column
    if key == "id" and case.viewer.is_admin:
        return {"postgresql": "images_pkey", "mysql": "PRIMARY", "sqlite": "sqlite_autoindex_images_1"}[kind]
    if key not in INDEXED_KEYS:
        key = "created_at"
    return f"glimpse_images_{key}" if case.viewer.is_admin else f"glimpse_images_owner_{key}"


def is_gathered(case: Case) -> bool:
    """Whether a list has the order of one key, which no index has, and no filter."""
    query = case.query
    filters = (query.comparisons, query.one_of, query.tags, query.properties)
    return not case.deep and query.order[0].column not in INDEXED_KEYS and len(query.order) <= 3 and not any(filters)


def pages_of_lists(lists: Lists) -> Iterator[Pages]:
    """Read both pages of each list that is followed in the order of an index, and the first one of those that are
    gathered."""
    for case in cases(lists):
        if case.deep:
            yield case, lists.read(case), lists.read(lists.deep(case))
        elif is_gathered(case):
            yield case, lists.read(case), None


def violations(lists: Lists, pages: Iterable[Pages]) -> Iterator[str]:
    """What is wrong, page by page."""
    kind = lists.engine.dialect.name
    # the heads of the ranges, read and sorted, what is gathered, read, looked up and sorted, and
    # samples of tags and properties
    bound = 20 * LIMIT + 4 * lists.gathered + 1000
    if kind == "sqlite":
        bound //= _ENTRIES_OF_A_STEP
    for case, first, deep in pages:
        index = index_of(case, kind)
        # PostgreSQL takes no hints: of several indexes that have all images of a project any may do
        chooses = deep is None and kind == "postgresql"
        for page, found in (("first", first), ("deep", deep)):
            if found is None:
                continue
            if index not in found.indexes and not chooses:
                yield f"{case.name}, {page} page: {sorted(found.indexes)} are used, and not {index}"
            if "images" in found.whole and index.startswith("glimpse_images_owner"):
                yield f"{case.name}, {page} page: all images are read"
            if found.amount > bound and deep is not None:
                yield f"{case.name}, {page} page: {found.amount} is read, more than {bound}"
        if deep is not None and deep.amount > 2 * first.amount + 10 * LIMIT:
            yield f"{case.name}: the deep page reads {deep.amount}, the first one {first.amount}"
