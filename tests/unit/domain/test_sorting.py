"""The order of a list (images-api 3.4.2)."""

from __future__ import annotations

import pytest

from glimpse.domain.listing import SORT_KEYS, parse_order
from glimpse.errors import Invalid


def shown(sort: str | None = None, keys: tuple[str, ...] = (), dirs: tuple[str, ...] = ()) -> str:
    return " ".join(("-" if key.descending else "+") + key.column for key in parse_order(sort, keys, dirs))


@pytest.mark.parametrize(
    ("sort", "keys", "dirs", "expected"),
    [
        (None, (), (), "-created_at -id"),
        (None, (), ("asc",), "+created_at +id"),
        (None, ("name",), (), "-name -created_at -id"),
        (None, ("name",), ("asc",), "+name +created_at +id"),
        (None, ("name", "size"), ("asc",), "+name +size +created_at +id"),
        (None, ("name", "size"), ("asc", "desc"), "+name -size -created_at -id"),
        (None, ("name", "name"), ("asc", "desc"), "+name -created_at -id"),
        (None, ("id",), ("asc",), "+id +created_at"),
        (None, ("created_at",), ("asc",), "+created_at +id"),
        ("name", (), (), "-name -created_at -id"),
        ("name:asc", (), (), "+name -created_at -id"),
        ("name:asc,size", (), (), "+name -size -created_at -id"),
        (" name:asc , size:desc ", (), (), "+name -size -created_at -id"),
        ("id:asc,name", (), (), "+id -name -created_at"),
    ],
)
def test_orders(sort: str | None, keys: tuple[str, ...], dirs: tuple[str, ...], expected: str) -> None:
    assert shown(sort, keys, dirs) == expected


@pytest.mark.parametrize("key", sorted(SORT_KEYS))
def test_every_key(key: str) -> None:
    assert shown(f"{key}:asc").startswith(f"+{key}")
    assert shown(None, (key,)).startswith(f"-{key}")


@pytest.mark.parametrize(
    ("sort", "keys", "dirs"),
    [
        ("", (), ()),
        (" ", (), ()),
        ("name,", (), ()),
        (",name", (), ()),
        ("owner", (), ()),
        ("name:up", (), ()),
        ("name:", (), ()),
        ("name:asc:desc", (), ()),
        ("name:ASC", (), ()),
        ("name", ("size",), ()),
        ("name", (), ("asc",)),
        (None, ("",), ()),
        (None, ("owner",), ()),
        (None, ("Name",), ()),
        (None, ("min_disk",), ()),
        (None, ("name",), ("",)),
        (None, ("name",), ("up",)),
        (None, (), ("up",)),
        (None, (), ("asc", "asc")),
        (None, ("name",), ("asc", "desc")),
        (None, ("name", "size", "id"), ("asc", "desc")),
    ],
)
def test_refusals(sort: str | None, keys: tuple[str, ...], dirs: tuple[str, ...]) -> None:
    with pytest.raises(Invalid):
        parse_order(sort, keys, dirs)
