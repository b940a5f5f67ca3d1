"""The number of statements of each operation, and of Python calls on SQLite."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import FrameType
from typing import Any

import msgspec
import pytest

from glimpse.db.base import Database
from glimpse.domain.image import ImageChange, Location
from glimpse.domain.job import Claim
from glimpse.domain.listing import ListQuery
from glimpse.domain.status import Status
from tests.contract.db.backends import Backend, Opener
from tests.contract.db.examples import LIFETIME, MOMENT, OWNER, STORED, deletion_job, image, upload_job


@pytest.fixture
def statements(backend: Backend) -> Callable[[Callable[[], Any]], int]:
    def count(operation: Callable[[], Any]) -> int:
        with backend.counting() as run:
            operation()
        return len(run)

    return count


def python_calls(operation: Callable[[], Any]) -> int:
    """Function calls of the interpreter, once everything is cached."""
    operation()
    operation()
    calls = 0

    def count(_frame: FrameType, kind: str, _argument: object) -> None:
        nonlocal calls
        calls += kind == "call"

    sys.setprofile(count)
    try:
        operation()
    finally:
        sys.setprofile(None)
    return calls


def test_statements_of_creations(backend: Backend, statements: Callable[[Callable[[], Any]], int]) -> None:
    create = backend.database.create_image
    assert statements(lambda: create(image())) == 1
    properties: dict[str, str | None] = {f"p{number}": "v" for number in range(20)}
    assert statements(lambda: create(image(properties=properties))) == 2
    full = image(properties=properties, tags=("a", "b"), locations=(Location(url="u"), Location(url="v")))
    assert statements(lambda: create(full)) == 4


def test_statements_of_reads(backend: Backend, statements: Callable[[Callable[[], Any]], int]) -> None:
    database = backend.database
    stored = [
        image(created_at=MOMENT - timedelta(seconds=age), properties={"a": "1", "b": "2"}, tags=("t", "u"))
        for age in range(5)
    ]
    for one in stored:
        database.create_image(one)
    assert statements(lambda: database.get_image(stored[0].id, OWNER)) == 1
    assert statements(lambda: database.list_images(ListQuery(), OWNER)) == 2
    assert statements(lambda: database.list_images(ListQuery(marker=stored[2].id), OWNER)) == 3
    assert statements(lambda: database.list_images(ListQuery(tags=("nothing",)), OWNER)) == 1
    filtered = ListQuery(tags=("t", "u"), properties=(("a", "1"),))
    assert statements(lambda: database.list_images(filtered, OWNER)) == 3
    after = msgspec.structs.replace(filtered, marker=stored[2].id)
    assert statements(lambda: database.list_images(after, OWNER)) == 4


def test_statements_of_changes(backend: Backend, statements: Callable[[Callable[[], Any]], int]) -> None:
    stored = image(properties={"a": "1", "b": "2"}, tags=("t",))
    backend.database.create_image(stored)

    def change(**fields: Any) -> int:
        return statements(lambda: backend.database.update_image(stored.id, ImageChange(**fields)))

    # on MySQL the spelling of the names is looked up
    of_properties = 3 if backend.kind == "mysql" else 2
    assert change(columns={"name": "n"}, from_status=(Status.QUEUED,)) == 1
    assert change(set_properties={f"p{number}": "v" for number in range(20)}) == of_properties
    assert change(drop_properties=("a", "b")) == 2
    assert change(add_tags=("u",)) == 2
    assert change(drop_tags=("u",)) == 2
    assert change(tags=("v", "w")) == 3


def test_statements_of_an_upload(backend: Backend, statements: Callable[[Callable[[], Any]], int]) -> None:
    database = backend.database
    stored, staged, failed = image(), image(properties={"a": "1"}), image()
    held, of_staged, of_failed = upload_job(stored.id), upload_job(staged.id), upload_job(failed.id)
    for one in (stored, staged, failed):
        database.create_image(one)
    assert statements(lambda: database.begin_upload(held, LIFETIME)) == 2
    database.begin_upload(of_staged, LIFETIME)
    database.begin_upload(of_failed, LIFETIME)
    assert statements(lambda: database.renew_jobs("worker-1", [Claim("0" * 32, 1)], 2000.0)) == 2
    assert statements(lambda: database.finish_upload(held, STORED)) == 3
    assert statements(lambda: database.finish_upload(of_staged, STORED, drop_properties=("a",))) == 4
    assert statements(lambda: database.cancel_upload(of_failed)) == 2


def test_statements_of_a_deletion(backend: Backend, statements: Callable[[Callable[[], Any]], int]) -> None:
    database = backend.database
    stored = image(status=Status.ACTIVE, properties={"a": "1"}, tags=("t",), locations=(Location(url="u"),))
    database.create_image(stored)
    backend.share(stored.id, "project-b")
    held = deletion_job(stored.id)
    assert statements(lambda: database.begin_deletion(held, LIFETIME, from_status=Status.ACTIVE)) == 3
    assert statements(lambda: database.finish_deletion(held)) <= 7


def test_python_calls_of_reads(open_backend: Callable[[str], Opener], tmp_path: Path) -> None:
    """On SQLite, as the drivers of servers are partly written in Python, and without anybody who listens."""
    with open_backend("sqlite")(tmp_path) as backend:
        check_python_calls(backend.database)


def check_python_calls(database: Database) -> None:
    small = image(properties={f"p{number}": "v" for number in range(5)}, tags=("t",), locations=(Location(url="u"),))
    database.create_image(small)
    for _ in range(24):
        database.create_image(image(properties={f"p{number}": "v" for number in range(8)}))
    assert python_calls(lambda: database.get_image(small.id, OWNER)) < 150
    assert len(database.list_images(ListQuery(), OWNER)) == 25
    assert python_calls(lambda: database.list_images(ListQuery(), OWNER)) < 900
