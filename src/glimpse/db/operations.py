"""What the signature of an operation of the database does not say: decorators for the methods of the protocol.

A client of the database that is far away needs to know it: whether an operation may be run again when its answer is
lost, who may call it, and whether a replica that lags behind may answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from inspect import getmro, isfunction
from typing import Any, TypeVar

import msgspec

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])

_MARK = "__operation__"


class Repetition(Enum):
    """What happens when an operation is run twice.

    ``READ``: nothing is changed. ``IDEMPOTENT``: the second time changes nothing more, and the caller may take its
    answer for that of the first. ``WRITE``: the second time does more, or says something else, so an answer that is
    lost stays lost.
    """

    READ = "read"
    IDEMPOTENT = "idempotent"
    WRITE = "write"


class Operation(msgspec.Struct, frozen=True):
    """``for_admins``: no API node needs it for its requests and jobs. ``may_lag``: a replica may answer it."""

    repetition: Repetition
    for_admins: bool = False
    may_lag: bool = False


def reads(*, may_lag: bool = False, for_admins: bool = False) -> Callable[[FunctionT], FunctionT]:
    """The operation changes nothing; with ``may_lag`` it answers requests that change nothing either."""
    return _marked(Operation(Repetition.READ, for_admins, may_lag))


def writes(*, idempotent: bool = False, for_admins: bool = False) -> Callable[[FunctionT], FunctionT]:
    """The operation changes something; ``idempotent`` as in :class:`Repetition`."""
    return _marked(Operation(Repetition.IDEMPOTENT if idempotent else Repetition.WRITE, for_admins))


def _marked(operation: Operation) -> Callable[[FunctionT], FunctionT]:
    def mark(function: FunctionT) -> FunctionT:
        setattr(function, _MARK, operation)
        return function

    return mark


def operations_of(protocol: type) -> Mapping[str, tuple[Callable[..., Any], Operation]]:
    """The methods of a protocol and of those that it joins, with what their decorators say.

    A public method without a decorator is about the object, not about the database, as ``close`` is.
    """
    return {
        name: (function, getattr(function, _MARK))
        for part in reversed(getmro(protocol))
        for name, function in vars(part).items()
        if isfunction(function) and hasattr(function, _MARK)
    }
