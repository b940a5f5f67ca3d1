"""If-Match and If-None-Match according to RFC 9110, section 13."""

from __future__ import annotations

import pytest

from glimpse.transfer.preconditions import Verdict, precondition

TAG = '"abc"'


@pytest.mark.parametrize(
    ("lines", "verdict"),
    [
        ([], Verdict.GO_ON),
        (["*"], Verdict.GO_ON),
        ([TAG], Verdict.GO_ON),
        ([' "x", "abc" '], Verdict.GO_ON),
        (['"x"', TAG], Verdict.GO_ON),
        (['"a,b", "abc"'], Verdict.GO_ON),
        (['"x"'], Verdict.FAILED),
        (['W/"abc"'], Verdict.FAILED),
        (["abc"], Verdict.FAILED),
        (['"abc'], Verdict.FAILED),
        (['"x" "abc"'], Verdict.FAILED),
        ([""], Verdict.FAILED),
        (["x" * 100_000], Verdict.FAILED),
        (['"' * 100_000], Verdict.FAILED),
        (["," * 100_000], Verdict.FAILED),
    ],
)
def test_if_match_asks_for_one_of_its_tags(lines: list[str], verdict: Verdict) -> None:
    assert precondition(lines, [], TAG) is verdict


@pytest.mark.parametrize(
    ("lines", "verdict"),
    [
        (["*"], Verdict.UNCHANGED),
        ([TAG], Verdict.UNCHANGED),
        (['W/"abc"'], Verdict.UNCHANGED),
        (['"x", W/"abc"'], Verdict.UNCHANGED),
        (['"x"'], Verdict.GO_ON),
        (["abc"], Verdict.GO_ON),
    ],
)
def test_if_none_match_spares_who_has_the_data(lines: list[str], verdict: Verdict) -> None:
    assert precondition([], lines, TAG) is verdict


def test_if_match_comes_first() -> None:
    assert precondition(['"x"'], [TAG], TAG) is Verdict.FAILED
    assert precondition([TAG], [TAG], TAG) is Verdict.UNCHANGED


def test_data_without_a_digest_are_any_data_and_no_certain_ones() -> None:
    assert precondition(["*"], [], None) is Verdict.GO_ON
    assert precondition([TAG], [], None) is Verdict.FAILED
    assert precondition([], [TAG], None) is Verdict.GO_ON
