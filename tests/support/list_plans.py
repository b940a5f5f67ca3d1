"""What lists of a loaded catalogue (bench) must read: the indexes that the documentation names, and not more of them
for a page far behind than for the first one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from bench.lists import LIMIT, Case, Lists, cases
from bench.plans import Reading

#: A list, what its first page reads, and what the one far behind reads.
Pages = tuple[Case, Reading, Reading]

# a hundred instructions of SQLite's machine go to this many index entries
_ENTRIES_OF_A_STEP = 4


def index_of(case: Case, kind: str) -> str:
    """The index that docs/operator/database.md names for the order of a list."""
    key = case.query.order[0].column
    if not case.viewer.is_admin:
        return f"glimpse_images_owner_{key}"
    if key == "created_at" and case.query.visibility is not None:
        return "glimpse_images_visibility"
    if key == "id":
        return {"postgresql": "images_pkey", "mysql": "PRIMARY", "sqlite": "sqlite_autoindex_images_1"}[kind]
    return f"glimpse_images_{key}"


def pages_in_index_order(lists: Lists) -> Iterator[Pages]:
    """Read both pages of each list that is asked for a deep one: all of them are followed in the order of an index."""
    for case in cases(lists):
        if case.deep:
            yield case, lists.read(case), lists.read(lists.deep(case))


def violations(lists: Lists, pages: Iterable[Pages]) -> Iterator[str]:
    """What is wrong, page by page."""
    kind = lists.engine.dialect.name
    # the heads of the ranges, read and sorted, what is gathered, read, looked up and sorted, and samples of marks
    bound = 20 * LIMIT + 4 * lists.gathered + 1000
    if kind == "sqlite":
        bound //= _ENTRIES_OF_A_STEP
    for case, first, deep in pages:
        index = index_of(case, kind)
        for page, found in (("first", first), ("deep", deep)):
            if index not in found.indexes:
                yield f"{case.name}, {page} page: {sorted(found.indexes)} are used, and not {index}"
            if "images" in found.whole and index.startswith("glimpse_images_owner"):
                yield f"{case.name}, {page} page: all images are read"
            if found.amount > bound:
                yield f"{case.name}, {page} page: {found.amount} is read, more than {bound}"
        if deep.amount > 2 * first.amount + 10 * LIMIT:
            yield f"{case.name}: the deep page reads {deep.amount}, the first one {first.amount}"
