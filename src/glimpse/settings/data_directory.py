"""Where the service keeps its own things, and what is derived from that."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from glimpse.settings.errors import SettingsError
from glimpse.settings.model import Secret


def data_directory(value: str | None, environ: Mapping[str, str]) -> Path:
    """``[glimpse] data_dir`` where it is set, else the user's directory for data (XDG base directories)."""
    if value is not None:
        return Path(value).expanduser().absolute()
    # the XDG rules say that a relative path is to be ignored
    base = environ.get("XDG_DATA_HOME", "")
    if base.startswith("/"):
        return Path(base) / "glimpse"
    home = environ.get("HOME") or None
    if home is None:
        raise SettingsError("There is no home directory to keep data in; set [glimpse] data_dir.")
    return Path(home) / ".local" / "share" / "glimpse"


def embedded_database(data_dir: Path) -> Secret:
    """URL of the database that is used when none is configured."""
    return Secret(f"sqlite:///{data_dir / 'glimpse.sqlite'}")


def embedded_images(data_dir: Path) -> Path:
    """Directory of the file store that goes with it."""
    return data_dir / "images"
