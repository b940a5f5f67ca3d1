"""Glimpse creates the same tables as the migrations of a real Glance, down to collations and names."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.glance_rig import KINDS, Installation, installation
from tests.support.schema_facts import (
    CHECK,
    COLUMN,
    FOREIGN,
    INDEX,
    KEY,
    OTHER,
    TABLE,
    Facts,
    counts,
    differences,
    schema_facts,
    without_extensions,
)

COUNTED = (TABLE, COLUMN, INDEX, KEY, FOREIGN, CHECK, OTHER)


def facts(place: Installation) -> Facts:
    with place.engine() as engine:
        return schema_facts(engine)


@pytest.mark.timeout(600)
def test_fresh_databases_are_the_same(record_property: Callable[[str, object], None]) -> None:
    lines = [f"{'fresh databases':18}" + "".join(f"{kind:>12}" for kind in COUNTED) + f"{'differences':>13}"]
    found: dict[str, list[str]] = {}
    for kind in KINDS:
        with installation(kind) as place:
            place.make_tables()
            glance = facts(place)
        with installation(kind) as place:
            place.ok("db", "sync")
            ours = facts(place)
        found[kind] = differences(glance, without_extensions(ours))
        for name, of_one in ((f"{kind} Glance", glance), (f"{kind} Glimpse", without_extensions(ours))):
            numbers = counts(of_one)
            lines.append(f"{name:18}" + "".join(f"{numbers[one]:>12}" for one in COUNTED) + f"{len(found[kind]):>13}")
        extensions = counts(ours) - counts(without_extensions(ours))
        lines.append(f"{'  its extensions':18}" + "".join(f"{extensions[one]:>12}" for one in COUNTED))
    record_property("report", "\n".join(lines))
    print(*lines, sep="\n")
    assert found == {kind: [] for kind in KINDS}


def refused(place: Installation, sentence: str) -> None:
    """The database is none that Glimpse takes, and is left as it is."""
    before = facts(place)
    for words in (("db", "check"), ("db", "sync"), ("serve",)):
        ended = place.command(*words)
        assert ended.returncode == 1, ended
        (told,) = (ended.stdout + ended.stderr).splitlines()
        assert sentence in told
        assert "with glance-manage to 2024_1_contract01 first." in told
    assert facts(place) == before


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", ["sqlite", "mysql"])
def test_databases_of_older_releases_and_half_way_are_refused(kind: str) -> None:
    """On PostgreSQL ``glance-manage`` makes neither (database 5.2)."""
    with installation(kind) as place:
        if kind == "mysql":
            place.make_tables("upgrade 2023_1_contract01")
            refused(place, "The tables belong to an older Glance release: upgrade them")
        place.make_tables("expand")
        refused(place, "The tables are in the middle of a Glance upgrade: finish it")
        # what the sentence says helps
        place.make_tables()
        assert place.command("db", "check").returncode == 3
        place.ok("db", "sync")
        place.ok("db", "check")
