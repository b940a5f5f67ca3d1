"""Lists of 200,000 images on each database: checks what they read, and reports how long they take.

A stage of dev/services of its own: the catalogues are loaded at once, which takes minutes.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from bench.lists import Lists, measure, report
from bench.load import SIZE
from tests.contract.db.backends import SERVERS, Server
from tests.support.list_plans import is_gathered, violations
from tests.support.needs import unavailable

KINDS = ("sqlite", *SERVERS)
ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.heavy, pytest.mark.interop, pytest.mark.timeout(1500)]


@pytest.fixture(scope="module")
def urls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """By kind, a loaded database; all of them are removed at the end."""
    servers: dict[str, Server] = {}
    for kind, variable in SERVERS.items():
        url = os.environ.get(variable)
        if not url:
            unavailable(f"{variable} names no server")
        servers[kind] = Server(kind, url, "lists")
    file = tmp_path_factory.mktemp("lists") / "lists.sqlite"
    urls = {"sqlite": f"sqlite:///{file}", **{kind: server.url for kind, server in servers.items()}}
    try:
        load_all(urls.values())
        yield urls
    finally:
        for server in servers.values():
            server.close()
        file.unlink(missing_ok=True)


def load_all(urls: Iterable[str]) -> None:
    loading = [
        subprocess.Popen([sys.executable, "-m", "bench.load", url, str(SIZE)], cwd=ROOT, stdout=subprocess.DEVNULL)
        for url in urls
    ]
    try:
        assert [process.wait(1200) for process in loading] == [0] * len(loading)
    finally:
        for process in loading:
            process.kill()
            process.wait()


@pytest.mark.parametrize("kind", KINDS)
def test_lists_of_200_000_images(
    urls: dict[str, str], kind: str, record_property: Callable[[str, object], None]
) -> None:
    lists = Lists(urls[kind], rounds=3)
    try:
        measured = list(measure(lists))
        record_property("report", "\n".join([f"Lists of {SIZE} images, {kind}, milliseconds", *report(measured)]))
        pages = [
            (case, first.reading, deep.reading if deep else None)
            for case, first, deep in measured
            if deep or is_gathered(case)
        ]
        assert len([deep for _, _, deep in pages if deep]) >= 30
        assert len([deep for _, _, deep in pages if not deep]) >= 20
        assert list(violations(lists, pages)) == []
    finally:
        lists.close()
