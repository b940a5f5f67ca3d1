"""JSON bodies of requests (images-api 0.2)."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glimpse.api.json_body import has_lone_surrogate, json_object, json_value
from glimpse.errors import GlimpseError, Invalid, LimitExceeded

MAX = 1 << 20


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b"{}", {}),
        (b' {"a": [1, 1.0, null, true]} \n', {"a": [1, 1.0, None, True]}),
        (b'{"a": 1, "b": 2, "a": 3}', {"a": 3, "b": 2}),
        ('{"é": "\\u00e9"}'.encode(), {"é": "é"}),
        (b'{"a": "\\ud83d\\ude80"}', {"a": "\U0001f680"}),
        (b'{"a": 99999999999999999999999}', {"a": 99999999999999999999999}),
    ],
)
def test_objects(body: bytes, value: dict[str, object]) -> None:
    assert json_object(body, max_bytes=MAX) == value


@pytest.mark.parametrize(
    "body",
    [
        b"", b" ", b"{", b"{}x", b"x", b"{'a': 1}", b'{"a": NaN}', b'{"a": Infinity}', b'{"a": 1e999}', b'{"a": 01}',
        b'{"a": "\xff"}', b'{"\xff": 1}', b'{"a": "\xed\xa0\x80"}', b'{"a": "\\ud800"}', b'{"a": "\n"}',
        b'{"a": ' + b"9" * 5000 + b"}", b"[" * 200_000, b'{"a":' * 200_000,
        b'{"a": ' + b"[" * 200_000 + b"]" * 200_000 + b"}", '{"a": 1}'.encode("utf-16"),
    ],
)  # fmt: skip
def test_what_is_no_json(body: bytes) -> None:
    for read in (json_object, json_value):
        with pytest.raises(Invalid):
            read(body, max_bytes=2 * MAX)


@pytest.mark.parametrize("body", [b"[]", b"[{}]", b"1", b'"x"', b"null", b"true"])
def test_an_object_is_wanted(body: bytes) -> None:
    with pytest.raises(Invalid, match="object"):
        json_object(body, max_bytes=MAX)


def test_size() -> None:
    assert json_object(b'{"a":1}', max_bytes=7) == {"a": 1}
    with pytest.raises(LimitExceeded, match="7 bytes; at most 6"):
        json_object(b'{"a":1}', max_bytes=6)


@settings(deadline=None)
@given(body=st.binary() | st.text('{}[]":,\\u0Na1e- ').map(str.encode))
def test_any_bytes_give_a_value_or_a_typed_error(body: bytes) -> None:
    try:
        json_value(body, max_bytes=MAX)
    except GlimpseError:
        return
    json.loads(body)


@pytest.mark.parametrize(
    "body",
    [
        rb'{"name": "\ud83d"}', rb'{"name": "\udc00"}', rb'{"name": "\uD83Dx"}', rb'{"name": "\ud83d\u0041"}',
        rb'{"name": "\ud83d\ud83d\ude00"}', rb'{"name": "\\\ud83d", "x": "\ud83d\ude00"}', rb'{"\udfff": 1}',
    ],
)  # fmt: skip
def test_half_a_surrogate_pair_is_called_that(body: bytes) -> None:
    assert has_lone_surrogate(body)
    with pytest.raises(Invalid, match="half of a surrogate pair"):
        json_value(body, max_bytes=MAX)


@pytest.mark.parametrize(
    ("body", "reason"),
    [(rb'{"a": "\ud83d\ude00"', "truncated"), (rb'{"a": "\\ud83d", ', "truncated"), (rb'{"a": "\x"}', "malformed")],
)
def test_other_faults_are_not_called_that(body: bytes, reason: str) -> None:
    assert not has_lone_surrogate(body)
    with pytest.raises(Invalid, match=reason):
        json_value(body, max_bytes=MAX)
