"""Tables of the reference that the code can confirm: options, policy rules, options of stores, columns of tables."""

from __future__ import annotations

import operator
import re
from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from glimpse.db.sql import tables
from glimpse.policy.rules import RULES
from glimpse.settings.inventory import OPTIONS, State, state_of
from glimpse.settings.store_options import driver_options
from glimpse.stores.all import DRIVERS
from tests.support.reference import names_in, rows

#: What the column "Glimpse" of configuration 3 and 4 may say of an option in each state.
SAID_OF = {State.USED: {"yes"}, State.NOT_USED_YET: {"not yet", "no"}, State.WITHOUT_EFFECT: {"no"}}


def described_options() -> Iterator[tuple[str, str, str]]:
    """Section, name, and what the column "Glimpse" says, of every option in configuration 3 and 4."""
    for number in ("3", "4"):
        for cells in rows("configuration/options.md", number):
            names = [name for name in names_in(cells[0]) if "…" not in name and not re.fullmatch(r"\[\w+\]", name)]
            said = cells[4].split(", ")
            section = "DEFAULT"
            for position, name in enumerate(names):
                found = re.fullmatch(r"\[(\w+)\] (\w+)", name)
                section, name = (found[1], found[2]) if found else (section, name)  # noqa: PLW2901
                yield section, name, said[position] if len(said) > 1 else said[0]


DESCRIBED = list(described_options())


@pytest.mark.parametrize(("section", "name", "said"), DESCRIBED, ids=[f"{one}.{name}" for one, name, _ in DESCRIBED])
def test_an_option_has_the_effect_that_the_reference_says(section: str, name: str, said: str) -> None:
    assert said in SAID_OF[state_of(section, name)]


def test_every_option_of_these_sections_that_glance_has_is_described() -> None:
    sections = {section for section, _, _ in DESCRIBED} - {"DEFAULT"}
    known = {(option.section, option.name) for option in OPTIONS if option.section in sections}
    assert known <= {(section, name) for section, name, _ in DESCRIBED}


def policy_rows() -> Iterator[tuple[str, str]]:
    for cells in rows("imports-and-stores/policies-and-options.md", "11"):
        for name in names_in(cells[0]):
            if cells[1].startswith("`") and "(V)" not in cells[1]:
                yield name, names_in(cells[1])[0]


@pytest.mark.parametrize(("name", "check"), list(policy_rows()))
def test_a_rule_has_the_default_that_the_reference_says(name: str, check: str) -> None:
    assert {rule.name: rule.check for rule in RULES}[name] == check


@pytest.mark.parametrize(
    ("kind", "page", "section"),
    [
        ("file", "filesystem-and-http.md", "5.5"),
        ("http", "filesystem-and-http.md", "6"),
        ("s3", "s3-and-vmware.md", "10.3"),
        ("rbd", "rbd.md", "8.5"),
    ],
)
def test_options_of_stores_are_those_of_the_reference(kind: str, page: str, section: str) -> None:
    defaults = DRIVERS[kind].options()
    described = {
        name: cells[2].strip("*`").removesuffix(" (off)").removesuffix(", required").replace("−", "-")
        for cells in rows(f"store-formats/{page}", section)
        for name in names_in(cells[0])
    }
    options = {
        option.name: operator.attrgetter(option.name)(defaults)
        for option in driver_options(DRIVERS[kind].options, "glance_store")
    }
    assert described == {name: as_written(value) for name, value in options.items()}


def as_written(default: object) -> str:
    """A default as the tables of store-formats write it."""
    if default is None or default == ():
        return "none"
    if default == "":
        return "empty"
    return str(default).lower() if isinstance(default, bool) else str(default)


#: Columns that the reference describes once for most tables.
SOFT_DELETE = {"created_at": False, "updated_at": True, "deleted_at": True, "deleted": False}


def columns_described(section: str) -> dict[str, bool]:
    """Columns in their order, and whether they are nullable, of a section of database 3."""
    found: dict[str, bool] = {}
    for cells in rows("database/tables.md", section):
        if cells[0] == "column":
            continue
        names = names_in(cells[0])
        found |= SOFT_DELETE if cells[1] == "as in 3.2" else {names[0]: cells[2] == "yes"}
    return found


@pytest.mark.parametrize(
    ("section", "table"),
    [
        ("3.1", tables.images),
        ("3.2", tables.image_properties),
        ("3.3", tables.image_locations),
        ("3.4", tables.image_members),
        ("3.5", tables.image_tags),
        ("3.6", tables.tasks),
        ("3.7", tables.task_info),
    ],
    ids=str,
)
def test_a_table_has_the_columns_that_the_reference_says(section: str, table: sa.Table) -> None:
    assert list(columns_described(section).items()) == [(column.name, column.nullable) for column in table.columns]
