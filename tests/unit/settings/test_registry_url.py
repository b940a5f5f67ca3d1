"""The URL of a registry."""

from __future__ import annotations

import pytest

from glimpse.settings.database_url import DEFAULT_PORT, Address, addresses, is_registry


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("registry+https://db.example.net:9000", [("db.example.net", 9000)]),
        ("registry+https://db", [("db", DEFAULT_PORT)]),
        ("registry+https://db/", [("db", DEFAULT_PORT)]),
        ("REGISTRY+HTTPS://10.0.0.1:1", [("10.0.0.1", 1)]),
        ("registry+https://[::1]:9000,[fe80::2],c", [("::1", 9000), ("fe80::2", DEFAULT_PORT), ("c", DEFAULT_PORT)]),
        ("registry+https://a:1,b:2,a:1", [("a", 1), ("b", 2)]),
    ],
)
def test_servers_of_a_url(url: str, expected: list[tuple[str, int]]) -> None:
    assert is_registry(url)
    assert list(addresses(url)) == expected


@pytest.mark.parametrize(
    "rest",
    [
        "",
        ",",
        "a,",
        "a:",
        "a:0",
        "a:65536",
        "a:b",
        "a b",
        "user:secret@a",
        "a/path",
        "a?x=1",
        "::1",
        "[::1",
        "a\r\nX: y",
    ],
)
def test_what_is_no_url_of_a_registry(rest: str) -> None:
    with pytest.raises(ValueError, match="address"):
        addresses(f"registry+https://{rest}")


@pytest.mark.parametrize("url", ["sqlite:///x", "postgresql://registry+https/x", "https://a:1", "registry+https", ""])
def test_urls_of_databases(url: str) -> None:
    assert not is_registry(url) or url == "registry+https"


def test_an_address_is_written_as_in_a_url() -> None:
    assert str(Address("::1", 5)) == "[::1]:5"
    assert str(Address("a", 5)) == "a:5"
