"""``glimpse registry``: serves the database to nodes without database credentials, and creates trial certificates."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import click

from glimpse.asgi import ASGIApp
from glimpse.cli.addresses import try_listening
from glimpse.cli.config_options import (
    config_options,
    log_remarks,
    require_no_warnings,
    setting_option,
    settings_or_exit,
    strict_option,
)
from glimpse.cli.database import failing_in_one_line, make_data_directory
from glimpse.cli.registry_certs import certs
from glimpse.cli.schema_setup import require_tables, schema_state
from glimpse.db.schema import SchemaState
from glimpse.db.sql.factory import open_database
from glimpse.launcher import LaunchError, ServeOptions
from glimpse.launcher import serve as launch
from glimpse.launcher.handshake import make_server_context
from glimpse.registry.call_pool import CallPool
from glimpse.registry.server import RegistryApplication
from glimpse.registry.tls import ServerTls, TlsFiles
from glimpse.registry.wire import SERVER_KEEPS_IDLE, Role
from glimpse.settings.database_url import is_registry
from glimpse.settings.errors import SettingsError
from glimpse.settings.load import Loaded
from glimpse.settings.model import RegistryServer, Settings
from glimpse.settings.startup import with_pool
from glimpse.telemetry import exposition, log
from glimpse.telemetry.metrics import RegistryMetrics
from glimpse.tls_files import TlsFileError

#: Seconds for which the state of the schema is cached.
_SCHEMA_SECONDS = 10.0


@click.group(invoke_without_command=True)
@config_options
@setting_option("--host", "glimpse", "registry_host", "Address to listen on.")
@setting_option("--port", "glimpse", "registry_port", "TCP port to listen on.")
@setting_option("--workers", "glimpse", "registry_workers", "Worker processes.")
@strict_option
@click.pass_context
def registry(
    context: click.Context,
    config_files: tuple[Path, ...],
    config_dirs: tuple[Path, ...],
    data_dir: str | None,
    host: str | None,
    port: str | None,
    workers: str | None,
    strict: bool,
) -> None:
    """Serve the database to nodes with client certificates until SIGTERM or SIGINT.

    Set the nodes' `[database] connection` to registry+https://HOST:PORT.
    """
    if context.invoked_subcommand is not None:
        return
    overrides = {
        ("glimpse", "registry_host", "--host"): host,
        ("glimpse", "registry_port", "--port"): port,
        ("glimpse", "registry_workers", "--workers"): workers,
    }
    loaded = settings_or_exit(config_files, config_dirs, data_dir, overrides)
    require_no_warnings(loaded, strict=strict)
    settings = loaded.settings
    tls = _get_ready(loaded)
    raise SystemExit(_run(settings, tls))


registry.add_command(certs)


def _get_ready(loaded: Loaded) -> ServerTls:
    """Do everything that can fail before the port is opened; waiting for other servers comes last.

    :raises ClickException: the registry cannot start.
    """
    settings = loaded.settings
    if is_registry(settings.database.connection):
        raise click.ClickException(
            "[database] connection refers to a registry, but `glimpse registry` needs the database itself."
        )
    files = _tls_files(settings.registry_server)
    make_data_directory(settings)
    try:
        log.configure(settings.logging)
    except OSError as error:
        raise click.ClickException(
            f"The log file {settings.logging.file} cannot be written: {error.strerror}."
        ) from error
    log_remarks(loaded)
    try:
        roles = {name: Role(role) for name, role in settings.registry_server.roles.items()}
        tls = ServerTls(files, roles, make_context=make_server_context)
        try_listening(_serve_options(settings, tls), settings)
    except (TlsFileError, SettingsError) as error:
        raise click.ClickException(str(error)) from error
    with failing_in_one_line(settings):
        require_tables(settings)
    return tls


def _serve_options(settings: Settings, tls: ServerTls, in_parent: Callable[[], None] | None = None) -> ServeOptions:
    server = settings.registry_server
    return ServeOptions(
        host=server.host.strip("[]"),
        port=server.port,
        workers=server.workers,
        server="uvicorn",
        drain_seconds=settings.listen.drain_seconds,
        connections=settings.listen.connections,
        idle_seconds=SERVER_KEEPS_IDLE,
        in_parent=in_parent,
        tls=tls,
    )


def _tls_files(server: RegistryServer) -> TlsFiles:
    certificate, key, authorities = server.cert_file, server.key_file, server.client_ca_file
    if certificate is None or key is None or authorities is None:
        raise click.ClickException(
            "The registry needs certificates: set [glimpse] registry_server_cert_file, registry_server_key_file and "
            "registry_client_ca_file (`glimpse registry certs` creates certificates for a trial)."
        )
    return TlsFiles(certificate=certificate, key=key, client_authorities=authorities)


def _run(settings: Settings, tls: ServerTls) -> int:
    """Start the workers, wait until they end, and return the exit code.

    :raises ClickException: a port cannot be opened, or the server is not installed.
    """
    try:
        metrics_directory = exposition.prepare(settings.metrics, settings.data_dir)
    except OSError as error:
        raise click.ClickException(f"Metrics cannot be written to {settings.data_dir}: {error.strerror}.") from error
    try:
        options = _serve_options(settings, tls, _in_parent(settings, metrics_directory))
        return launch(options, lambda: _load(settings, tls))
    except LaunchError as error:
        raise click.ClickException(str(error)) from error


def _in_parent(settings: Settings, metrics_directory: Path | None) -> Callable[[], None]:
    def start() -> None:
        if metrics_directory is not None:
            try:
                exposition.serve_metrics(settings.metrics, metrics_directory)
            except OSError as error:
                where = f"{settings.metrics.host}:{settings.metrics.port}"
                raise LaunchError(f"Cannot serve metrics on {where}: {error.strerror}.") from error

    return start


def _load(settings: Settings, tls: ServerTls) -> ASGIApp:
    """Build the application of one worker, in its process after the fork."""
    log.write_in_background()
    server = settings.registry_server
    recorder = RegistryMetrics() if settings.metrics.port is not None else None
    database = open_database(
        with_pool(settings.database, server.threads),
        None if recorder is None else recorder.database_connected,
        keep_hours=settings.jobs.keep_hours,
    )
    calls = CallPool(database, threads=server.threads, queue=server.queue)
    if recorder is not None:
        calls.on_change = recorder.calls_inside
        tls.on_refusal = recorder.connection_refused

    def stop() -> None:
        database.close()
        if recorder is not None:
            recorder.close()

    return RegistryApplication(
        calls,
        refusal=tls.refusal,
        schema_problem=_SchemaProblem(settings),
        stop=stop,
        recorder=recorder,
        body_timeout=settings.listen.body_timeout,
    )


class _SchemaProblem:
    """Tells why the database cannot be used; a good state is cached for some seconds. Thread-safe."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._good_until = 0.0

    def __call__(self) -> str | None:
        if time.monotonic() < self._good_until:
            return None
        state = schema_state(self._settings)
        if state is not SchemaState.CURRENT:
            return state.value
        self._good_until = time.monotonic() + _SCHEMA_SECONDS
        return None
