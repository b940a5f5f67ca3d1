"""``glimpse db purge``: permanently removes rows that were marked as deleted long ago (database 11)."""

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
from glimpse.db.records import IMAGES, LARGEST_BATCH, PURGEABLE
from glimpse.domain.clock import now

F = TypeVar("F", bound=Callable[..., Any])

#: Largest number of rows per table, as in glance-manage; more than a database INTEGER holds.
_MOST_ROWS = 2**31 - 1
_NO_LIMIT = -1
_DAY_ZERO = datetime(1970, 1, 1)  # noqa: DTZ001 - naive UTC, as everywhere in the database


class _WholeNumber(click.ParamType[int]):
    """A number in a range; any other value ends the command with exit code 1 instead of click's 2 (database 11)."""

    name = "integer"

    def __init__(self, least: int, most: int | None = None) -> None:
        self._least = least
        self._most = most

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:  # noqa: ARG002  # click's signature
        option = "It" if param is None else param.opts[0]
        try:
            number = int(value)
        except ValueError:
            raise click.ClickException(f"{option} is {value!r}, which is not a whole number.") from None
        if number < self._least:
            raise click.ClickException(f"{option} is {number}; the minimum is {self._least}.")
        if self._most is not None and number > self._most:
            raise click.ClickException(f"{option} is {number}; the maximum is {self._most}.")
        return number


def _purge_options(days: int) -> Callable[[F], F]:
    """Add the options of both commands; ``days`` is the default of ``--age-in-days``."""

    def decorate(command: F) -> F:
        for option in (
            click.option("--dry-run", is_flag=True, help="Count the rows that would be removed, and change nothing."),
            click.option(
                "--pause", type=click.FloatRange(0, 3600), default=0.1, show_default=True, metavar="SECONDS",
                help="Seconds to wait between batches, so that other transactions can run.",
            ),
            click.option(
                "--batch-size", type=_WholeNumber(1, LARGEST_BATCH), default=1000, show_default=True, metavar="ROWS",
                help="Maximum number of rows per transaction.",
            ),
            click.option(
                "--max-rows", "--max_rows", type=_WholeNumber(_NO_LIMIT, _MOST_ROWS), default=_NO_LIMIT, metavar="ROWS",
                help="Maximum number of rows to remove from each table; -1: no limit. [default: no limit]",
            ),
            click.option(
                "--age-in-days", "--age_in_days", "age", type=_WholeNumber(0), default=days, show_default=True,
                metavar="DAYS", help="Remove rows that were marked as deleted more than this many days ago.",
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
@click.option("--images", "with_images", is_flag=True, help="Also purge the table images; see above.")
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
    """Permanently remove rows that were marked as deleted.

    Deleting an image, a property, a tag, a member, a location or a task only marks its rows. This command keeps live
    rows, however old they are, and images and locations whose data are still to be removed from a store.

    The table images is purged only with --images or --table images. Once the row of an image is removed, anybody can
    create a new image with its id, and users who still trust that id will use its data (OSSN-0075). Purge images only
    if nothing refers to their ids any more: servers, volumes, orchestration templates, lists of approved images. The
    row of an image is removed after all its other rows.
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
    """Remove rows of the table images only, like glance-manage.

    The same as `purge --table images --age-in-days 180`; see its help for the consequences.
    """
    limits = _Limits(age, max_rows, batch_size, pause)
    _run(config_files, config_dirs, data_dir, [IMAGES], limits, dry_run=dry_run)


class _Limits:
    """Limits on what is removed and how fast."""

    def __init__(self, age: int, max_rows: int, batch_size: int, pause: float) -> None:
        """:raises ClickException: ``age`` days ago is before 1970."""
        moment = now()
        if age >= (moment - _DAY_ZERO).days:
            raise click.ClickException(f"--age-in-days is {age}, which is before 1970.")
        self.before = moment - timedelta(days=age)
        self.max_rows = max_rows
        self.batch_size = batch_size
        self.pause = pause

    def of_table(self, purgeable: int) -> int:
        """Return how many of the removable rows of a table may be removed."""
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
                # the bar is shown only on a terminal
                with click.progressbar(length=limits.of_table(purgeable[name]), label=name, file=sys.stderr) as bar:
                    for rows in _purge_table(database, name, limits):
                        removed[name] += rows
                        bar.update(rows)
        finally:
            # finished batches stay done, even if the command is interrupted
            _print(removed, "rows removed")


def _purge_table(database: Database, table: str, limits: _Limits) -> Iterator[int]:
    """Purge one table; yield the number of removed rows after each batch."""
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
