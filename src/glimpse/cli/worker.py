"""``glimpse worker``: a process that only runs jobs and recovers the work of dead processes."""

from __future__ import annotations

import logging
import signal
import threading
from pathlib import Path

import click

from glimpse.background import build_worker
from glimpse.cli.config_options import (
    config_options,
    log_remarks,
    require_no_warnings,
    settings_or_exit,
    strict_option,
)
from glimpse.cli.database import failing_in_one_line, make_data_directory, require_database
from glimpse.cli.startup_checks import try_notifications, try_stores
from glimpse.launcher.descriptors import raise_soft_limit
from glimpse.launcher.heaps import limit_heaps
from glimpse.settings.errors import SettingsError
from glimpse.settings.startup import refusals_of_jobs
from glimpse.telemetry import log

LOG = logging.getLogger(__name__)


@click.command()
@config_options
@click.option(
    "--threads", type=click.IntRange(1, 256), help="Number of concurrent jobs. [default: `[glimpse] job_threads`]"
)
@strict_option
def worker(
    config_files: tuple[Path, ...],
    config_dirs: tuple[Path, ...],
    data_dir: str | None,
    threads: int | None,
    strict: bool,
) -> None:
    """Run jobs until SIGTERM or SIGINT; other processes continue the unfinished ones."""
    loaded = settings_or_exit(config_files, config_dirs, data_dir)
    require_no_warnings(loaded, strict=strict)
    settings = loaded.settings
    if reasons := refusals_of_jobs(settings):
        raise click.ClickException(" ".join(reasons))
    make_data_directory(settings)
    try:
        log.configure(settings.logging)
        log_remarks(loaded)
        try_notifications(settings)
        try_stores(settings)
    except OSError as error:
        raise click.ClickException(
            f"The log file {settings.logging.file} cannot be written: {error.strerror}."
        ) from error
    except SettingsError as error:
        raise click.ClickException(str(error)) from error
    with failing_in_one_line(settings):
        require_database(settings)
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: ended.set())
    raise_soft_limit()
    limit_heaps()
    running = build_worker(settings, threads=threads or max(settings.jobs.threads, 1))
    running.start()
    LOG.info("Running jobs as %s", running.name)
    # in slices: an endless wait would keep signal handlers from running
    while not ended.wait(1.0):
        pass
    running.stop()
    LOG.info("Ended")
