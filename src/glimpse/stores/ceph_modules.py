"""Loading of Ceph's Python modules ``rados`` and ``rbd``, which come with the system's packages and not from PyPI.

Each is one extension file, built for one version of Python. A virtual environment of the same version can load the two
files without seeing the other packages of the system.
"""

from __future__ import annotations

import importlib
import sys
from importlib.machinery import EXTENSION_SUFFIXES, ModuleSpec
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec

#: Where Debian, Ubuntu and Red Hat install extension files.
_DIRECTORIES = (
    "/usr/lib/python3/dist-packages",
    f"/usr/lib64/python3.{sys.version_info.minor}/site-packages",
    f"/usr/lib/python3.{sys.version_info.minor}/site-packages",
)

_PACKAGES = "install the packages python3-rados and python3-rbd of the Ceph release for this version of Python"


class Bindings(msgspec.Struct, frozen=True):
    """The two modules. ``errors`` are the base classes of everything that they raise."""

    rados: Any
    rbd: Any
    errors: tuple[type[Exception], ...]


def load() -> Bindings:
    """Load the modules, from ``sys.path`` or from the directories of the system.

    :raises ImportError: a module is not installed for this version of Python; the message says what to install.
    """
    # rbd imports rados
    rados: Any = _module("rados")
    rbd: Any = _module("rbd")
    return Bindings(rados, rbd, (rados.Error, rbd.Error))


def _module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        found = _spec(name)
        if found is None:
            raise ImportError(
                f"needs the module {name} for Python 3.{sys.version_info.minor}, which was not found; {_PACKAGES}"
            ) from error
        return _loaded(found)


def _spec(name: str) -> ModuleSpec | None:
    for directory in _DIRECTORIES:
        for suffix in EXTENSION_SUFFIXES:
            file = Path(directory, name + suffix)
            if file.is_file():
                return spec_from_file_location(name, file)
    return None


def _loaded(spec: ModuleSpec) -> ModuleType:
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        if spec.loader is not None:
            spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[spec.name]
        raise
    return module
