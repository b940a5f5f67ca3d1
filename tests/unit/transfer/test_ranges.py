"""Ranges of a download (images-api 4.4)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glimpse.errors import Invalid, RangeNotSatisfiable
from glimpse.transfer.ranges import ByteRange, requested_range, strong_etag

ETAG = '"0f1e"'


def asked(
    range_: str | None = None, *, content_range: str | None = None, if_range: str | None = None, size: int = 1000
) -> ByteRange | None:
    return requested_range(range_=range_, content_range=content_range, if_range=if_range, size=size, etag=ETAG)


@pytest.mark.parametrize(
    ("header", "start", "length"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-999", 0, 1000),
        ("bytes=10-19", 10, 10),
        ("bytes=10-5000", 10, 990),
        ("bytes=10-" + "9" * 5000, 10, 990),
        ("bytes=" + "0" * 5000 + "10-19", 10, 10),
        ("bytes=999-", 999, 1),
        ("bytes=0-", 0, 1000),
        ("bytes=-1", 999, 1),
        ("bytes=-1000", 0, 1000),
        ("bytes=-1001", 0, 1000),
        ("bytes=-" + "9" * 5000, 0, 1000),
        ("bytes=-0", 0, 1000),
        ("Bytes=10-19", 10, 10),
        (" bytes= 10-19 ", 10, 10),
    ],
)
def test_one_range(header: str, start: int, length: int) -> None:
    assert asked(header) == ByteRange(start, length)


@pytest.mark.parametrize(
    "header",
    [
        "bytes=1000-",
        "bytes=1000-1001",
        "bytes=" + "9" * 5000 + "-",
        "bytes=20-10",
        "bytes=-",
        "bytes=",
        "bytes",
        "",
        "items=0-9",
        "bytes=a-b",
        "bytes=0x1-2",
        "bytes=--5",
        "bytes=1-2-3",
        "bytes=1 - 2",
        "bytes=+1-2",
        "bytes=1.0-2",
        "bytes 0-9",
        "bytes=0-9\nx",
        "bytes=²-³",
        "bytes=١-٢",
    ],
)
def test_not_satisfiable(header: str) -> None:
    with pytest.raises(RangeNotSatisfiable) as caught:
        asked(header)
    assert caught.value.size == 1000


@pytest.mark.parametrize("header", ["bytes=0-1,5-6", "bytes=0-1,", "bytes=,", "items=0-1,2-3"])
def test_several_ranges(header: str) -> None:
    with pytest.raises(Invalid):
        asked(header)


def test_no_range_is_the_whole() -> None:
    assert asked() is None
    assert asked(if_range=ETAG) is None


def test_ranges_of_no_bytes() -> None:
    assert asked("bytes=-5", size=0) is None
    assert asked("bytes=-0", size=0) is None
    for header in ("bytes=0-", "bytes=0-0"):
        with pytest.raises(RangeNotSatisfiable):
            asked(header, size=0)


@pytest.mark.parametrize(
    ("header", "start", "length"),
    [
        ("bytes 10-19/1000", 10, 10),
        ("bytes 10-19/*", 10, 10),
        ("bytes 0-999/*", 0, 1000),
        ("bytes 0-999/1000", 0, 1000),
        ("bytes 10-19/77", 10, 10),
    ],
)
def test_legacy_request_header(header: str, start: int, length: int) -> None:
    assert asked(content_range=header) == ByteRange(start, length)


@pytest.mark.parametrize(
    "header",
    [
        "bytes 1000-1001/*",
        "bytes 10-1000/*",
        "bytes 10-1000/1000",
        "bytes 10-1500/2000",
        "bytes 20-10/1000",
        "bytes */1000",
        "bytes */*",
        "bytes 10-/1000",
        "bytes -10/1000",
        "bytes 10-19",
        "bytes 10-19/",
        "bytes=10-19/1000",
        "items 10-19/1000",
        "",
        "bytes 10-" + "9" * 5000 + "/*",
    ],
)
def test_legacy_request_header_not_satisfiable(header: str) -> None:
    with pytest.raises(RangeNotSatisfiable):
        asked(content_range=header)


def test_the_range_header_wins_over_the_legacy_one() -> None:
    assert asked("bytes=1-2", content_range="bytes 10-19/1000") == ByteRange(1, 2)
    with pytest.raises(RangeNotSatisfiable):
        asked("nonsense", content_range="bytes 10-19/1000")


def test_if_range() -> None:
    assert asked("bytes=1-2", if_range=ETAG) == ByteRange(1, 2)
    assert asked("bytes=1-2", if_range=f" {ETAG} ") == ByteRange(1, 2)
    for other in ('"0f1f"', f"W/{ETAG}", "0f1e", "Tue, 15 Nov 1994 12:45:26 GMT", "*", ""):
        assert asked("bytes=1-2", if_range=other) is None
        assert asked("bytes=5000-", if_range=other) is None, "a void header is not looked at"
    assert requested_range(range_="bytes=1-2", content_range=None, if_range="None", size=9, etag=None) is None


def test_the_entity_tag_is_the_best_digest() -> None:
    assert strong_etag("abc", "def") == '"abc"'
    assert strong_etag(None, "def") == '"def"'
    assert strong_etag(None, None) is None
    assert strong_etag("", "") is None


def test_content_range_of_the_answer() -> None:
    assert ByteRange(10, 5).content_range(1000) == "bytes 10-14/1000"
    assert ByteRange(0, 1000).content_range(1000) == "bytes 0-999/1000"


@given(header=st.one_of(st.text(), st.from_regex(r"\Abytes=[0-9]{0,30}-[0-9]{0,30}\Z")), size=st.integers(0, 10**13))
def test_a_range_is_always_within_the_data(header: str, size: int) -> None:
    for headers in ({"range_": header, "content_range": None}, {"range_": None, "content_range": header}):
        try:
            found = requested_range(**headers, if_range=None, size=size, etag=ETAG)
        except (Invalid, RangeNotSatisfiable):
            continue
        assert found is None or (found.start >= 0 and found.length > 0 and found.start + found.length <= size)
