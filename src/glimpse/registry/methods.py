"""The methods of the registry: those of the database protocol, derived from its signatures and decorators.

The decorators (``db/operations.py``) say whether a method may be repeated after a lost response, and who may call it.
A method of the protocol without a decorator is an error at import.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, get_type_hints

import msgspec

from glimpse.db.base import Database
from glimpse.db.operations import Operation, operations_of
from glimpse.errors import Invalid
from glimpse.registry.codec import Codec, Conversion, conversion_of
from glimpse.registry.errors import UnknownMethod
from glimpse.registry.wire import Role

#: Methods of the protocol that concern the object, not the database.
LOCAL = frozenset({"close"})


class Method:
    """One method: its name, the values of its decorator, and the encoding of its arguments and its result."""

    def __init__(self, name: str, function: Callable[..., Any], operation: Operation) -> None:
        self.name = name
        self.repetition = operation.repetition
        self.role = Role.ADMIN if operation.for_admins else Role.API
        # resolves names that the partial protocols import only for type checking, to avoid circular imports
        hints = get_type_hints(function)
        parameters = [each for each in inspect.signature(function).parameters.values() if each.name != "self"]
        #: names of the arguments that can be positional, in order
        self.positional = tuple(each.name for each in parameters if each.kind is each.POSITIONAL_OR_KEYWORD)
        self._known = frozenset(each.name for each in parameters)
        self._arguments = Codec(_arguments(name, parameters, hints))
        self._result = Codec(conversion_of(hints["return"]))

    def encode_arguments(self, arguments: Mapping[str, Any]) -> bytes:
        """Return the body of a request; the server fills in defaults for missing arguments.

        :raises Invalid: the values are nested too deeply.
        """
        return _guarded(partial(self._arguments.encode, arguments))

    def decode_arguments(self, body: bytes) -> dict[str, Any]:
        """Return all arguments by name, to be passed to the method as keywords.

        :raises UnknownMethod: there is an argument that this version does not know.
        :raises Invalid: these are not valid arguments of the method.
        """
        try:
            return _guarded(partial(self._arguments.decode, body))
        except Invalid:
            self._refuse_unknown(body)
            raise

    def encode_result(self, result: Any) -> bytes:
        """Return the body of a response.

        :raises Invalid: the result is nested too deeply.
        """
        return _guarded(partial(self._result.encode, result))

    def decode_result(self, body: bytes) -> Any:
        """Return the result of the method from the body of a response.

        :raises Invalid: this is not a valid result of the method.
        """
        return _guarded(partial(self._result.decode, body))

    def _refuse_unknown(self, body: bytes) -> None:
        """Raise a clearer error if a newer client sent an argument that this version does not have."""
        try:
            given = _NAMES.decode(body)
        except (ValueError, RecursionError):
            return
        if not self._known.issuperset(given):
            raise UnknownMethod(f"The registry is older than this node: its {self.name} has other arguments.")


#: The names of arguments, whatever their values.
_NAMES = msgspec.msgpack.Decoder(dict[str, msgspec.Raw])


def _guarded(work: Callable[[], Any]) -> Any:
    try:
        return work()
    except RecursionError:
        raise Invalid("The values of a call to the registry are nested too deeply.") from None
    except (ValueError, TypeError, OverflowError, KeyError) as error:
        raise Invalid("The values of a call to the registry cannot be decoded.") from error


def _arguments(name: str, parameters: list[inspect.Parameter], hints: Mapping[str, Any]) -> Conversion:
    """Return the conversion of a call's arguments as one record of optional and required fields."""
    conversions = {each.name: conversion_of(hints[each.name]) for each in parameters}
    to_wires = {
        argument: conversion.to_wire for argument, conversion in conversions.items() if conversion.to_wire is not None
    }
    defaults = {each.name: each.default for each in parameters if each.default is not each.empty}
    wire = msgspec.defstruct(
        f"ArgumentsOf_{name}",
        [
            (each.name, conversions[each.name].wire | msgspec.UnsetType, msgspec.UNSET)
            if each.name in defaults
            else (each.name, conversions[each.name].wire)
            for each in parameters
        ],
        kw_only=True,
        forbid_unknown_fields=True,
    )

    def to_wire(arguments: Mapping[str, Any]) -> dict[str, Any]:
        return {
            argument: value if (change := to_wires.get(argument)) is None else change(value)
            for argument, value in arguments.items()
        }

    def from_wire(form: Any) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for argument, conversion in conversions.items():
            value = getattr(form, argument)
            if value is msgspec.UNSET:
                made[argument] = defaults[argument]
            else:
                made[argument] = value if conversion.from_wire is None else conversion.from_wire(value)
        return made

    return Conversion(wire, to_wire, from_wire)


def _methods() -> dict[str, Method]:
    """Return all public functions of the protocol and its base protocols.

    :raises TypeError: one has no decorator.
    """
    operations = operations_of(Database)
    methods: dict[str, Method] = {}
    for part in reversed(inspect.getmro(Database)):
        for name, function in vars(part).items():
            if not inspect.isfunction(function) or name.startswith("_") or name in LOCAL:
                continue
            if name not in operations:
                raise TypeError(f"{part.__name__}.{name} needs a decorator of db/operations.py")
            methods[name] = Method(name, *operations[name])
    return methods


METHODS: Mapping[str, Method] = _methods()
