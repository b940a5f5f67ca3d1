"""What Cinder says about a connection, checked before os-brick acts on it.

os-brick mounts shares, takes over devices and writes a configuration of Ceph with the values that it is given, partly
as root. A Cinder that was broken into must not reach other files or commands of this host through them.
"""

from __future__ import annotations

import os
import re
import stat
from typing import Any, cast

from glimpse.stores.cinder.devices import DeviceError

_is_word = re.compile(r"[\w.@+-]+", re.ASCII).fullmatch
_is_rbd_name = re.compile(r"[\w.@+-]+/[\w.@+-]+", re.ASCII).fullmatch
_is_host = re.compile(r"[\w.:\[\]%-]+", re.ASCII).fullmatch
_is_port = re.compile(r"[0-9]{1,5}").fullmatch
#: HOST:/DIRECTORY, where the host may be an IPv6 address in brackets.
_is_export = re.compile(r"(?:\w[\w.-]*|\[[0-9A-Fa-f:.%\w]+\]):/[^\0\n]*", re.ASCII).fullmatch
_is_mount_options = re.compile(r"(?:-o\s*[\w=.,:/-]+\s*)*", re.ASCII).fullmatch


def checked(connection: dict[str, Any]) -> dict[str, Any]:
    """Return the connection information for os-brick.

    :raises DeviceError: a value has not the form that it must have, or the volume holds no plain data.
    """
    match connection.get("driver_volume_type"):
        case "rbd":
            return _checked_rbd(connection)
        case "nfs":
            return _checked_share(connection)
        case _:
            return connection


def check_path(kind: Any, path: str) -> None:
    """Check what os-brick found: a file of a share, otherwise a block device.

    :raises DeviceError: it is something else.
    """
    mode = os.lstat(path).st_mode if kind == "nfs" else os.stat(path).st_mode
    if not (stat.S_ISREG(mode) if kind == "nfs" else stat.S_ISBLK(mode)):
        raise DeviceError("the device that Cinder names is not a volume", permanent=True)


def _checked_rbd(connection: dict[str, Any]) -> dict[str, Any]:
    _require(
        _is_text(_is_rbd_name, connection.get("name"))
        and _is_text(_is_word, connection.get("cluster_name"))
        # none without authentication
        and _is_text(_is_word, connection.get("auth_username") or "none")
        and _are_texts(_is_host, connection.get("hosts"))
        and _are_texts(_is_port, connection.get("ports"))
    )
    # without a key the library reads the keyring of this host; a local attachment would run commands as root
    return {key: value for key, value in connection.items() if key != "keyring"} | {"do_local_attach": False}


def _checked_share(connection: dict[str, Any]) -> dict[str, Any]:
    if connection.get("encrypted"):
        raise DeviceError("encrypted volumes on a share are not supported", permanent=True)
    if connection.get("format") not in {None, "raw"}:
        raise DeviceError("volumes in the format qcow2 are not supported", permanent=True)
    _require(
        _is_text(_is_export, connection.get("export"))
        and _is_text(_is_word, connection.get("name"))
        and connection["name"] not in {".", ".."}
        and _is_text(_is_mount_options, connection.get("options") or "")
    )
    return connection


def _is_text(pattern: Any, value: Any) -> bool:
    return isinstance(value, str) and pattern(value) is not None


def _are_texts(pattern: Any, values: Any) -> bool:
    return isinstance(values, list) and all(_is_text(pattern, value) for value in cast("list[Any]", values))


def _require(good: bool) -> None:
    if not good:
        raise DeviceError(
            "Cinder describes the connection of the volume in a form that is not accepted", permanent=True
        )
