"""Tables of the reference about the API that the code can confirm: policy rules, reason phrases, image attributes."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from glimpse.api.error_response import reason
from glimpse.api.v2.schemas.documents import base_properties, image_schema
from glimpse.policy.rules import RULES
from tests.support.reference import names_in, rows

#: What the tables of policy rules abbreviate, as the text before each says.
_PROJECT = "project_id:%(project_id)s"
_SEEN = (
    f"{_PROJECT} or project_id:%(member_id)s "
    "or 'community':%(visibility)s or 'public':%(visibility)s or 'shared':%(visibility)s"
)
_IMAGE_RULES = {
    r"\bA\b": "rule:context_is_admin",
    r"\bPM\b": f"role:member and {_PROJECT}",
    r"\bPR\b": f"role:reader and {_PROJECT}",
    r"\bV\b": _SEEN,
}
_METADEF_RULES = {
    "A": "rule:metadef_admin",
    "R": f"rule:context_is_admin or (role:reader and {_PROJECT})",
    "N": f"rule:context_is_admin or (role:reader and ({_PROJECT} or 'public':%(visibility)s))",
}


def image_rules() -> Iterator[tuple[str, str, bool]]:
    """Name and check of each rule of images-api 8.2, and whether it has a deprecated form."""
    for cells in rows("images-api/limits-and-policies.md", "8.2"):
        if cells[0].startswith("`"):
            check = names_in(cells[1])[0] if "`" in cells[1] else ""
            for short, long in _IMAGE_RULES.items():
                check = re.sub(short, long, check)
            for name in names_in(cells[0]):
                yield name, check, bool(cells[2])


def metadef_rules() -> Iterator[tuple[str, str, bool]]:
    """The same of metadefs 4.2."""
    for cells in rows("metadefs/access.md", "4.2"):
        for name in names_in(cells[0]):
            yield name, _METADEF_RULES[cells[1]], cells[1] != "A"


WIRE_RULES = [*image_rules(), *metadef_rules()]


@pytest.mark.parametrize(("name", "check", "deprecated"), WIRE_RULES, ids=[name for name, _, _ in WIRE_RULES])
def test_a_rule_of_the_wire_has_the_default_that_the_reference_says(name: str, check: str, deprecated: bool) -> None:
    rule = next(rule for rule in RULES if rule.name == name)
    assert (rule.check, rule.deprecated is not None) == (check, deprecated)


def test_every_rule_is_described() -> None:
    helpers = {"metadef_default", "metadef_admin"}
    assert {rule.name for rule in RULES} - helpers == {name for name, _, _ in WIRE_RULES}


def test_reason_phrases_are_those_of_the_reference() -> None:
    described = {
        int(code): cells[1]
        for cells in rows("images-api/conventions-and-errors.md", "7.2")
        for code in re.findall(r"\d{3}", cells[0])
        if int(code) >= 300 and re.match(r"[A-Z]", cells[1])
    }
    assert described == {code: reason(code) for code in described}
    assert {400, 401, 403, 404, 405, 409, 410, 413, 415, 416, 503} <= set(described)


def test_attributes_of_an_image_are_those_of_the_reference() -> None:
    """Names, order, types and what is read-only in images-api 2.1."""
    document = image_schema(base_properties((), ()), ())
    described = [
        (cells[1].strip("`"), cells[2].split(", "), bool(cells[4]))
        for cells in rows("images-api/versions-and-schemas.md", "2.1")
        if cells[0].isdigit()
    ]
    assert described == [
        (name, kinds if isinstance(kinds := one["type"], list) else [kinds], one.get("readOnly", False))
        for name, one in document["properties"].items()
    ]
