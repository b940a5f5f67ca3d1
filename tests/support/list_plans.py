"""What lists of a loaded catalogue (bench) must read: the indexes that the documentation names, and not more of them
for a page far behind than for the first one."""

from __future__ import annotations

from collections.abc import Iterator

from bench.catalogue import ACCEPTED
from bench.lists import LIMIT, Case, Lists, cases
from bench.plans import Reading

#: A hundred instructions of SQLite's machine go to this many index entries.
_ENTRIES_OF_A_STEP = 4


def index_of(case: Case, kind: str) -> str:
    """The index that docs/operator/database.md names for the order of a list."""
    key = case.query.order[0].column
    if not case.viewer.is_admin:
        return f"glimpse_images_owner_{key}"
    if key == "created_at":
        return "glimpse_images_visibility"
    if key == "id":
        return {"postgresql": "images_pkey", "mysql": "PRIMARY", "sqlite": "sqlite_autoindex_images_1"}[kind]
    return f"glimpse_images_{key}"


def in_index_order(case: Case) -> bool:
    """Whether a list is followed in the order of an index: all of a project, and these of an admin."""
    key = case.query.order[0].column
    return key in {"created_at", "updated_at", "name", "id"} if case.viewer.is_admin else key != "id"


def deep_lists(lists: Lists) -> Iterator[tuple[Case, Reading, Reading]]:
    """Each list that has a page far behind, with what its first page reads and what that one reads."""
    for case in cases(lists):
        if case.deep and in_index_order(case):
            yield case, lists.read(case), lists.read(lists.deep(case))


def violations(lists: Lists, public: int) -> Iterator[str]:
    """What is wrong with the plans, list by list; ``public`` images are gathered for orders other than by time."""
    kind = lists.engine.dialect.name
    # the lanes of a list, each with some ranges; what is shared with the project; what is public
    bound = 20 * LIMIT + 4 * ACCEPTED + 3 * public
    if kind == "sqlite":
        bound //= _ENTRIES_OF_A_STEP
    for case, first, deep in deep_lists(lists):
        for page, found in (("first", first), ("deep", deep)):
            if index_of(case, kind) not in found.indexes:
                yield f"{case.name}, {page} page: {index_of(case, kind)} is not used, but {sorted(found.indexes)}"
            if "images" in found.whole and case.query.order[0].column != "id":
                yield f"{case.name}, {page} page: all images are read"
            if found.amount > bound:
                yield f"{case.name}, {page} page: {found.amount} read, more than {bound}"
        if deep.amount > 2 * first.amount + 10 * LIMIT:
            yield f"{case.name}: the deep page reads {deep.amount}, the first one {first.amount}"
