"""Checks of call arguments beyond their types, before they reach the database.

The database relies on the checks of the API and the jobs. A client of the registry may not have made them; its call
must be refused instead of causing a defect. Values that the database refuses itself are not checked here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Any, cast, get_type_hints

import msgspec

from glimpse.domain.allowance import Allowance
from glimpse.domain.image import Image, ImageChange
from glimpse.domain.job import Claim, Job, JobChange, JobQuery
from glimpse.domain.listing import SORT_KEYS, Comparison, ListQuery, OneOf, SortKey
from glimpse.domain.metadef import NAMESPACE_SORT_KEYS, TAG_SORT_KEYS, NamespaceQuery, TagQuery
from glimpse.domain.status import Visibility
from glimpse.domain.task import LONGEST_KEEP_HOURS, TASK_COLUMNS, TIME_COLUMNS, TaskQuery
from glimpse.errors import Invalid

#: Maximum number of conditions of a list; the API accepts this many parameters, each at most one condition.
MOST_CONDITIONS = 128
#: Maximum number of sort keys; more than there are columns, because a key may be repeated.
MOST_KEYS = 32
#: Maximum nesting of a JSON value; encoding the response needs several stack frames per level.
MOST_LEVELS = 200
#: Maximum bits of a number in a JSON value: Python refuses to write much longer ones in decimal.
_JSON_BITS = 14_000

_LARGEST = 2**63 - 1
_LARGEST_COUNTER = 2**31 - 1
_HALVES = re.compile("[\ud800-\udfff]")
_OPERATORS = frozenset({"eq", "neq", "gt", "gte", "lt", "lte"})
_VISIBILITIES: frozenset[str] = frozenset(Visibility)

Check = Callable[[Any], None]


def check_arguments(method: str, arguments: Mapping[str, Any]) -> None:
    """Refuse values that would cause a defect later.

    :raises Invalid: there is such a value.
    """
    for name, value in arguments.items():
        if name == "limit":
            _limit(value)
        elif name == "keep_hours":
            _keep_hours(value)
        elif (method, name) != _LOOKED_FOR:
            _value(value)


def _value(value: Any) -> None:
    """Check anything but the inside of a JSON value. Enums, classes, None and booleans need no check."""
    check = _BY_TYPE.get(type(cast("object", value)))
    if check is not None:
        check(value)
    elif isinstance(value, msgspec.Struct):
        _record(value)


def _record(value: msgspec.Struct) -> None:
    kind = type(value)
    for name in kind.__struct_fields__:
        _FIELDS.get((kind, name), _value)(getattr(value, name))
    whole = _RECORDS.get(kind)
    if whole is not None:
        whole(value)


def _items(values: Collection[Any]) -> None:
    for value in values:
        _value(value)


# ------------------------------------------------------------------------------------------------- single values


def _text(text: str) -> None:
    if _HALVES.search(text):
        raise Invalid("A string in a call to the registry contains half of a surrogate pair.")


def _integer(number: int) -> None:
    if not -_LARGEST <= number <= _LARGEST:
        raise Invalid("A number in a call to the registry has more than 64 bits.")


def _float(number: float) -> None:
    if not math.isfinite(number):
        raise Invalid("A number in a call to the registry is not finite.")


def _moment(moment: datetime) -> None:
    if moment.tzinfo is not None:
        raise Invalid("A time in a call to the registry has a time zone.")


def _limit(limit: int | None) -> None:
    if limit is not None and not 0 <= limit <= _LARGEST:
        raise Invalid("The limit of a list is out of range.")


def _keep_hours(hours: int) -> None:
    if not 0 <= hours <= LONGEST_KEEP_HOURS:
        raise Invalid("The number of hours for which tasks are kept is out of range.")


def _counter(number: int | None) -> None:
    if number is not None and not 0 <= number <= _LARGEST_COUNTER:
        raise Invalid("A counter in a call to the registry is out of range.")


def _unit(unit: int) -> None:
    if not 1 <= unit <= _LARGEST:
        raise Invalid("The unit of an allowance is out of range.")


def _left_to_the_database(_value: Any) -> None:
    """Check nothing: the database refuses these with the API's messages, or finds nothing."""


def _looked_at_as_a_whole(_value: Any) -> None:
    """Check nothing: the check of the whole record does it."""


def _json(value: Any, level: int = 0) -> None:
    """Require a value that JSON can represent."""
    kind = type(cast("object", value))
    if kind is str:
        _text(value)
    elif kind is float:
        _float(value)
    elif kind is int:
        if value.bit_length() > _JSON_BITS:
            raise Invalid("A number in a call to the registry has too many digits.")
    elif level >= MOST_LEVELS:
        raise Invalid("The values of a call to the registry are nested too deeply.")
    elif kind is dict:
        for name, item in value.items():
            if type(name) is not str:
                raise Invalid("The names in a JSON object must be strings.")
            _text(name)
            _json(item, level + 1)
    elif kind is list or kind is tuple:
        for item in value:
            _json(item, level + 1)
    elif value is not None and kind is not bool:
        raise Invalid(f"A value of type {kind.__name__} is not JSON.")


# ------------------------------------------------------------------------------------------------------ queries


def _list_query(query: ListQuery) -> None:
    _order(query.order, SORT_KEYS)
    if len(query.comparisons) + len(query.one_of) + len(query.tags) + len(query.properties) > MOST_CONDITIONS:
        raise Invalid(f"A list may have at most {MOST_CONDITIONS} conditions.")


def _order(order: Collection[SortKey], known: Collection[str]) -> None:
    columns = {key.column for key in order}
    if not columns.issubset(known) or "id" not in columns or len(order) > MOST_KEYS:
        raise Invalid("The order of a list must be total.")


def _task_query(query: TaskQuery) -> None:
    _order((SortKey(query.sort_key), SortKey("id")), TASK_COLUMNS)
    if len(query.columns) > MOST_CONDITIONS:
        raise Invalid(f"A list may have at most {MOST_CONDITIONS} conditions.")
    for column, value in query.columns:
        kind = datetime if column in TIME_COLUMNS else str
        if column not in TASK_COLUMNS or type(value) is not kind:
            raise Invalid("A condition has an unknown column, or a value of the wrong type for its column.")


def _comparison(comparison: Comparison) -> None:
    value = comparison.value
    if comparison.op not in _OPERATORS or _COLUMNS.get(comparison.column) is not type(value):
        raise Invalid("A comparison has an unknown column or operator, or a value of the wrong type for its column.")
    if isinstance(value, datetime):
        _moment(value)
    if comparison.column == "visibility":
        _visibilities((value,))


def _one_of(one_of: OneOf) -> None:
    if _COLUMNS.get(one_of.column) is not str and (one_of.values or one_of.column not in _COLUMNS):
        raise Invalid("A list of values can only be compared with a column of strings.")
    if one_of.column == "visibility":
        _visibilities(one_of.values)


def _visibilities(words: Collection[Any]) -> None:
    if not _VISIBILITIES.issuperset(words):
        raise Invalid(f"A visibility must be one of {', '.join(sorted(_VISIBILITIES))}.")


def _columns() -> dict[str, type]:
    """Return the value types of the image columns by which a list can be filtered."""
    kinds: dict[str, type] = {}
    for name, hint in get_type_hints(Image).items():
        for kind in (str, bool, int, datetime):
            if hint in (kind, kind | None):
                kinds[name] = kind
    del kinds["membership"]
    return {**kinds, "status": str, "visibility": str}


_COLUMNS = _columns()

_BY_TYPE: Mapping[type, Check] = {
    str: _text, int: _integer, float: _float, datetime: _moment, list: _items, tuple: _items, dict: _json,
}  # fmt: skip
#: The only user string that is looked up without validation.
_LOOKED_FOR = ("get_image", "image_id")
_FIELDS: Mapping[tuple[type, str], Check] = {
    (Image, "size"): _left_to_the_database,
    (Image, "virtual_size"): _left_to_the_database,
    (Image, "min_disk"): _left_to_the_database,
    (Image, "min_ram"): _left_to_the_database,
    (ImageChange, "columns"): _left_to_the_database,
    (Comparison, "value"): _left_to_the_database,
    (OneOf, "values"): _left_to_the_database,
    (ListQuery, "tags"): _left_to_the_database,
    (ListQuery, "properties"): _left_to_the_database,
    (Allowance, "unit"): _unit,
    (Claim, "generation"): _counter,
    (Job, "generation"): _counter,
    (Job, "attempt"): _counter,
    (JobChange, "attempt"): _counter,
    (JobChange, "step"): _json,
    (ListQuery, "limit"): _limit,
    (ListQuery, "order"): _looked_at_as_a_whole,
    (NamespaceQuery, "order"): _looked_at_as_a_whole,
    (TagQuery, "order"): _looked_at_as_a_whole,
    (JobQuery, "limit"): _limit,
    (NamespaceQuery, "limit"): _limit,
    (TaskQuery, "limit"): _limit,
    (TagQuery, "limit"): _limit,
}
_RECORDS: Mapping[type, Check] = {
    ListQuery: _list_query,
    Comparison: _comparison,
    OneOf: _one_of,
    TaskQuery: _task_query,
    NamespaceQuery: lambda query: _order(cast("NamespaceQuery", query).order, NAMESPACE_SORT_KEYS),
    TagQuery: lambda query: _order(cast("TagQuery", query).order, TAG_SORT_KEYS),
}
