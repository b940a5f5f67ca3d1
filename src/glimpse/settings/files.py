"""Files and directories: which configuration files are read, where data are kept, and ``schema-image.json``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

from glimpse.settings.errors import SettingsError
from glimpse.settings.model import Secret, Settings

# ------------------------- Which files a command line asks for, in the order in which they are read (configuration 1)

_API = "glance-api.conf"
_IMPORT = "glance-image-import.conf"


def configuration_files(config_files: Sequence[Path], config_dirs: Sequence[Path]) -> tuple[Path, ...]:
    """Return the given files, the files that belong to them, and ``*.conf`` in the directories.

    ``glance-image-import.conf`` comes before the ``glance-api.conf`` beside it; ``glance.conf.d`` and
    ``<name>.conf.d`` beside a file come after all files; then the directories. No other files are read.

    :raises SettingsError: a directory does not exist.
    """
    found: dict[Path, None] = {}
    for file in config_files:
        before = file.with_name(_IMPORT)
        if file.name == _API and before not in config_files and before.is_file():
            found[before] = None
        found[file] = None
    for file in config_files:
        names = ("glance.conf.d", f"{file.name}.d") if file.name == _API else (f"{file.name}.d",)
        for name in names:
            found.update(dict.fromkeys(sorted(file.with_name(name).glob("*.conf"))))
    for directory in config_dirs:
        if not directory.is_dir():
            raise SettingsError(f"The configuration directory {directory} does not exist.")
        found.update(dict.fromkeys(sorted(directory.glob("*.conf"))))
    return tuple(found)


def search_directories(config_files: Sequence[Path], config_dirs: Sequence[Path]) -> tuple[Path, ...]:
    """Return where relative paths are looked up: beside the configuration files, and in the directories."""
    return tuple(dict.fromkeys((*(file.absolute().parent for file in config_files), *map(Path.absolute, config_dirs))))


# ---------------------------------------------- Where the service keeps its own things, and what is derived from that


def data_directory(value: str | None, environ: Mapping[str, str]) -> Path:
    """Return ``[glimpse] data_dir`` if set, else the user's data directory (XDG base directories)."""
    if value is not None:
        return Path(value).expanduser().absolute()
    # relative paths are ignored, as the XDG specification requires
    base = environ.get("XDG_DATA_HOME", "")
    if base.startswith("/"):
        return Path(base) / "glimpse"
    home = environ.get("HOME") or None
    if home is None:
        raise SettingsError("There is no home directory for the data; set [glimpse] data_dir.")
    return Path(home) / ".local" / "share" / "glimpse"


def embedded_database(data_dir: Path) -> Secret:
    """Return the URL of the database that is used if none is configured."""
    return Secret(f"sqlite:///{data_dir / 'glimpse.sqlite'}")


def embedded_images(data_dir: Path) -> Path:
    """Return the directory of the file store in the data directory."""
    return data_dir / "images"


def staging_places(data_dir: Path, *, embedded: bool) -> dict[str, str]:
    """Return the default directories of the staging area by option: in the data directory, else those of Glance."""
    if embedded:
        staging = str(data_dir / "staging")
        return {"node_staging_uri": f"file://{staging}", "filesystem_store_datadir": staging}
    return {
        "node_staging_uri": "file:///tmp/staging/",
        "filesystem_store_datadir": "/var/lib/glance/os_glance_staging_store",
    }


def staging_directory(settings: Settings) -> Path:
    """Return the directory of the staging area (imports-and-stores 4.2)."""
    imports = settings.imports
    if settings.stores.named:
        given = imports.filesystem_store_datadir
    else:
        # Glance takes the rest as it is, without decoding
        given = None if imports.node_staging_uri is None else imports.node_staging_uri.removeprefix("file://")
    return settings.data_dir / "staging" if given is None else Path(given)


# --------------------------------------- ``schema-image.json``: the operator's own image properties (configuration 9)


def custom_schema(directories: Sequence[Path]) -> dict[str, object] | None:
    """Read the file from the first of ``directories`` that has it; None if there is none.

    :raises SettingsError: it cannot be read, or is not a JSON object of objects.
    """
    file = next((d / "schema-image.json" for d in directories if (d / "schema-image.json").is_file()), None)
    if file is None:
        return None
    try:
        content: object = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"The file {file} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise SettingsError(f"The file {file} is not JSON: {error}.") from error
    if not isinstance(content, dict):
        raise SettingsError(f"The file {file} must be a JSON object of property schemas.")
    schema = cast("dict[str, object]", content)
    properties = schema.get("properties", schema)
    described = list(cast("dict[str, object]", properties).values()) if isinstance(properties, dict) else [None]
    if not all(isinstance(entry, dict) for entry in described):
        raise SettingsError(f"The file {file} must describe each property by a JSON object.")
    return schema
