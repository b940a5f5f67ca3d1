"""The query string of a list of tasks (imports-and-stores 3.4)."""

from __future__ import annotations

from datetime import datetime
from urllib.parse import urlencode

from glimpse.api.v2.query import ListRequest, PageLimits, page_size, parse_form
from glimpse.domain.filter_values import as_time
from glimpse.domain.task import TASK_COLUMNS, TASK_TYPES, TIME_COLUMNS, TaskQuery, TaskStatus
from glimpse.errors import Invalid

_PATH = "/v2/tasks"
_DIRECTIONS = {"asc": False, "desc": True}
#: Columns that are the same for all tasks of a list, and so do not change its order.
_SAME = frozenset({"deleted", "deleted_at"})
_CHOICES = {"status": tuple(status.value for status in TaskStatus), "type": TASK_TYPES}


def parse_task_list(query_string: bytes, limits: PageLimits) -> ListRequest[TaskQuery]:
    """Parse the raw query string. Unknown parameters are ignored; of a repeated one the last counts.

    :raises Invalid: it is not UTF-8, or a parameter has an invalid value.
    """
    sent = dict(parse_form(query_string))
    sort_key = sent.get("sort_key", "created_at")
    if sort_key in _SAME:
        sort_key = "created_at"
    elif sort_key not in TASK_COLUMNS:
        raise Invalid(f"Tasks can be sorted only by {', '.join(sorted(TASK_COLUMNS))}.")
    sort_dir = sent.get("sort_dir", "desc")
    if sort_dir not in _DIRECTIONS:
        raise Invalid("A sort direction must be asc or desc.")
    query = TaskQuery(
        columns=tuple((name, _value(name, sent[name])) for name in TASK_COLUMNS if name in sent),
        sort_key=sort_key,
        descending=_DIRECTIONS[sort_dir],
        marker=sent.get("marker"),
        limit=page_size(sent.get("limit"), limits),
    )
    repeated = urlencode([(name, value) for name, value in sent.items() if name != "marker"])
    return ListRequest(query, f"{_PATH}?{repeated}" if repeated else _PATH)


def _value(name: str, text: str) -> str | datetime:
    if name in _CHOICES and text not in _CHOICES[name]:
        raise Invalid(f"The value of {name} must be one of {', '.join(_CHOICES[name])}.")
    if name not in TIME_COLUMNS:
        return text
    moment = as_time(text)
    if moment is None:
        raise Invalid(f"The value of {name} must be an ISO 8601 time.")
    return moment
