"""docs/operator/configuration.md lists every option that takes effect, with its default."""

from __future__ import annotations

import operator
import re
from pathlib import Path

import pytest

from glimpse.cli.main import COMMANDS
from glimpse.settings.inventory import OPTIONS
from glimpse.settings.options import Option, default_of, written
from glimpse.settings.oslo import environment_name
from glimpse.settings.store_options import OCTAL, driver_options
from glimpse.stores.all import DRIVERS

DOCUMENT = Path(__file__).parents[3] / "docs" / "operator" / "configuration.md"

USED = [option for option in OPTIONS if option.used]
OF_STORES = [
    (kind, option)
    for kind, driver in DRIVERS.items()
    # for tests and trials only
    if kind != "memory"
    for option in driver_options(driver.options, "glance_store")
]


def row(option: Option, default: str) -> str:
    """The line that the document must have for an option."""
    kind = f"one of {', '.join(f'`{choice}`' for choice in option.choices)}" if option.choices else option.kind
    return f"| `{option.name}` | {kind} | {default} | {option.help} |"


def section_of(text: str, section: str) -> str:
    """What stands below the heading of a section of the configuration."""
    found = re.search(rf"^### `\[{section}\]`$(.*?)(?=^##|\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"no heading for [{section}]"
    return found[1]


@pytest.fixture(scope="module")
def document() -> str:
    return DOCUMENT.read_text(encoding="utf-8")


@pytest.mark.parametrize("option", USED, ids=lambda option: f"{option.section}.{option.name}")
def test_every_option_that_works_has_its_line(document: str, option: Option) -> None:
    assert row(option, default_of(option)) in section_of(document, option.section).splitlines()


@pytest.mark.parametrize(("kind", "option"), OF_STORES, ids=[option.name for _, option in OF_STORES])
def test_every_option_of_a_store_has_its_line(document: str, kind: str, option: Option) -> None:
    default = operator.attrgetter(option.name)(DRIVERS[kind].options())
    line = row(option, written(default, octal=option.name in OCTAL))
    assert line in document.splitlines()


def test_no_line_for_an_option_that_is_not_there(document: str) -> None:
    known = {option.name for option in (*USED, *(option for _, option in OF_STORES))} | {"store_description", "weight"}
    assert set(re.findall(r"^\| `(\w+)` \| [^|]+ \| [^|]+ \| [^|]+ \|$", document, re.MULTILINE)) <= known


def test_commands_and_variables_are_named(document: str) -> None:
    for command in ("serve", "config show", "config check", "db sync", "db version", "db check"):
        assert command.split()[0] in COMMANDS
        assert f"glimpse {command}" in document
    assert environment_name("glimpse", "data_dir") in document
    assert environment_name("DEFAULT", "bind_port") in document
