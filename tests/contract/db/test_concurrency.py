"""Races between threads and between processes: one wins, and nothing is left half done."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import pytest

from glimpse.db.sql.own_tables import jobs
from glimpse.db.sql.tables import image_locations, image_properties, image_tags, images
from glimpse.db.sql.transaction import write
from glimpse.domain.image import ImageChange, Location
from glimpse.domain.job import Job
from glimpse.domain.status import Status
from glimpse.errors import Conflict, GlimpseError, Gone
from tests.contract.db.backends import Backend
from tests.contract.db.examples import ADMIN, LIFETIME, OVER, OWNER, STORED, deletion_job, image, upload_job
from tests.contract.db.writer_process import THREADS

T = TypeVar("T")


def together(calls: Sequence[Callable[[], T]]) -> list[T | GlimpseError]:
    """Results of all calls, or the domain errors that they raised; each in its own thread, all at once."""
    barrier = threading.Barrier(len(calls))

    def run(call: Callable[[], T]) -> T | GlimpseError:
        barrier.wait()
        try:
            return call()
        except GlimpseError as error:
            return error

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


def test_one_of_many_claims_wins(backend: Backend) -> None:
    stored = image()
    backend.database.create_image(stored)
    claims = [upload_job(stored.id, claimed_by=f"worker-{number}") for number in range(8)]
    results = together([lambda one=one: backend.database.begin_upload(one, LIFETIME) for one in claims])
    winners = [one for one, result in zip(claims, results, strict=True) if result is None]
    assert len(winners) == 1
    assert all(isinstance(result, Conflict) for result in results if result is not None)
    [row] = backend.rows(jobs)
    assert row["id"] == winners[0].id


def test_an_upload_and_a_change_of_the_formats_never_both_succeed(backend: Backend) -> None:
    """What is inspected as a container would otherwise become a bare image."""
    to_bare = ImageChange(columns={"container_format": "bare"}, from_status=(Status.QUEUED,))
    outcomes: set[tuple[bool, bool]] = set()
    for _ in range(40):
        stored = image(disk_format="raw", container_format="ovf")
        backend.database.create_image(stored)
        claim = upload_job(stored.id)

        def begin(image_id: str = stored.id, claim: Job = claim) -> bool:
            backend.database.begin_upload(claim, LIFETIME, formats=("raw", "ovf"))
            return True

        def change(image_id: str = stored.id) -> bool:
            backend.database.update_image(image_id, to_bare)
            return True

        begun, changed = (result is True for result in together([begin, change]))
        found = backend.database.get_image(stored.id, ADMIN)
        assert (found.status, found.container_format) == (
            (Status.SAVING, "ovf") if begun else (Status.QUEUED, "bare")
        ), (begun, changed)
        outcomes.add((begun, changed))
    assert outcomes <= {(True, False), (False, True)}


def test_one_of_many_deletions_wins(backend: Backend) -> None:
    stored = image(status=Status.ACTIVE)
    backend.database.create_image(stored)
    claims = [deletion_job(stored.id, claimed_by=f"worker-{number}") for number in range(8)]
    results = together(
        [lambda one=one: backend.database.begin_deletion(one, LIFETIME, from_status=Status.ACTIVE) for one in claims]
    )
    assert results.count([]) == 1
    assert all(isinstance(result, Conflict) for result in results if result != [])


def test_one_of_many_takes_an_upload_over(backend: Backend) -> None:
    stored = image()
    backend.database.create_image(stored)
    held = upload_job(stored.id)
    backend.database.begin_upload(held, OVER)
    results = together(
        [lambda number=number: backend.database.claim_job(held, f"worker-{number}", LIFETIME) for number in range(8)]
    )
    [taken] = [result for result in results if result is not None]
    assert backend.database.get_job(held.id) == taken


def test_the_end_of_an_upload_against_a_take_over(backend: Backend) -> None:
    for _ in range(10):
        stored = image()
        backend.database.create_image(stored)
        held = upload_job(stored.id)
        backend.database.begin_upload(held, OVER)
        finished, taken = together(
            [
                lambda held=held: backend.database.finish_upload(held, STORED),
                lambda held=held: backend.database.claim_job(held, "worker-2", LIFETIME),
            ]
        )
        read = backend.database.get_image(stored.id, OWNER)
        if isinstance(finished, Gone):
            assert (read.status, read.locations) == (Status.SAVING, ())
            assert taken is not None
            assert backend.database.cancel_upload(taken) is True
        else:
            assert taken is None
            assert (read.status, len(read.locations)) == (Status.ACTIVE, 1)


def test_the_end_of_an_upload_against_a_deletion(backend: Backend) -> None:
    """Data that were stored are never left behind under a deleted image without anybody being told."""
    for _ in range(20):
        stored = image()
        backend.database.create_image(stored)
        held = upload_job(stored.id)
        backend.database.begin_upload(held, LIFETIME)
        finished, deleted = together(
            [
                lambda held=held: backend.database.finish_upload(held, STORED),
                lambda image_id=stored.id: backend.database.delete_without_data(image_id),
            ]
        )
        [row] = backend.rows(images, id=stored.id)
        locations = backend.rows(image_locations, image_id=stored.id)
        if isinstance(finished, Gone):
            assert not isinstance(deleted, GlimpseError)
            assert (row["status"], row["deleted"], locations) == ("deleted", True, [])
        else:
            assert isinstance(deleted, Conflict)
            assert (row["status"], row["deleted"], locations[0]["deleted"]) == ("active", False, False)


def test_changes_of_one_image_do_not_undo_each_other(backend: Backend) -> None:
    stored = image(properties={"shared": "0"})
    backend.database.create_image(stored)

    def change(number: int) -> None:
        for step in range(5):
            backend.database.update_image(
                stored.id,
                ImageChange(
                    columns={"min_ram": number},
                    set_properties={f"p{number}": str(step), "shared": f"{number}-{step}"},
                    add_tags=("shared", f"t{number}"),
                ),
            )

    assert together([lambda number=number: change(number) for number in range(6)]) == [None] * 6
    read = backend.database.get_image(stored.id, OWNER)
    assert {f"p{number}": "4" for number in range(6)}.items() <= read.properties.items()
    assert read.properties["shared"] is not None
    assert read.properties["shared"].endswith("-4")
    assert sorted(read.tags) == ["shared", *(f"t{number}" for number in range(6))]
    assert len(backend.rows(image_tags)) == 7
    assert len(backend.rows(image_properties)) == 7


def test_one_of_two_drops_a_property(backend: Backend) -> None:
    stored = image(properties={"lock": "1"})
    backend.database.create_image(stored)
    change = ImageChange(drop_properties=("lock",))
    results = together([lambda: backend.database.update_image(stored.id, change)] * 4)
    assert sum(isinstance(result, Conflict) for result in results) == 3


def test_an_id_is_taken_by_one(backend: Backend) -> None:
    stored = image(properties={"a": "1"}, locations=(Location(url="u"),))
    results = together([lambda: backend.database.create_image(stored)] * 6)
    assert results.count(None) == 1
    assert len(backend.rows(image_properties)) == 1
    assert len(backend.database.get_image(stored.id, ADMIN).locations) == 1


def test_transactions_that_collide_are_run_again(backend: Backend) -> None:
    first, second = image(name="0"), image(name="0")
    for one in (first, second):
        backend.database.create_image(one)
    met = threading.Barrier(2)

    def change(connection: Any, image_ids: tuple[str, str]) -> None:
        for step, image_id in enumerate(image_ids):
            connection.execute(images.update().where(images.c.id == image_id).values(min_ram=images.c.min_ram + 1))
            if step == 0:
                # where two writers can be under way at once, both hold a row now and want the other's
                with contextlib.suppress(threading.BrokenBarrierError):
                    met.wait(timeout=0.5)

    orders = [(first.id, second.id), (second.id, first.id)]
    assert together([lambda ids=ids: write(backend.engine, change, ids) for ids in orders]) == [None, None]
    assert [row["min_ram"] for row in backend.rows(images)] == [2, 2]


def run_writers(backend: Backend, rounds: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-W", "error", "-m", "tests.contract.db.writer_process", backend.url, str(rounds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_eight_writers_in_two_processes(backend: Backend) -> None:
    rounds = 6
    processes = [run_writers(backend, rounds) for _ in range(2)]
    for process in processes:
        _, errors = process.communicate(timeout=50)
        assert errors == ""
        assert process.returncode == 0
    assert len(backend.rows(images, status="active")) == 2 * THREADS * rounds


def test_what_was_acknowledged_survives_a_kill(backend: Backend) -> None:
    process = run_writers(backend, 1000)
    assert process.stdout is not None
    acknowledged = [process.stdout.readline().strip() for _ in range(10)]
    process.kill()
    acknowledged += process.communicate(timeout=20)[0].split("\n")[:-1]
    for image_id in acknowledged:
        read = backend.database.get_image(image_id, OWNER)
        assert (read.status, len(read.locations), read.tags) == (Status.ACTIVE, 1, ("t", "u"))
    # the rest is whole as well: an image in ``saving`` has its lease
    saving = {row["id"] for row in backend.rows(images, status="saving")}
    assert {row["image_id"] for row in backend.rows(jobs)} == saving


@pytest.mark.parametrize("workers", [4])
def test_readers_beside_writers(backend: Backend, workers: int) -> None:
    stored = image(properties={"a": "0", "b": "0"})
    backend.database.create_image(stored)

    def read() -> None:
        for _ in range(30):
            properties = backend.database.get_image(stored.id, OWNER).properties
            assert properties["a"] == properties["b"]

    def change() -> None:
        for number in range(10):
            values: dict[str, str | None] = {"a": str(number), "b": str(number)}
            backend.database.update_image(stored.id, ImageChange(set_properties=values))

    assert together([read] * workers + [change]) == [None] * (workers + 1)
