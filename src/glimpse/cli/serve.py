"""``glimpse serve``: starts the service, from settings to listening workers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal, cast

import click

from glimpse.app import build_asgi
from glimpse.asgi import ASGIApp
from glimpse.cli.addresses import try_listening
from glimpse.cli.config_options import (
    as_errors,
    config_options,
    log_remarks,
    require_no_warnings,
    setting_option,
    settings_or_exit,
    strict_option,
)
from glimpse.cli.database import failing_in_one_line, make_data_directory, require_database
from glimpse.cli.startup_checks import try_files, try_stores
from glimpse.launcher import LaunchError, ServeOptions
from glimpse.launcher import serve as launch
from glimpse.settings.database_url import masked_url
from glimpse.settings.errors import Problems
from glimpse.settings.load import Loaded
from glimpse.settings.model import Settings
from glimpse.settings.startup import refusals
from glimpse.telemetry import exposition, log


@click.command()
@config_options
@setting_option("--host", "DEFAULT", "bind_host", "Address to listen on.")
@setting_option("--port", "DEFAULT", "bind_port", "TCP port to listen on.")
@setting_option("--workers", "DEFAULT", "workers", "Worker processes.")
@strict_option
def serve(
    config_files: tuple[Path, ...],
    config_dirs: tuple[Path, ...],
    data_dir: str | None,
    host: str | None,
    port: str | None,
    workers: str | None,
    strict: bool,
) -> None:
    """Run the image service until SIGTERM or SIGINT.

    Without configuration files it keeps everything in one data directory and listens only on this machine.
    """
    overrides = {
        ("DEFAULT", "bind_host", "--host"): host,
        ("DEFAULT", "bind_port", "--port"): port,
        ("DEFAULT", "workers", "--workers"): workers,
    }
    loaded = settings_or_exit(config_files, config_dirs, data_dir, overrides)
    require_no_warnings(loaded, strict=strict)
    _get_ready(loaded)
    raise SystemExit(_run(loaded.settings))


def _get_ready(loaded: Loaded) -> None:
    """Do everything that can fail before the port is opened; waiting for other servers comes last.

    :raises ClickException: the service cannot start.
    """
    settings = loaded.settings
    reasons = refusals(settings)
    if reasons:
        raise click.ClickException(" ".join(reasons))
    make_data_directory(settings)
    try:
        log.configure(settings.logging)
    except OSError as error:
        raise click.ClickException(
            f"The log file {settings.logging.file} cannot be written: {error.strerror}."
        ) from error
    log_remarks(loaded)
    problems = Problems()
    with problems.collecting():
        try_files(settings)
    with problems.collecting():
        try_stores(settings)
    with problems.collecting():
        try_listening(serve_options(settings), settings)
    if problems.reasons:
        raise click.ClickException(as_errors(problems.reasons))
    with failing_in_one_line(settings):
        require_database(settings)


def serve_options(settings: Settings, in_parent: Callable[[], None] | None = None) -> ServeOptions:
    """Return the launcher's options.

    :raises LaunchError: a value is out of range.
    """
    listen = settings.listen
    return ServeOptions(
        host=listen.host.strip("[]"),
        port=listen.port,
        workers=listen.workers,
        server=cast("Literal['granian', 'uvicorn']", listen.server),
        drain_seconds=listen.drain_seconds,
        connections=listen.connections,
        write_seconds=listen.write_timeout,
        in_parent=in_parent,
    )


def _run(settings: Settings) -> int:
    """Start the workers, wait until they end, and return the exit code.

    :raises ClickException: the port cannot be opened, or the server is not installed.
    """
    try:
        metrics_directory = exposition.prepare(settings.metrics, settings.data_dir)
    except OSError as error:
        raise click.ClickException(f"Metrics cannot be written to {settings.data_dir}: {error.strerror}.") from error
    try:
        options = serve_options(settings, _in_parent(settings, metrics_directory))
        return launch(options, lambda: _load(settings))
    except LaunchError as error:
        raise click.ClickException(str(error)) from error


def _load(settings: Settings) -> ASGIApp:
    """Build the application of one worker, in its process after the fork."""
    log.write_in_background()
    return build_asgi(settings)


def _in_parent(settings: Settings, metrics_directory: Path | None) -> Callable[[], None]:
    def start() -> None:
        if metrics_directory is not None:
            try:
                exposition.serve_metrics(settings.metrics, metrics_directory)
            except OSError as error:
                where = f"{settings.metrics.host}:{settings.metrics.port}"
                raise LaunchError(f"Cannot serve metrics on {where}: {error.strerror}.") from error
        if not settings.config_files:
            click.echo(_welcome(settings), err=True)

    return start


def _welcome(settings: Settings) -> str:
    host = settings.listen.host.strip("[]")
    endpoint = f"http://{f'[{host}]' if ':' in host else host}:{settings.listen.port}"
    client = {
        "none": f"openstack --os-auth-type none --os-endpoint {endpoint} image list",
        "basic": f"openstack --os-auth-type http_basic --os-username USER --os-endpoint {endpoint}/v2 image list",
    }
    return "\n".join(
        (
            f"Glimpse serves images at {endpoint}",
            f"Data: {settings.data_dir} (database {masked_url(settings.database.connection)})",
            f"Try:  {client.get(settings.auth.kind, 'openstack image list')}",
            "Stop: Ctrl-C",
        )
    )
