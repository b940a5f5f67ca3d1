"""Lists of 20,000 images are read through their indexes, and a deep page costs as much as the first one.

Counted in rows and index entries, never timed. ``tests/interop/test_lists.py`` does the same with 200,000 images.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from bench.lists import Lists
from bench.load import load
from tests.contract.db.backends import Server, available
from tests.support.list_plans import pages_of_lists, violations

SIZE = 20_000

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(900)]


@pytest.fixture(scope="module", params=available())
def lists(
    request: pytest.FixtureRequest,
    server: Callable[[str, str], Server],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Lists]:
    """A loaded catalogue."""
    kind: str = request.param
    if kind == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('lists') / 'lists.sqlite'}"
    else:
        made = server(kind, "plans")
        made.recreate()
        url = made.url
    load(url, SIZE)
    opened = Lists(url)
    yield opened
    opened.close()


def test_pages_are_read_through_the_indexes_and_far_behind_like_the_first(lists: Lists) -> None:
    pages = list(pages_of_lists(lists))
    assert len([deep for _, _, deep in pages if deep]) >= 30
    assert len([deep for _, _, deep in pages if not deep]) >= 20
    assert list(violations(lists, pages)) == []
