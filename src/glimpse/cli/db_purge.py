"""``glimpse db purge``: removing rows for good that were marked as deleted long ago (database 11)."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import click

from glimpse.cli.config_options import config_options, settings_or_exit
from glimpse.cli.database import opened_database
from glimpse.db.base import Database
from glimpse.db.base_purge import IMAGES, LARGEST_BATCH, PURGEABLE
from glimpse.domain.clock import now

F = TypeVar("F", bound=Callable[..., Any])

#: Rows of a table at most, as the field's tool has it; more than an INTEGER of a database.
_MOST_ROWS = 2**31 - 1
_NO_LIMIT = -1
_DAY_ZERO = datetime(1970, 1, 1)  # noqa: DTZ001 - naive UTC, as everywhere in the database


class _WholeNumber(click.ParamType[int]):
    """A number in a range; another one ends the command with exit code 1, not click's 2 (database 11)."""

    name = "integer"

    def __init__(self, least: int, most: int | None = None) -> None:
        self._least = least
        self._most = most

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:  # noqa: ARG002  # click's signature
        option = "It" if param is None else param.opts[0]
        try:
            number = int(value)
        except ValueError:
            raise click.ClickException(f"{option} is {value!r}, which is no whole number.") from None
        if number < self._least:
            raise click.ClickException(f"{option} is {number}; the least is {self._least}.")
        if self._most is not None and number > self._most:
            raise click.ClickException(f"{option} is {number}, out of range; the most is {self._most}.")
        return number


def _purge_options(days: int) -> Callable[[F], F]:
    """What both commands take; ``days`` is the age without ``--age-in-days``."""

    def decorate(command: F) -> F:
        for option in (
            click.option("--dry-run", is_flag=True, help="Count what would be removed, and change nothing."),
            click.option(
                "--pause", type=click.FloatRange(0, 3600), default=0.1, show_default=True, metavar="SECONDS",
                help="Wait between two batches, for others to get their turn.",
            ),
            click.option(
                "--batch-size", type=_WholeNumber(1, LARGEST_BATCH), default=1000, show_default=True, metavar="ROWS",
                help="Rows of one transaction at most.",
            ),
            click.option(
                "--max-rows", "--max_rows", type=_WholeNumber(_NO_LIMIT, _MOST_ROWS), default=_NO_LIMIT, metavar="ROWS",
                help="Remove so many rows of each table at most. [default: no limit, which -1 also says]",
            ),
            click.option(
                "--age-in-days", "--age_in_days", "age", type=_WholeNumber(0), default=days, show_default=True,
                metavar="DAYS", help="Rows that were marked as deleted longer ago than this.",
            ),
        ):  # fmt: skip
            command = option(command)
        return config_options(command)

    return decorate


@click.command()
@_purge_options(days=30)
@click.option(
    "--table",
    "tables",
    type=click.Choice(PURGEABLE),
    multiple=True,
    help="Only this table. May be repeated. [default: all but images]",
)
@click.option("--images", "with_images", is_flag=True, help="Also the table of images; see above.")
def purge(
    config_files: tuple[Path, ...],
    config_dirs: tuple[Path, ...],
    data_dir: str | None,
    age: int,
    max_rows: int,
    batch_size: int,
    pause: float,
    dry_run: bool,
    tables: tuple[str, ...],
    with_images: bool,
) -> None:
    """Remove rows for good that were marked as deleted.

    Deleting an image, a property, a tag, a member, a location or a task only marks its rows. Live rows stay, however
    old they are; so do images and locations whose data still have to be removed from a store.

    The table of images is left alone unless --images or --table images asks for it. Once the row of an image is gone
    anybody can register its id again, and whoever still trusts that id trusts their data (OSSN-0075). Purge images only
    when nothing refers to their ids any more: servers, volumes, orchestration templates, lists of approved images. The
    row of an image goes when its other rows are gone.
    """
    chosen = {*(tables or [name for name in PURGEABLE if name != IMAGES]), *([IMAGES] if with_images else [])}
    limits = _Limits(age, max_rows, batch_size, pause)
    _run(config_files, config_dirs, data_dir, [name for name in PURGEABLE if name in chosen], limits, dry_run=dry_run)


@click.command("purge_images_table")
@_purge_options(days=180)
def purge_images_table(
    config_files: tuple[Path, ...],
    config_dirs: tuple[Path, ...],
    data_dir: str | None,
    age: int,
    max_rows: int,
    batch_size: int,
    pause: float,
    dry_run: bool,
) -> None:
    """Remove rows of images only, as glance-manage has it.

    The same as `purge --table images --age-in-days 180`, whose help says what that means.
    """
    limits = _Limits(age, max_rows, batch_size, pause)
    _run(config_files, config_dirs, data_dir, [IMAGES], limits, dry_run=dry_run)


class _Limits:
    """What is removed, and how fast."""

    def __init__(self, age: int, max_rows: int, batch_size: int, pause: float) -> None:
        """:raises ClickException: the age, in days, is from before 1970."""
        moment = now()
        if age >= (moment - _DAY_ZERO).days:
            raise click.ClickException(f"--age-in-days is {age}; that is before 1970.")
        self.before = moment - timedelta(days=age)
        self.max_rows = max_rows
        self.batch_size = batch_size
        self.pause = pause

    def of_table(self, purgeable: int) -> int:
        """How many of the rows of a table that can go may go."""
        return purgeable if self.max_rows == _NO_LIMIT else min(purgeable, self.max_rows)


def _run(
    config_files: tuple[Path, ...],
    config_dirs: tuple[Path, ...],
    data_dir: str | None,
    tables: Sequence[str],
    limits: _Limits,
    *,
    dry_run: bool,
) -> None:
    with opened_database(settings_or_exit(config_files, config_dirs, data_dir).settings) as database:
        purgeable = database.count_purgeable(tables, limits.before)
        if dry_run:
            _print({name: limits.of_table(count) for name, count in purgeable.items()}, "rows to remove")
            return
        removed = dict.fromkeys(tables, 0)
        try:
            for name in tables:
                # the bar shows itself to a terminal only
                with click.progressbar(length=limits.of_table(purgeable[name]), label=name, file=sys.stderr) as bar:
                    for rows in _purge_table(database, name, limits):
                        removed[name] += rows
                        bar.update(rows)
        finally:
            # what is done is done, also when the command is interrupted
            _print(removed, "rows removed")


def _purge_table(database: Database, table: str, limits: _Limits) -> Iterator[int]:
    """Purge one table, and say after each batch how many rows it removed."""
    left = _MOST_ROWS if limits.max_rows == _NO_LIMIT else limits.max_rows
    after = None
    while left > 0:
        batch = database.purge_batch(table, limits.before, min(limits.batch_size, left), after=after)
        yield batch.removed
        left -= batch.removed
        after = batch.last
        if after is None:
            return
        time.sleep(limits.pause)


def _print(counts: dict[str, int], heading: str) -> None:
    width = max(map(len, PURGEABLE))
    click.echo(f"{'table':<{width}}  {heading}")
    for name, count in counts.items():
        click.echo(f"{name:<{width}}  {count}")
    click.echo(f"{'total':<{width}}  {sum(counts.values())}")
