"""Which files a command line asks for, in the order in which they are read (configuration 1)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from glimpse.settings.errors import SettingsError

_API = "glance-api.conf"
_IMPORT = "glance-image-import.conf"


def configuration_files(config_files: Sequence[Path], config_dirs: Sequence[Path]) -> tuple[Path, ...]:
    """The named files, what belongs to them beside them, and ``*.conf`` of the directories.

    ``glance-image-import.conf`` comes before the ``glance-api.conf`` beside it; ``glance.conf.d`` and
    ``<name>.conf.d`` beside a file come after all files; then the directories. Nothing else is sought.

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
    """Where files named without a directory are sought: beside the configuration files, and in the directories."""
    return tuple(dict.fromkeys((*(file.absolute().parent for file in config_files), *map(Path.absolute, config_dirs))))
