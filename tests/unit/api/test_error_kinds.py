"""Errors of stores are of two kinds; what each is on the wire does not depend on the kind (store-formats 4)."""

import pytest

from glimpse import errors
from glimpse.api.errors import status_of


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.Refused, 503),
        (errors.AccessDenied, 503),
        (errors.DeletionDenied, 403),
        (errors.DataInUse, 409),
        (errors.ForeignLocation, 400),
        (errors.StoreReadOnly, 410),
    ],
)
def test_refusals(error: type[errors.Refused], status: int) -> None:
    assert status_of(error("why")) == status


def test_no_error_is_of_both_kinds() -> None:
    known = [each for each in vars(errors).values() if isinstance(each, type)]
    assert [each for each in known if issubclass(each, errors.Refused) and issubclass(each, errors.Unavailable)] == []
