"""The stores under contract. To put a driver under it, write a module here and add its name.

A module has ``RIGS``, functions that each take an empty directory and return a :class:`Rig`, and, if the driver needs a
server, ``NEEDS``: the environment variable that names the server. Such rigs run in ``make services`` only.
``EXPIRING`` is true if what the driver gets for its credentials expires, as a token does (``Faults.expire``).
"""

import os
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from tests.contract.stores.rigs.base import Rig
from tests.support.needs import unavailable

MODULES = (
    "cinder",
    "filesystem",
    "memory",
    "s3",
    "swift",
    "rbd",
)


def parameters(*, with_servers: bool = False, expiring: bool = False, modules: Sequence[str] = MODULES) -> list[Any]:
    """Return one pytest parameter for each rig of ``modules``; only for those ``with_servers``, and with ``expiring``
    credentials.
    """
    found: list[Any] = []
    for name in modules:
        module = import_module(f"tests.contract.stores.rigs.{name}")
        needs: str | None = getattr(module, "NEEDS", None)
        if (with_servers and not needs) or (expiring and not getattr(module, "EXPIRING", False)):
            continue
        marks = [pytest.mark.interop] if needs else []
        found += [pytest.param((needs, build), id=build.__name__, marks=marks) for build in module.RIGS]
    return found


def built(parameter: tuple[str | None, Callable[[Path], Rig]], directory: Path) -> Rig:
    """Return the rig of a parameter; skips or fails the test where its server is not there."""
    needs, build = parameter
    if needs and not os.environ.get(needs):
        unavailable(f"{needs} names no server; dev/rigs starts one")
    return build(directory)
