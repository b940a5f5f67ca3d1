"""A service's data on disk: files in the store, rows in the embedded database."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.support.raw_http import Api
from tests.support.service import Service

LEFT_EMPTY = ("size", "virtual_size", "checksum", "os_hash_algo", "os_hash_value")


def stored_files(service: Service) -> set[str]:
    """Names of all files below the store's directory, unfinished ones too, relative to it; not its marker."""
    root = service.images_dir
    found = {str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir()}
    return found - {".glimpse-store"}


def rows(service: Service, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
    """Read from the database file beside the running service."""
    with closing(sqlite3.connect(f"file:{service.database_file}?mode=ro", uri=True, timeout=30)) as connection:
        return connection.execute(statement, parameters).fetchall()


def leases(service: Service) -> list[tuple[Any, ...]]:
    """Rows of unfinished operations."""
    return rows(service, "SELECT * FROM glimpse_jobs WHERE due_at IS NOT NULL")


def live_locations(service: Service, image_id: str | None = None) -> list[str]:
    """URLs of all live locations, or those of one image."""
    statement = "SELECT value FROM image_locations WHERE deleted = 0"
    if image_id is None:
        return [url for (url,) in rows(service, statement)]
    return [url for (url,) in rows(service, statement + " AND image_id = ?", image_id)]


def eventually(condition: Callable[[], bool], seconds: float = 10.0) -> bool:
    """Wait for ``condition``; False when it did not come true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def assert_untouched(service: Service, api: Api, image_id: str, seconds: float = 10.0) -> dict[str, Any]:
    """The image is queued as if nobody had ever sent data: no size, no digest, no location, file or lease.

    A client that goes away is noticed a moment later, so this waits up to ``seconds``.
    """
    settled = eventually(lambda: api.show(image_id)["status"] == "queued" and not leases(service), seconds)
    document = api.show(image_id)
    assert settled, (document["status"], leases(service))
    assert document["status"] == "queued"
    assert {name: document[name] for name in LEFT_EMPTY} == dict.fromkeys(LEFT_EMPTY)
    assert live_locations(service, image_id) == []
    left = {name for name in stored_files(service) if image_id in name}
    assert left == set(), left
    assert api.download(image_id).status == 204
    return document


def assert_store_holds(service: Service, image_ids: set[str]) -> None:
    """The store's directory has one file for each of ``image_ids``, and nothing else."""
    expected = {str(Path(image_id)) for image_id in image_ids}
    assert eventually(lambda: stored_files(service) == expected), stored_files(service) ^ expected
