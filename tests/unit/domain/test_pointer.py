"""Pointers of a PATCH (images-api 3.5.1)."""

from __future__ import annotations

import pytest

from glimpse.domain.patch import parse_pointer
from glimpse.errors import Invalid


@pytest.mark.parametrize(
    ("pointer", "parts"),
    [
        ("/name", ("name",)),
        ("/", ("",)),
        ("/locations/-", ("locations", "-")),
        ("/a~1b", ("a/b",)),
        ("/a~0b", ("a~b",)),
        ("/~01", ("~1",)),
        ("/~10", ("/0",)),
        ("//name", ("name",)),
        ("/ name ", ("name",)),
        ("/a b", ("a b",)),
        ("/ ", ("",)),
        ("/a/b/c", ("a", "b", "c")),
        ("/é", ("é",)),
    ],
)
def test_well_formed(pointer: str, parts: tuple[str, ...]) -> None:
    assert parse_pointer(pointer) == parts


@pytest.mark.parametrize(
    "pointer", ["", "name", " /name", "/name/", "//", "///name", "/a//b", "/a/ /b", "/a/\t/b", "/~", "/a~2", "/~~0"]
)
def test_malformed(pointer: str) -> None:
    with pytest.raises(Invalid):
        parse_pointer(pointer)
