"""``If-Match`` and ``If-None-Match`` of a request for data (RFC 9110, sections 13.1.1, 13.1.2 and 13.2.2)."""

from __future__ import annotations

import enum
import re
from collections.abc import Sequence
from typing import Final

_TAG: Final = re.compile(r'(W/)?("[\x21\x23-\x7e\x80-\xff]*")')
_LIST: Final = re.compile(r'(?:[ \t,]*(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"[ \t]*(?=,|\Z))+[ \t,]*')


class Verdict(enum.Enum):
    """The result of the preconditions."""

    GO_ON = enum.auto()
    FAILED = enum.auto()
    UNCHANGED = enum.auto()


def precondition(if_match: Sequence[str], if_none_match: Sequence[str], etag: str | None) -> Verdict:
    """Evaluate the two headers for data with the strong entity tag ``etag``; None if there is no digest.

    ``If-Match`` compares strongly, ``If-None-Match`` weakly. A header that is not a list of entity tags matches
    nothing.
    """
    if if_match and not _names(", ".join(if_match), etag, weakly=False):
        return Verdict.FAILED
    if if_none_match and _names(", ".join(if_none_match), etag, weakly=True):
        return Verdict.UNCHANGED
    return Verdict.GO_ON


def _names(text: str, etag: str | None, *, weakly: bool) -> bool:
    if text.strip(" \t") == "*":
        return True
    if etag is None or not _LIST.fullmatch(text):
        return False
    return any(tag == etag and (weakly or not weak) for weak, tag in _TAG.findall(text))
