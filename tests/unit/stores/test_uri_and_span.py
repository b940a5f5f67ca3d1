"""Location URIs, and ranges of an object."""

import pytest

from glimpse.errors import Invalid, RangeNotSatisfiable
from glimpse.stores.argument_checks import after_scheme, span_length, split_url


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("file:///srv/a", ("file", "/srv/a")),
        (" FILE:///srv/A ", ("file", "/srv/A")),
        ("swift+https://host/a://b", ("swift+https", "host/a://b")),
    ],
)
def test_a_location_is_split_at_the_first_separator(url: str, parts: tuple[str, str]):
    assert split_url(url) == parts


@pytest.mark.parametrize("url", ["", "file", "file:/a", "file://", "://a", "1file://a", "fi le://a", "fïle://a"])
def test_what_is_no_location(url: str):
    with pytest.raises(Invalid):
        split_url(url)


def test_the_scheme_must_be_one_of_the_store():
    assert after_scheme("filesystem:///a", ("file", "filesystem"), "cheap") == "/a"
    with pytest.raises(Invalid, match="Store cheap does not serve locations of the scheme rbd"):
        after_scheme("rbd:///a", ("file", "filesystem"), "cheap")


@pytest.mark.parametrize(
    ("size", "offset", "length", "expected"),
    [(10, 0, None, 10), (10, 9, None, 1), (10, 3, 7, 7), (10, 3, 0, 0), (0, 0, None, 0), (0, 0, 0, 0)],
)
def test_spans_within_an_object(size: int, offset: int, length: int | None, expected: int):
    assert span_length(size, offset, length) == expected


@pytest.mark.parametrize(
    ("size", "offset", "length"),
    [(10, 10, None), (10, 10, 0), (10, 11, None), (10, 5, 6), (10, -1, 1), (10, 5, -1), (0, 1, None), (0, 0, 1)],
)
def test_spans_outside_an_object(size: int, offset: int, length: int | None):
    with pytest.raises(RangeNotSatisfiable) as caught:
        span_length(size, offset, length)
    assert caught.value.size == size
