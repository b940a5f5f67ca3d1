"""``glimpse db purge``."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from glimpse.db import schema
from glimpse.db.sql.database import SqlDatabase
from glimpse.db.sql.engine import connect
from glimpse.db.sql.tables import image_properties, image_tags, images
from glimpse.domain.clock import now
from glimpse.domain.image import Image
from glimpse.settings.model import DatabaseSettings, Secret
from tests.support.service import clean_environment, script
from tests.unit.cli.conftest import Glimpse

TAGS = 30


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[sa.Engine]:
    """An embedded database with an image of 30 tags, of a property, and deleted 100 days ago with all its rows."""
    (tmp_path / "data").mkdir()
    settings = DatabaseSettings(connection=Secret(f"sqlite:///{tmp_path}/data/glimpse.sqlite"))
    engine = connect(settings)
    schema.sync(engine)
    moment = now()
    SqlDatabase(engine).create_image(
        Image(
            id="8f1b9a63-0a4f-4f2c-9f7d-0c5a3f2b7a11", owner="p", created_at=moment, updated_at=moment,
            tags=tuple(f"t{number}" for number in range(TAGS)), properties={"a": "1"},
        )
    )  # fmt: skip
    with engine.connect() as connection:
        for table in (image_tags, image_properties, images):
            connection.execute(sa.update(table).values(deleted=True, deleted_at=moment - timedelta(days=100)))
    yield engine
    engine.dispose()


Count = Callable[[sa.Table], int]


@pytest.fixture
def count(engine: sa.Engine) -> Count:
    def rows(table: sa.Table) -> int:
        with engine.connect() as connection:
            return connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()

    return rows


def printed(output: str) -> dict[str, int]:
    """The table that a run prints."""
    return {name: int(rows) for name, rows in re.findall(r"^(\w+) +(\d+)$", output, re.MULTILINE)}


def test_all_tables_but_that_of_images(glimpse: Glimpse, count: Count) -> None:
    result = glimpse("db", "purge", "--pause", "0")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "table             rows removed",
        "image_properties  1",
        "image_tags        30",
        "image_locations   0",
        "image_members     0",
        "tasks             0",
        "total             31",
    ]
    assert (count(image_tags), count(image_properties), count(images)) == (0, 0, 1)


def test_a_dry_run_changes_nothing(glimpse: Glimpse, count: Count) -> None:
    result = glimpse("db", "purge", "--images", "--dry-run", "--max-rows", "20")
    assert result.exit_code == 0
    assert result.stdout.startswith("table             rows to remove\n")
    rows = printed(result.stdout)
    assert (rows["image_tags"], rows["image_properties"], rows["images"], rows["total"]) == (20, 1, 1, 22)
    assert (count(image_tags), count(image_properties), count(images)) == (TAGS, 1, 1)


def test_rows_of_each_table_at_most(glimpse: Glimpse, count: Count) -> None:
    for size in ("7", "1000"):
        before = count(image_tags)
        glimpse("db", "purge", "--pause", "0", "--batch-size", size, "--max-rows", "10")
        assert count(image_tags) == before - 10
    glimpse("db", "purge", "--pause", "0", "--max-rows", "0")
    assert count(image_tags) == TAGS - 20
    glimpse("db", "purge", "--pause", "0", "--max-rows", "-1")
    assert count(image_tags) == 0


def test_images_go_when_they_are_asked_for_and_their_other_rows_are_gone(glimpse: Glimpse, count: Count) -> None:
    assert printed(glimpse("db", "purge", "--table", "images").stdout) == {"images": 0, "total": 0}
    assert printed(glimpse("db", "purge", "--table", "image_tags", "--images").stdout)["images"] == 0
    assert printed(glimpse("db", "purge", "--images").stdout)["images"] == 1
    assert count(images) == 0


def test_the_names_that_glance_manage_has(glimpse: Glimpse, count: Count) -> None:
    purged = glimpse("db", "purge", "--age_in_days", "99", "--max_rows", "100")
    assert printed(purged.stdout)["total"] == 31
    assert printed(glimpse("db", "purge_images_table").stdout) == {"images": 0, "total": 0}, "180 days are the default"
    rows = printed(glimpse("db", "purge_images_table", "--age_in_days", "99", "--max_rows", "1").stdout)
    assert rows == {"images": 1, "total": 1}
    assert count(images) == 0


def test_one_table(glimpse: Glimpse, count: Count) -> None:
    assert printed(glimpse("db", "purge", "--table", "image_properties").stdout) == {"image_properties": 1, "total": 1}
    assert count(image_tags) == TAGS
    refused = glimpse("db", "purge", "--table", "metadef_tags")
    assert refused.exit_code == 2


@pytest.mark.parametrize("age", ["100", "3000"])
def test_what_is_younger_stays(glimpse: Glimpse, count: Count, age: str) -> None:
    # the rows are some milliseconds more than 100 days old
    removed = printed(glimpse("db", "purge", "--age-in-days", age).stdout)["total"]
    assert removed == (31 if age == "100" else 0)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--age-in-days", "x"), "not a whole number"),
        (("--age-in-days", "1.5"), "not a whole number"),
        (("--age-in-days", "-1"), "the minimum is 0"),
        (("--age-in-days", "99999999999999999999"), "before 1970"),
        (("--max-rows", "many"), "not a whole number"),
        (("--max-rows", "-2"), "the minimum is -1"),
        (("--max-rows", "2147483648"), "the maximum is 2147483647"),
        (("--batch-size", "0"), "the minimum is 1"),
        (("--batch-size", "10001"), "the maximum is 10000"),
    ],
)
@pytest.mark.parametrize("command", ["purge", "purge_images_table"])
def test_input_that_is_refused(
    glimpse: Glimpse, count: Count, command: str, arguments: tuple[str, str], text: str
) -> None:
    """Exit code 1 (database 11)."""
    result = glimpse("db", command, *arguments)
    assert result.exit_code == 1
    assert text in result.stderr
    assert arguments[0] in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert (count(image_tags), count(images)) == (TAGS, 1)


def test_an_age_that_reaches_back_to_before_1970_is_refused(glimpse: Glimpse, count: Count) -> None:
    # not among the parameters above, which two workers that collect tests around midnight would have different ones of
    result = glimpse("db", "purge", "--age-in-days", str(int(time.time() // 86400) + 1))
    assert result.exit_code == 1
    assert "before 1970" in result.stderr
    assert count(image_tags) == TAGS


def test_the_oldest_age_that_is_taken(glimpse: Glimpse, engine: sa.Engine) -> None:
    days = int(time.time() // 86400) - 2
    assert printed(glimpse("db", "purge", "--age-in-days", str(days)).stdout)["total"] == 0


def test_a_database_without_tables(glimpse: Glimpse, tmp_path: Path) -> None:
    result = glimpse("db", "purge")
    assert result.exit_code == 1
    assert "no tables" in result.stderr
    assert not (tmp_path / "data").exists()


def test_the_help_says_what_purging_images_means(glimpse: Glimpse) -> None:
    text = glimpse("db", "purge", "--help").output
    assert "OSSN-0075" in text
    assert "create a new image with its id" in " ".join(text.split())


@pytest.mark.system
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_run_leaves_whole_batches_and_the_next_one_goes_on(
    glimpse: Glimpse, count: Count, tmp_path: Path, how: signal.Signals
) -> None:
    command = [str(script()), "db", "purge", "--images", "--batch-size", "4", "--pause", "600"]
    environment: dict[str, Any] = clean_environment({"GLIMPSE_DATA_DIR": str(tmp_path / "data")})
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, text=True
    ) as running:
        while count(image_tags) == TAGS and running.poll() is None:
            time.sleep(0.02)
        running.send_signal(how)
        output, _ = running.communicate()
    # the property was a batch of its own, then came the first batch of tags and the pause
    assert (count(image_properties), count(image_tags), count(images)) == (0, TAGS - 4, 1)
    if how is signal.SIGINT:
        assert running.returncode == 1
        rows = printed(output)
        # the signal may come before the last batch is counted
        assert rows["image_tags"] in {0, 4}
        assert rows["total"] == rows["image_tags"] + 1
    assert printed(glimpse("db", "purge", "--images", "--pause", "0").stdout)["total"] == TAGS - 4 + 1
    assert (count(image_tags), count(images)) == (0, 0)
