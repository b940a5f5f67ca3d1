"""Allowances (imports-and-stores 7.2)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glimpse.domain.allowance import Allowance, ImageCeiling
from glimpse.errors import LimitExceeded

MIB = 1 << 20
SIZES = st.integers(0, 1 << 45)


@given(limit=SIZES, used=SIZES, needed=SIZES, more=SIZES)
def test_what_is_granted_fits_and_suffices(limit: int, used: int, needed: int, more: int) -> None:
    allowance = Allowance(project_id="p", limit=limit)
    if used + needed > limit:
        with pytest.raises(LimitExceeded):
            allowance.grant(used, needed, needed + more)
    else:
        granted = allowance.grant(used, needed, needed + more)
        assert needed <= granted <= needed + more
        assert used + granted <= limit


@given(used=SIZES, needed=SIZES)
def test_one_overshoots_what_is_not_over_yet(used: int, needed: int) -> None:
    allowance = Allowance(project_id="p", limit=5 * MIB, unit=MIB, overshoot=True)
    if used // MIB > 5:
        with pytest.raises(LimitExceeded):
            allowance.grant(used, needed, needed)
    else:
        assert allowance.grant(used, needed, needed) == needed


@pytest.mark.parametrize(("count", "fits"), [(0, True), (1, True), (2, False), (3, False)])
def test_a_ceiling(count: int, fits: bool) -> None:
    ceiling = ImageCeiling("p", 2)
    if fits:
        ceiling.check(count)
    else:
        with pytest.raises(LimitExceeded, match="at most 2 are allowed"):
            ceiling.check(count)
