"""What adding a store driver touches: its own module, a line in the list, a fixture of the contract suite.

docs/developer/add-a-store.md promises it. Nothing else in the product names a kind of store.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from glimpse.stores.all import DRIVERS, MODULES
from tests.contract.stores.rigs import all as rigs

ROOT = Path(__file__).parents[3]
SOURCE = ROOT / "src" / "glimpse"

#: kind → its module or package
HOMES = {import_module(f"glimpse.stores.{name}").DRIVER.kind: name.partition(".")[0] for name in MODULES}
#: These kinds are also names of protocols and ordinary words.
WORDS = frozenset({"file", "http", "memory"})
#: Where a kind is named besides: packages to install, Ceph's module of this name, and URLs in which clients may write
#: credentials.
ELSEWHERE = frozenset(
    {"stores/all.py", "stores/ceph_modules.py", "extras.py", "settings/startup.py", "domain/location_data.py"}
)


def texts_of(path: Path) -> Iterator[str]:
    """All texts in a module but its docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.value


@pytest.mark.parametrize("kind", sorted(set(DRIVERS) - WORDS))
def test_no_module_but_drivers_names_the_kind(kind: str) -> None:
    homes = {SOURCE / "stores" / home for home in HOMES.values()}
    named = re.compile(rf"(?<![a-z0-9]){kind}(?![a-z0-9])")
    found = [
        f"{path.relative_to(SOURCE)}: {text[:60]!r}"
        for path in SOURCE.rglob("*.py")
        if homes.isdisjoint({path.with_suffix(""), *path.parents})
        and path.relative_to(SOURCE).as_posix() not in ELSEWHERE
        for text in texts_of(path)
        if named.search(text)
    ]
    assert found == []


def test_every_driver_has_one_home_and_one_fixture() -> None:
    assert len(MODULES) == len(set(HOMES.values())) == len(DRIVERS)
    for home in HOMES.values():
        beside = [path.name for path in (SOURCE / "stores").glob(f"{home}*") if path.name != "__pycache__"]
        assert len(beside) == 1, f"the driver has more than one module beside the others: {beside}"
    tested = {Path(str(module.__file__)).stem for module in rigs_of()}
    # http is only read: its fixtures are in test_read_only.py
    assert set(HOMES.values()) - {"http"} <= tested


def rigs_of() -> list[object]:
    return [
        import_module(f"tests.contract.stores.rigs.{path.stem}")
        for path in Path(str(rigs.__file__)).parent.glob("*.py")
    ]


def test_the_contracts_of_imports_have_every_driver() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    homes = {f"glimpse.stores.{home}" for home in HOMES.values()}
    names = {
        "Store drivers do not import each other": "modules",
        "Store drivers know nothing above their protocol": "source_modules",
    }
    listed = {
        contract["name"]: set(contract[names[contract["name"]]]) for contract in contracts if contract["name"] in names
    }
    assert listed == dict.fromkeys(names, homes)
