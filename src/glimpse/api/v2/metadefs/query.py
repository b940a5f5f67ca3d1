"""Query strings of metadata definitions (metadefs 6). Unknown parameters are ignored, and kept in links."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode

from glimpse.api.v2.metadefs.documents import NAMESPACES
from glimpse.api.v2.query import ListRequest, PageLimits
from glimpse.domain.filter_values import parse_integer
from glimpse.domain.listing import SortKey
from glimpse.domain.metadef import NAMESPACE_SORT_KEYS, TAG_SORT_KEYS, NamespaceQuery, TagQuery
from glimpse.errors import Invalid

_MOST_PARAMETERS = 128
#: Sort keys of namespaces, which lists of objects and tags also accept.
_VISIBILITIES = ("public", "private")
_VISIBILITIES_OF_PARTS = (*_VISIBILITIES, "shared")

Pairs = list[tuple[str, str]]


def parse_namespace_list(query_string: bytes, limits: PageLimits) -> ListRequest[NamespaceQuery]:
    """:raises Invalid: it is not UTF-8, or a parameter has an invalid value."""
    pairs = _pairs(query_string)
    last = dict(pairs)
    limit = limits.limit_param_default if "limit" not in last else _limit(last["limit"], lowest=0)
    _check_visibility(last, "", *_VISIBILITIES)
    types = last.get("resource_types")
    query = NamespaceQuery(
        visibility=last.get("visibility"),
        resource_types=None if types is None else tuple(types.split(",")) if types else (),
        order=_order(last, NAMESPACE_SORT_KEYS),
        marker=last.get("marker"),
        limit=min(limit, limits.api_limit_max),
    )
    repeated = urlencode([pair for pair in pairs if pair[0] != "marker"])
    return ListRequest(query, f"{NAMESPACES}?{repeated}" if repeated else NAMESPACES)


def parse_tag_list(query_string: bytes) -> TagQuery:
    """:raises Invalid: as of :func:`parse_namespace_list`."""
    last = dict(_pairs(query_string))
    _check_visibility(last, *_VISIBILITIES_OF_PARTS)
    limit = last.get("limit")
    return TagQuery(
        order=_order(last, TAG_SORT_KEYS),
        marker=last.get("marker") or None,
        limit=_limit(limit, lowest=0) if limit else None,
    )


def check_object_list(query_string: bytes) -> None:
    """Refuse the same parameters as Glance, though none of them has an effect (metadefs 6.2).

    :raises Invalid: as of :func:`parse_namespace_list`.
    """
    last = dict(_pairs(query_string))
    _check_visibility(last, *_VISIBILITIES_OF_PARTS)
    _descending(last)
    if "limit" in last:
        _limit(last["limit"], lowest=1)


def parse_namespace_show(query_string: bytes) -> str | None:
    """Return the resource type whose property names are requested.

    :raises Invalid: ``visibility`` is not a visibility of namespaces; or as :func:`parse_namespace_list`.
    """
    last = dict(_pairs(query_string))
    _check_visibility(last, *_VISIBILITIES)
    return last.get("resource_type")


def parse_property_show(query_string: bytes) -> str:
    """Return the resource type whose property names are used; empty for none.

    :raises Invalid: as of :func:`parse_namespace_list`.
    """
    return dict(_pairs(query_string)).get("resource_type", "")


def _pairs(query_string: bytes) -> Pairs:
    try:
        pairs = parse_qsl(
            query_string.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MOST_PARAMETERS
        )
    except UnicodeDecodeError:
        raise Invalid("The query string is not encoded in UTF-8.") from None
    except ValueError:
        raise Invalid(f"A query may have at most {_MOST_PARAMETERS} parameters.") from None
    return pairs


def _limit(sent: str, *, lowest: int) -> int:
    limit = parse_integer("limit", sent)
    if limit < lowest:
        raise Invalid(f"limit must be {lowest} or more.")
    # no database accepts a number of more than 63 bits
    return min(limit, 2**31 - 1)


def _check_visibility(last: dict[str, str], *allowed: str) -> None:
    if "visibility" in last and last["visibility"] not in allowed:
        raise Invalid(f"visibility must be one of {', '.join(filter(None, allowed))}.")


def _order(last: dict[str, str], keys: frozenset[str]) -> tuple[SortKey, ...]:
    wanted = last.get("sort_key", "created_at")
    if wanted not in keys:
        raise Invalid(f"sort_key must be one of {', '.join(sorted(keys))}.")
    descending = _descending(last)
    columns = dict.fromkeys((wanted, "created_at", "id"))
    return tuple(SortKey(column, descending) for column in columns)


def _descending(last: dict[str, str]) -> bool:
    direction = last.get("sort_dir", "desc")
    if direction not in {"asc", "desc"}:
        raise Invalid("sort_dir must be asc or desc.")
    return direction == "desc"
