"""``glimpse metadefs``: loads and exports definitions, and checks images against them (metadefs 12)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import click
import msgspec

from glimpse.cli.config_options import config_options, settings_or_exit
from glimpse.cli.database import failing_in_one_line, make_data_directory, opened_database, require_database
from glimpse.db.records import Viewer
from glimpse.domain.metadef import LoadMode, NamespaceContent
from glimpse.metadefs.document import DefinitionFileError
from glimpse.metadefs.files import CATALOG, definition_files, read_file, write_files
from glimpse.services.metadef_report import MetadefReport, metadef_report

#: Exit code of ``check`` if a value is invalid.
BROKEN = 3

_PATH = click.Path(path_type=Path)


@click.group()
def metadefs() -> None:
    """Metadata definitions: what the keys on images, volumes, flavors and aggregates mean."""


@metadefs.command()
@config_options
@click.argument("paths", nargs=-1, type=_PATH, metavar="[PATH]...")
@click.option("--merge", is_flag=True, help="Add missing items to existing namespaces.")
@click.option(
    "--prefer-new",
    "--prefer_new",
    is_flag=True,
    help="With --merge: also replace existing items with those in the files.",
)
@click.option("--overwrite", is_flag=True, help="With --merge: remove existing namespaces and create them again.")
def load(
    config_files: tuple[Path, ...],
    config_dirs: tuple[Path, ...],
    data_dir: str | None,
    paths: tuple[Path, ...],
    merge: bool,
    prefer_new: bool,
    overwrite: bool,
) -> None:
    """Store the namespaces of definition files.

    PATH is a file, or a directory, from which all *.json are read. Without PATH, Glimpse's catalog is loaded. Existing
    namespaces are skipped, unless an option says otherwise. If a file is invalid, nothing is stored.
    """
    mode = _load_mode(merge=merge, prefer_new=prefer_new, overwrite=overwrite)
    contents = _read(paths or (CATALOG,))
    settings = settings_or_exit(config_files, config_dirs, data_dir).settings
    make_data_directory(settings)
    with failing_in_one_line(settings):
        require_database(settings)
    with opened_database(settings) as database:
        for content in contents:
            done = database.load_namespace(content, mode)
            click.echo(f"{done:<11} {content.namespace.namespace}")


@metadefs.command()
@config_options
@click.argument("directory", type=_PATH)
@click.option("--namespace", "names", multiple=True, help="Only this namespace. May be repeated.")
def export(
    config_files: tuple[Path, ...],
    config_dirs: tuple[Path, ...],
    data_dir: str | None,
    directory: Path,
    names: tuple[str, ...],
) -> None:
    """Write a definition file for each namespace into DIRECTORY, for `load`.

    Existing files with the same names are overwritten.
    """
    with opened_database(settings_or_exit(config_files, config_dirs, data_dir).settings) as database:
        contents = database.export_namespaces(names)
    missing = set(names) - {content.namespace.namespace for content in contents}
    if missing:
        raise click.ClickException(f"No such namespace: {', '.join(sorted(missing))}.")
    try:
        written = write_files(directory, contents)
    except DefinitionFileError as error:
        raise click.ClickException(str(error)) from error
    for path in written:
        click.echo(path)


@metadefs.command()
@config_options
@click.option("--yes", is_flag=True, help="Do not ask.")
def unload(config_files: tuple[Path, ...], config_dirs: tuple[Path, ...], data_dir: str | None, yes: bool) -> None:
    """Remove all namespaces and resource types, including protected ones and those created by users."""
    with opened_database(settings_or_exit(config_files, config_dirs, data_dir).settings) as database:
        if not yes:
            click.confirm("Remove all metadata definitions?", abort=True)
        count = database.unload_namespaces()
    click.echo(f"Removed: {count} namespaces.")


@metadefs.command()
@config_options
@click.argument("image")
@click.option("--json", "json_form", is_flag=True, help="Print JSON.")
def check(
    config_files: tuple[Path, ...], config_dirs: tuple[Path, ...], data_dir: str | None, image: str, json_form: bool
) -> None:
    """Check the properties of IMAGE (an id): which namespaces define them, and which values are invalid.

    The exit code is 3 if a value fits no definition of its property, else 0.
    """
    with opened_database(settings_or_exit(config_files, config_dirs, data_dir).settings) as database:
        properties = database.get_image(image, Viewer(None, is_admin=True)).properties
        report = metadef_report(properties, database.export_namespaces())
    if json_form:
        click.echo(msgspec.json.format(msgspec.json.encode(report)))
    else:
        _print(report)
    if report.invalid:
        raise SystemExit(BROKEN)


def _load_mode(*, merge: bool, prefer_new: bool, overwrite: bool) -> LoadMode:
    if prefer_new and overwrite:
        raise click.UsageError("--prefer-new and --overwrite cannot be used together.")
    if (prefer_new or overwrite) and not merge:
        raise click.UsageError(f"{'--prefer-new' if prefer_new else '--overwrite'} can only be used with --merge.")
    if overwrite:
        return LoadMode.OVERWRITE
    if prefer_new:
        return LoadMode.PREFER_NEW
    return LoadMode.MERGE if merge else LoadMode.SKIP


def _read(paths: Iterable[Path]) -> list[NamespaceContent]:
    """Read the namespaces of all files.

    :raises ClickException: a file is invalid; the error lists all invalid files.
    """
    contents: list[NamespaceContent] = []
    problems: list[str] = []
    for path in paths:
        try:
            files = definition_files(path)
        except DefinitionFileError as error:
            problems.append(str(error))
            continue
        for file in files:
            try:
                contents.append(read_file(file))
            except DefinitionFileError as error:
                problems.append(str(error))
    if problems:
        raise click.ClickException("\n".join([*problems, "Nothing was loaded."]))
    return contents


def _print(report: MetadefReport) -> None:
    for one in report.properties:
        click.echo(f"{one.status:<9} {one.name} = {one.value}")
        for found in one.definitions:
            place = found.namespace if found.object is None else f"{found.namespace}, object {found.object}"
            click.echo(f"          {place}: {'; '.join(found.problems) or 'fits'}")
    counts = Counter(one.status for one in report.properties)
    click.echo(", ".join(f"{counts[status]} {status}" for status in ("valid", "invalid", "undefined")))
