"""``glimpse jobs``."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from glimpse.cli.main import main
from glimpse.db.schema import sync
from glimpse.db.sql.factory import open_database
from glimpse.domain.clock import now
from glimpse.domain.job import Job, JobChange, JobStatus
from glimpse.settings.model import DatabaseSettings, Secret

Invoke = Callable[..., Result]


@pytest.fixture
def invoke(tmp_path: Path) -> Invoke:
    def run(*arguments: str) -> Result:
        return CliRunner().invoke(main, ["jobs", *arguments, "--data-dir", str(tmp_path)])

    return run


@pytest.fixture
def recorded(tmp_path: Path) -> list[Job]:
    """A pending, a running and a failed job."""
    from glimpse.db.sql.engine import connect

    settings = DatabaseSettings(connection=Secret(f"sqlite:///{tmp_path}/glimpse.sqlite"))
    engine = connect(settings)
    sync(engine)
    engine.dispose()
    database = open_database(settings)
    jobs: list[Job] = []
    for number, kind in enumerate(("copy_removal", "location_import", "location_import")):
        job = Job(
            id=str(uuid.uuid4()), type=kind, owner=f"p{number}", image_id=f"i{number}",
            created_at=now(), updated_at=now(), stores=() if number else ("ceph2", "default"),
            input={("loc_url" if number else "url"): "https://user:secret@host/", "image_id": "i"},
        )  # fmt: skip
        database.add_job(job)
        if number:
            claim = database.claim_job(job, "worker", 1e6)
            assert claim is not None
            end = JobStatus.FAILED if number == 2 else None
            database.save_job(claim, JobChange(status=end, message=f"message {number}", bytes_done=5, bytes_total=10))
        jobs.append(database.get_job(job.id))
    database.close()
    return jobs


def test_list(invoke: Invoke, recorded: list[Job]) -> None:
    result = invoke("list")
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert [line.split()[0] for line in lines] == [
        job.id for job in sorted(recorded, key=lambda job: (job.created_at, job.id), reverse=True)
    ]
    failed = next(line for line in lines if line.startswith(recorded[2].id))
    assert failed.endswith("location_import failed 5/10 image i2 message 2")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--status", "failed"), {2}), (("--type", "location_import"), {1, 2}), (("--image", "i0"), {0}),
        (("--project", "p1"), {1}), (("--type", "location_import", "--status", "pending"), set()),
    ],
)  # fmt: skip
def test_filters(invoke: Invoke, recorded: list[Job], options: tuple[str, ...], expected: set[int]) -> None:
    found = json.loads(invoke("list", "--json", *options).output)
    assert {job["id"] for job in found} == {recorded[number].id for number in expected}


def test_what_a_job_waits_for(invoke: Invoke, recorded: list[Job]) -> None:
    """A store that is not configured here; the only store is the default one."""
    line = next(line for line in invoke("list").output.splitlines() if line.startswith(recorded[0].id))
    assert line.endswith("copy_removal pending image i0 waits for a process with the store ceph2:")
    listed = {job["id"]: job for job in json.loads(invoke("list", "--json").output)}
    assert (listed[recorded[0].id]["waits_for"], listed[recorded[1].id]["waits_for"]) == (["ceph2"], [])
    assert json.loads(invoke("show", recorded[0].id, "--json").output)["waits_for"] == ["ceph2"]


def test_pages(invoke: Invoke, recorded: list[Job]) -> None:
    first = json.loads(invoke("list", "--json", "--limit", "2").output)
    second = json.loads(invoke("list", "--json", "--after", first[-1]["id"]).output)
    assert {job["id"] for job in (*first, *second)} == {job.id for job in recorded}


def test_show(invoke: Invoke, recorded: list[Job]) -> None:
    shown = json.loads(invoke("show", recorded[2].id, "--json").output)
    assert (shown["status"], shown["message"], shown["owner"]) == ("failed", "message 2", "p2")
    assert shown["ended_at"].endswith("Z")
    text = invoke("show", recorded[1].id).output
    assert "status: running" in text
    assert "claimed_by: worker" in text


def test_no_credentials_are_printed(invoke: Invoke, recorded: list[Job]) -> None:
    for job in recorded:
        for arguments in (("show", job.id), ("show", job.id, "--json"), ("list",), ("list", "--json")):
            assert "secret" not in invoke(*arguments).output


def test_cancel(invoke: Invoke, recorded: list[Job]) -> None:
    assert "cancelled" in invoke("cancel", recorded[0].id).output
    assert "asked to stop" in invoke("cancel", recorded[1].id).output
    assert "failed" in invoke("cancel", recorded[2].id).output
    assert json.loads(invoke("show", recorded[1].id, "--json").output)["cancel_requested"] is True


def test_one_line_for_what_goes_wrong(invoke: Invoke, recorded: list[Job]) -> None:
    for arguments in (("show", "nothing"), ("cancel", "nothing"), ("list", "--after", "nothing")):
        result = invoke(*arguments)
        assert result.exit_code == 1
        assert "There is no job nothing" in result.output


def test_without_tables(invoke: Invoke, tmp_path: Path) -> None:
    result = invoke("list")
    assert result.exit_code == 1
    assert "no tables" in result.output
    assert not (tmp_path / "glimpse.sqlite").exists()
