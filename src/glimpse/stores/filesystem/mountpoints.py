"""The metadata file: what locations of this store tell services that mount the same file system (store-formats 5.4)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import msgspec

from glimpse.stores.errors import StoreMisconfigured

Entry = dict[str, Any]
_FORM = Entry | list[Entry]


def read_mountpoints(store_id: str, path: str | None) -> tuple[Entry, ...]:
    """The entries of the metadata file at ``path``; none without a path.

    :raises StoreMisconfigured: it cannot be read, or is not in the form of store-formats 5.4.
    """
    if not path:
        return ()
    try:
        content: object = msgspec.json.decode(Path(path).read_bytes(), type=_FORM)
    except OSError as error:
        raise StoreMisconfigured(store_id, f"metadata file {path}: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise StoreMisconfigured(store_id, f"metadata file {path}: {error}") from error
    entries = cast(list[Entry], content if isinstance(content, list) else [content])
    for entry in entries:
        if not (isinstance(entry.get("id"), str) and isinstance(entry.get("mountpoint"), str)):
            raise StoreMisconfigured(store_id, f"metadata file {path}: each object needs texts id and mountpoint")
    return tuple(entries)


def entry_above(entries: tuple[Entry, ...], path: str) -> Entry | None:
    """The first entry whose mount point the file ``path`` lies below, compared up to a separator."""
    for entry in entries:
        if path.startswith(entry["mountpoint"].rstrip("/") + "/"):
            return entry
    return None
