"""List requests: filters, page, links (images-api 3.4)."""

from __future__ import annotations

from datetime import datetime
from urllib.parse import parse_qsl, quote_from_bytes, urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glimpse.api.v2.query import ListRequest, parse_list_request
from glimpse.domain.listing import Comparison, ListQuery, OneOf, SortKey
from glimpse.errors import GlimpseError, Invalid
from glimpse.settings.model import Limits

BIG = 2**63 - 1
VISIBILITIES = ("public", "private", "shared", "community", "all")
MEMBER_STATUSES = ("pending", "accepted", "rejected", "all")


def listed(query_string: str | bytes, limits: Limits | None = None) -> ListRequest[ListQuery]:
    raw = query_string.encode() if isinstance(query_string, str) else query_string
    return parse_list_request(raw, limits or Limits())


def compared(column: str, op: str, value: str | int | bool | datetime) -> ListQuery:
    return ListQuery(comparisons=(Comparison(column, op, value),))


def within(column: str, *values: str) -> ListQuery:
    return ListQuery(one_of=(OneOf(column, values),))


MOMENT = datetime(2026, 11, 22, 10, 6, 31)  # noqa: DTZ001  times of the domain are naive UTC


@pytest.mark.parametrize(
    ("query_string", "query"),
    [
        ("", ListQuery()),
        ("&&", ListQuery()),
        # page
        ("limit=0", ListQuery(limit=0)),
        ("limit=1000", ListQuery(limit=1000)),
        ("limit=1001", ListQuery(limit=1000)),
        ("limit=" + "9" * 50, ListQuery(limit=1000)),
        ("limit=5&limit=7", ListQuery(limit=7)),
        ("marker=m1&marker=m2", ListQuery(marker="m2")),
        # order
        ("sort=name:asc&sort=size", ListQuery(order=(SortKey("size"), SortKey("created_at"), SortKey("id")))),
        (
            "sort_key=name&sort_dir=asc&sort_key=size&sort_dir=desc",
            ListQuery(order=(SortKey("name", False), SortKey("size"), SortKey("created_at"), SortKey("id"))),
        ),
        ("sort_dir=asc", ListQuery(order=(SortKey("created_at", False), SortKey("id", False)))),
        # visibility and membership
        *[(f"visibility={value}", ListQuery(visibility=value)) for value in VISIBILITIES],
        ("visibility=", within("visibility")),
        *[(f"member_status={value}", ListQuery(member_status=value)) for value in MEMBER_STATUSES],
        *[(f"os_hidden={value}", ListQuery(os_hidden=True)) for value in ("true", "True", "TRUE")],
        *[(f"os_hidden={value}", ListQuery()) for value in ("false", "False")],
        # attributes
        ("protected=true", compared("protected", "eq", True)),
        ("protected=false", compared("protected", "eq", False)),
        ("owner=p:1", compared("owner", "eq", "p:1")),
        ("owner=", compared("owner", "eq", "")),
        ("checksum=eq:x", compared("checksum", "eq", "eq:x")),
        ("os_hash_value=x", compared("os_hash_value", "eq", "x")),
        ("os_hash_algo=x", compared("os_hash_algo", "eq", "x")),
        *[
            pair
            for name in ("name", "id", "status", "container_format", "disk_format")
            for pair in (
                (f"{name}=x", compared(name, "eq", "x")),
                (f"{name}=eq:x:y", compared(name, "eq", "x:y")),
                (f"{name}=in:a,%22b,c%22", within(name, "a", "b,c")),
                (f"{name}=in:", within(name)),
                (f"{name}=2026-11-22T10:06:31Z", compared(name, "eq", "2026-11-22T10:06:31Z")),
            )
        ],
        ("name=ubuntu:22.04", compared("name", "eq", "ubuntu:22.04")),
        ("name=neq:x", compared("name", "eq", "neq:x")),
        ("id=urn:x", compared("id", "eq", "urn:x")),
        ("status=x:y", compared("status", "eq", "x:y")),
        ("name=a&name=b", compared("name", "eq", "b")),
        ("name=a+b%2Bc%C3%A9", compared("name", "eq", "a b+cé")),
        ("name", compared("name", "eq", "")),
        ("tag=b&tag=a&tag=eq:c", ListQuery(tags=("b", "a", "eq:c"))),
        # numbers
        *[
            pair
            for name in ("size", "virtual_size", "min_disk", "min_ram")
            for pair in (
                (f"{name}=5", compared(name, "eq", 5)),
                (f"{name}_min=-5", compared(name, "gte", -5)),
                (f"{name}_max=5", compared(name, "lte", 5)),
                (f"{name}={2**63}", within(name)),
                (f"{name}_min={2**70}", compared(name, "gte", BIG)),
                (f"{name}_max=-{2**70}", compared(name, "lte", -BIG)),
            )
        ],
        # times
        ("created_at=2026-11-22T10:06:31Z", compared("created_at", "eq", MOMENT)),
        ("updated_at=gte:2026-11-22T11:06:31%2B01:00", compared("updated_at", "gte", MOMENT)),
        ("created_at=neq:2026-11-22T10:06:31", compared("created_at", "neq", MOMENT)),
        # no effect
        ("changes-since=", ListQuery()),
        ("deleted=true", ListQuery()),
        ("deleted=", ListQuery()),
        # custom properties
        *[
            (f"{name}=in:x", ListQuery(properties=((name, "in:x"),)))
            for name in ("os_distro", "properties", "locations", "members", "tags", "is_public", "self", "sizemin")
        ],
        ("p=1&q=&p=2", ListQuery(properties=(("p", "2"), ("q", "")))),
        ("=x", ListQuery(properties=(("", "x"),))),
        (
            "status=active&size_min=1&tag=t&os_distro=debian",
            ListQuery(
                comparisons=(Comparison("status", "eq", "active"), Comparison("size", "gte", 1)),
                tags=("t",),
                properties=(("os_distro", "debian"),),
            ),
        ),
    ],
)  # fmt: skip
def test_queries(query_string: str, query: ListQuery) -> None:
    assert listed(query_string).query == query


@pytest.mark.parametrize(
    "query_string",
    [
        "limit=", "limit=a", "limit=1.5", "limit=-1", "limit",
        "sort=", "sort=owner", "sort=name&sort_key=name", "sort_key=", "sort_dir=up", "sort_key=name&sort_dir=",
        "visibility=secret", "visibility=Public", "visibility=ALL",
        "member_status=", "member_status=x", "member_status=Accepted",
        "os_hidden=", "os_hidden=1", "os_hidden=yes",
        "protected=", "protected=True", "protected=1",
        "status=neq:active", "id=in:%22a", "disk_format=gt:x", "container_format=in:a%22b",
        "size=", "size=gt:5", "size=1.5", "min_disk=x", "size_min=x", "size_max=", "min_ram_min=1.0",
        "name_min=1", "name_max=1", "created_at_min=1", "foo_min=1", "foo_max=1", "_min=1", "size_min_max=1",
        "created_at=", "created_at=now", "created_at=in:2026-11-22", "updated_at=xx:2026-11-22",
        "changes-since=2026-11-22", "changes-since=x",
        "name=%FF", "%FF=x", "name=%ED%A0%80", "name=%00", "marker=%C3",
    ],
)  # fmt: skip
def test_refusals(query_string: str) -> None:
    with pytest.raises(Invalid):
        listed(query_string)


def test_raw_bytes_in_the_request_line() -> None:
    assert listed("name=é".encode()).query == compared("name", "eq", "é")
    with pytest.raises(Invalid, match="UTF-8"):
        listed(b"name=\xff")


def test_the_default_page_is_cut_to_the_maximum_too() -> None:
    limits = Limits(limit_param_default=50, api_limit_max=10)
    assert listed("", limits).query.limit == 10
    assert listed("limit=20", limits).query.limit == 10
    assert listed("limit=20", limits).first == "/v2/images?limit=20"


@pytest.mark.parametrize(
    ("query_string", "first", "following"),
    [
        ("", "/v2/images", "/v2/images?marker=m"),
        ("marker=x", "/v2/images", "/v2/images?marker=m"),
        ("limit=2&status=active", "/v2/images?limit=2&status=active", "/v2/images?limit=2&status=active&marker=m"),
        ("marker=x&limit=2&marker=y", "/v2/images?limit=2", "/v2/images?limit=2&marker=m"),
        ("tag=a&limit=2&tag=b", "/v2/images?tag=a&limit=2&tag=b", "/v2/images?tag=a&limit=2&tag=b&marker=m"),
        ("name=a%20b+c", "/v2/images?name=a+b+c", "/v2/images?name=a+b+c&marker=m"),
        ("name=eq:%c3%a9", "/v2/images?name=eq%3A%C3%A9", "/v2/images?name=eq%3A%C3%A9&marker=m"),
        ("name", "/v2/images?name=", "/v2/images?name=&marker=m"),
        ("p%3D=%26", "/v2/images?p%3D=%26", "/v2/images?p%3D=%26&marker=m"),
    ],
)
def test_links(query_string: str, first: str, following: str) -> None:
    request = listed(query_string)
    assert request.first == first
    assert request.next_link("m") == following


def test_a_marker_is_encoded() -> None:
    assert listed("").next_link("a b&é") == "/v2/images?marker=a+b%26%C3%A9"


_NAMES = st.sampled_from(
    ["limit", "marker", "sort", "sort_key", "sort_dir", "name", "status", "tag", "visibility", "os_hidden", "size",
     "size_min", "created_at", "x", "x_min", "", "changes-since", "member_status", "protected"]
)  # fmt: skip
_VALUES = st.sampled_from(
    [
        "1",
        "0",
        "asc",
        "desc",
        "name",
        "size,id:asc",
        "true",
        "all",
        "in:a,b",
        'in:"a',
        "eq:x",
        "2026-11-22",
        "gt:2026-11-22",
    ]
)
_PAIRS = st.lists(st.tuples(_NAMES | st.text(), _VALUES | st.text()), max_size=5)


@settings(deadline=None, max_examples=300)
@given(
    raw=st.binary(max_size=40)
    | _PAIRS.map(lambda pairs: urlencode(pairs).encode())
    | st.binary().map(quote_from_bytes).map(str.encode)
)
def test_any_query_string_gives_a_query_or_a_typed_error(raw: bytes) -> None:
    try:
        request = listed(raw)
    except GlimpseError:
        return
    assert request.query.limit >= 0
    assert {key.column for key in request.query.order} >= {"created_at", "id"}


@settings(deadline=None, max_examples=300)
@given(pairs=_PAIRS)
def test_links_say_what_the_request_said(pairs: list[tuple[str, str]]) -> None:
    try:
        request = listed(urlencode(pairs))
    except GlimpseError:
        return
    kept = [pair for pair in pairs if pair[0] != "marker"]
    _, _, first = request.first.partition("?")
    assert parse_qsl(first, keep_blank_values=True) == kept
    following = request.next_link("last one").removeprefix("/v2/images?")
    assert parse_qsl(following, keep_blank_values=True) == [*kept, ("marker", "last one")]
    again = listed(following)
    assert again.first == request.first
    assert again.query == listed(urlencode([*kept, ("marker", "last one")])).query
    assert again.query.marker == "last one"
