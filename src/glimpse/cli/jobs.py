"""``glimpse jobs``: lists, shows and cancels jobs."""

from __future__ import annotations

import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

import click
import msgspec

from glimpse.cli.config_options import config_options, settings_or_exit
from glimpse.cli.database import opened_database
from glimpse.domain.clock import wire_time
from glimpse.domain.job import ENDED, Job, JobQuery, JobStatus, described_need, is_idle, offered_node
from glimpse.settings.nodes import own_url
from glimpse.stores.multi import offered_by

_MOST = 1000


@click.group()
def jobs() -> None:
    """List, show or cancel jobs."""


@jobs.command("list")
@config_options
@click.option("--status", type=click.Choice([str(status) for status in JobStatus]), help="Only jobs in this status.")
@click.option("--type", "kind", help="Only jobs of this type.")
@click.option("--image", "image_id", help="Only jobs for this image.")
@click.option("--project", help="Only jobs of this project.")
@click.option("--limit", type=click.IntRange(1, _MOST), default=100, show_default=True, help="Maximum number of jobs.")
@click.option("--after", help="Id of the last job of the previous page.")
@click.option("--json", "json_form", is_flag=True, help="Print JSON.")
def list_(
    config_files: tuple[Path, ...],
    config_dirs: tuple[Path, ...],
    data_dir: str | None,
    status: str | None,
    kind: str | None,
    image_id: str | None,
    project: str | None,
    limit: int,
    after: str | None,
    json_form: bool,
) -> None:
    """Print jobs, newest first."""
    query = JobQuery(
        status=None if status is None else JobStatus(status),
        types=None if kind is None else (kind,),
        image_id=image_id,
        owner=project,
        after=after,
        limit=limit,
    )
    settings = settings_or_exit(config_files, config_dirs, data_dir).settings
    offers = offered_by(settings.stores) | offered_node(own_url(settings))
    with opened_database(settings) as database:
        found = database.list_jobs(query)
    if json_form:
        documents = [_document(job, offers) for job in found]
        click.echo(msgspec.json.format(msgspec.json.encode(documents), indent=2))
        return
    for job in found:
        click.echo(_line(job, offers))


@jobs.command()
@config_options
@click.argument("job_id")
@click.option("--json", "json_form", is_flag=True, help="Print JSON.")
def show(
    config_files: tuple[Path, ...],
    config_dirs: tuple[Path, ...],
    data_dir: str | None,
    job_id: str,
    json_form: bool,
) -> None:
    """Print all that is recorded of one job."""
    settings = settings_or_exit(config_files, config_dirs, data_dir).settings
    with opened_database(settings) as database:
        document = _document(database.get_job(job_id), offered_by(settings.stores) | offered_node(own_url(settings)))
    if json_form:
        click.echo(msgspec.json.format(msgspec.json.encode(document), indent=2))
        return
    for name, value in document.items():
        text = msgspec.json.encode(value).decode() if isinstance(value, dict) else value
        click.echo(f"{name}: {'-' if text is None else text}")


@jobs.command()
@config_options
@click.argument("job_id")
def cancel(config_files: tuple[Path, ...], config_dirs: tuple[Path, ...], data_dir: str | None, job_id: str) -> None:
    """Cancel a waiting job, or ask the process that runs it to stop. The job then cleans up its image."""
    with opened_database(settings_or_exit(config_files, config_dirs, data_dir).settings) as database:
        job = database.cancel_job(job_id)
    click.echo(f"The job is {job.status}." if job.status in ENDED else "The job was asked to stop.")


def _document(job: Job, offers: Collection[str]) -> dict[str, Any]:
    """The fields of a job as they are printed. Inputs stay out: addresses in them may hold credentials."""
    document = msgspec.to_builtins(job) | {"waits_for": _waits_for(job, offers)}
    del document["input"]
    for name in ("created_at", "updated_at", "ended_at"):
        moment = getattr(job, name)
        document[name] = None if moment is None else wire_time(moment)
    return document


def _waits_for(job: Job, offers: Collection[str]) -> list[str]:
    """What a job that nobody works on needs and this installation does not offer: stores, or a certain node."""
    return [name for name in job.stores if name not in offers] if is_idle(job, time.time()) else []


def _line(job: Job, offers: Collection[str]) -> str:
    missing = _waits_for(job, offers)
    waits = f" waits for {' and '.join(map(described_need, missing))}:" if missing else ""
    progress = "" if job.bytes_total is None else f" {job.bytes_done}/{job.bytes_total}"
    message = f" {job.message}" if job.message else ""
    return (
        f"{job.id} {wire_time(job.created_at)} {job.type} {job.status}{progress} image {job.image_id}{waits}{message}"
    )
