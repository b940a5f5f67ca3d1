"""``glimpse openapi``: prints the OpenAPI document for the current configuration."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from glimpse.api.openapi.document import openapi_document
from glimpse.api.routes import TABLE
from glimpse.api.v2.schemas.catalog import build_schemas
from glimpse.api.v2.schemas.custom import CustomSchemaError
from glimpse.cli.config_options import config_options, settings_or_exit


@click.command()
@config_options
def openapi(config_files: tuple[Path, ...], config_dirs: tuple[Path, ...], data_dir: str | None) -> None:
    """Print the OpenAPI 3.1 document of the API, as JSON."""
    settings = settings_or_exit(config_files, config_dirs, data_dir).settings
    try:
        schemas = build_schemas(
            container_formats=settings.formats.container_formats,
            disk_formats=settings.formats.disk_formats,
            custom=settings.custom_schema,
        )
    except CustomSchemaError as error:
        raise click.ClickException(str(error)) from error
    document = openapi_document(TABLE, schemas, auth=settings.auth.kind, url=settings.api.public_endpoint)
    click.echo(msgspec.json.format(msgspec.json.encode(document), indent=2))
