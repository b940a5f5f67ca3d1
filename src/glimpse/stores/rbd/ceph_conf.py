"""What is read from ``ceph.conf`` without Ceph's library, which would start threads before the workers are forked."""

from __future__ import annotations

import os
from pathlib import Path

#: Where Ceph's library looks without a path.
_SEARCHED = ("/etc/ceph/ceph.conf", "~/.ceph/ceph.conf", "ceph.conf")


def conf_file(path: str) -> Path | None:
    """Return the file that Ceph's library will read for the option ``path``; None if no such file exists."""
    if path:
        candidates = [path]
    elif os.environ.get("CEPH_CONF"):
        candidates = [os.environ["CEPH_CONF"]]
    else:
        candidates = list(_SEARCHED)
    files = (Path(candidate).expanduser() for candidate in candidates)
    return next((file for file in files if file.is_file()), None)


def cluster_id(path: str) -> str | None:
    """Return the ``fsid`` of the cluster; None if the file does not exist, cannot be read, or does not have it."""
    file = conf_file(path)
    if file is None:
        return None
    try:
        text = file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return _option(text, "fsid")


def _option(text: str, name: str) -> str | None:
    """Return an option of ``[global]``; in names, spaces, dashes and underscores are the same."""
    section, found = "global", None
    for line in text.splitlines():
        stripped = line.partition("#")[0].partition(";")[0].strip()
        if stripped.startswith("[") and stripped.endswith("]"):
            section = stripped[1:-1].strip()
            continue
        key, separator, value = stripped.partition("=")
        if separator and section == "global" and "_".join(key.lower().replace("-", " ").split()) == name:
            found = value.strip().strip("'\"") or found
    return found
