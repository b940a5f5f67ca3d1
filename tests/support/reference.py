"""Tables of docs/reference, for tests that compare them with the code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

REFERENCE = Path(__file__).parents[2] / "docs/reference"


def rows(file: str, section: str) -> Iterator[list[str]]:
    """Cells of each row of the tables between the heading ``section`` and the next one, header rows left out."""
    text = (REFERENCE / file).read_text(encoding="utf-8")
    found = re.search(rf"(?ms)^#+ {re.escape(section)} .*?$(.*?)(?=^#|\Z)", text)
    assert found, f"{file} has no section {section}"
    lines = found[1].splitlines()
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        if line.startswith("| ") and not following.startswith("|---"):
            yield [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def names_in(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)
