"""The methods of the registry: those of the database protocol, made from its signatures.

:data:`RULES` says of each what the signature does not: whether it may be run again when an answer is lost, and who may
call it. A method of the protocol without a rule is an error at import, so that nobody forgets it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from enum import Enum
from functools import partial
from typing import Any, get_type_hints

import msgspec

from glimpse.db.base import Database
from glimpse.errors import Invalid
from glimpse.registry.codec import Codec, Shape, shape_of
from glimpse.registry.errors import UnknownMethod
from glimpse.registry.wire import Role


class Kind(Enum):
    """What happens when a call is run twice.

    ``READ``: nothing is changed. ``IDEMPOTENT``: the second time changes nothing more, and the caller may take its
    answer for that of the first. ``WRITE``: the second time does more, or says something else, so an answer that is
    lost stays lost.
    """

    READ = "read"
    IDEMPOTENT = "idempotent"
    WRITE = "write"


_READ = (Kind.READ, Role.API)
_IDEMPOTENT = (Kind.IDEMPOTENT, Role.API)
_WRITE = (Kind.WRITE, Role.API)

#: What no API node needs for its requests and jobs is for admins.
RULES: Mapping[str, tuple[Kind, Role]] = {
    # images
    "create_image": _WRITE,
    "get_image": _READ,
    "list_images": _READ,
    "update_image": _WRITE,
    "list_members": _READ,
    "add_member": _WRITE,
    # writes the same status; only the time of the change may be the later one
    "set_member_status": _IDEMPOTENT,
    "remove_member": _WRITE,
    # uploads and deletions, with the jobs that own them
    "begin_upload": _WRITE,
    "finish_upload": _WRITE,
    "cancel_upload": _WRITE,
    "begin_deletion": _WRITE,
    "finish_deletion": _WRITE,
    "delete_without_data": _WRITE,
    "get_any_image": _READ,
    # jobs
    "add_job": _WRITE,
    "due_jobs": _READ,
    # the second time finds the generation of the first, and would say that somebody else was first
    "claim_job": _WRITE,
    # what was renewed is renewed again, what was lost meanwhile is not in the answer
    "renew_jobs": _IDEMPOTENT,
    "save_job": _WRITE,
    "cancel_job": _IDEMPOTENT,
    "get_job": _READ,
    "list_jobs": _READ,
    "count_jobs": _READ,
    # the number is for a log line
    "forget_jobs": _IDEMPOTENT,
    # locations
    "begin_location_removal": _WRITE,
    "unverified_locations": _READ,
    "finish_location_removal": _WRITE,
    "name_location_store": _WRITE,
    # usage
    "usage": _READ,
    # what is granted takes the place of what was, and is counted without it
    "extend_reservation": _IDEMPOTENT,
    # removal of old rows
    "count_purgeable": (Kind.READ, Role.ADMIN),
    "purge_batch": (Kind.WRITE, Role.ADMIN),
    # metadata definitions
    "load_namespace": (Kind.WRITE, Role.ADMIN),
    "export_namespaces": _READ,
    "unload_namespaces": (Kind.WRITE, Role.ADMIN),
    "list_namespaces": _READ,
    "get_namespace": _READ,
    "get_content": _READ,
    "create_namespace": _WRITE,
    "update_namespace": _WRITE,
    "delete_namespace": _WRITE,
    "list_resource_types": _READ,
    "list_associations": _READ,
    "add_association": _WRITE,
    "remove_association": _WRITE,
    "list_items": _READ,
    "list_tags": _READ,
    "get_item": _READ,
    "add_item": _WRITE,
    "add_tags": _WRITE,
    "replace_item": _WRITE,
    "remove_item": _WRITE,
    "clear_items": _IDEMPOTENT,
}

#: Methods of the protocol that are about the object, not about the database.
LOCAL = frozenset({"close"})


class Method:
    """One method: its name, its rule, and the forms of its arguments and its result."""

    def __init__(self, name: str, function: Callable[..., Any], kind: Kind, role: Role) -> None:
        self.name = name
        self.kind = kind
        self.role = role
        # protocols of parts name these for the type checker alone, as importing them would be a circle
        hints = get_type_hints(function)
        parameters = [each for each in inspect.signature(function).parameters.values() if each.name != "self"]
        #: names of the arguments that can be given by position, in their order
        self.positional = tuple(each.name for each in parameters if each.kind is each.POSITIONAL_OR_KEYWORD)
        self._known = frozenset(each.name for each in parameters)
        self._arguments = Codec(_arguments(name, parameters, hints))
        self._result = Codec(shape_of(hints["return"]))

    def encode_arguments(self, arguments: Mapping[str, Any]) -> bytes:
        """The body of a request; arguments that are not given take their defaults at the server.

        :raises Invalid: they are nested too deeply.
        """
        return _guarded(partial(self._arguments.encode, arguments))

    def decode_arguments(self, body: bytes) -> dict[str, Any]:
        """The arguments by name, complete: to be handed to the method of this name as keywords.

        :raises UnknownMethod: there is an argument that this version does not know.
        :raises Invalid: these are no arguments of the method.
        """
        try:
            return _guarded(partial(self._arguments.decode, body))
        except Invalid:
            self._refuse_unknown(body)
            raise

    def encode_result(self, result: Any) -> bytes:
        """The body of an answer.

        :raises Invalid: it is nested too deeply.
        """
        return _guarded(partial(self._result.encode, result))

    def decode_result(self, body: bytes) -> Any:
        """What the method returns.

        :raises Invalid: this is no result of the method.
        """
        return _guarded(partial(self._result.decode, body))

    def _refuse_unknown(self, body: bytes) -> None:
        """Say it when arguments are refused because a newer client gave one that does not exist here."""
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


def _arguments(name: str, parameters: list[inspect.Parameter], hints: Mapping[str, Any]) -> Shape:
    """The arguments of a call as one record of optional and required fields."""
    shapes = {each.name: shape_of(hints[each.name]) for each in parameters}
    ups = {argument: shape.up for argument, shape in shapes.items() if shape.up is not None}
    defaults = {each.name: each.default for each in parameters if each.default is not each.empty}
    wire = msgspec.defstruct(
        f"ArgumentsOf_{name}",
        [
            (each.name, shapes[each.name].wire | msgspec.UnsetType, msgspec.UNSET)
            if each.name in defaults
            else (each.name, shapes[each.name].wire)
            for each in parameters
        ],
        kw_only=True,
        forbid_unknown_fields=True,
    )

    def up(arguments: Mapping[str, Any]) -> dict[str, Any]:
        return {
            argument: value if (change := ups.get(argument)) is None else change(value)
            for argument, value in arguments.items()
        }

    def down(form: Any) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for argument, shape in shapes.items():
            value = getattr(form, argument)
            if value is msgspec.UNSET:
                made[argument] = defaults[argument]
            else:
                made[argument] = value if shape.down is None else shape.down(value)
        return made

    return Shape(wire, up, down)


def _methods() -> dict[str, Method]:
    """All public functions of the protocol and of those that it joins.

    :raises TypeError: rules and functions are not the same set.
    """
    functions: dict[str, Callable[..., Any]] = {
        name: function
        for part in reversed(inspect.getmro(Database))
        if part.__module__.startswith("glimpse.")
        for name, function in vars(part).items()
        if inspect.isfunction(function) and not name.startswith("_") and name not in LOCAL
    }
    if different := functions.keys() ^ RULES.keys():
        raise TypeError(f"registry/methods.py and the database protocol differ by {', '.join(sorted(different))}")
    return {name: Method(name, function, *RULES[name]) for name, function in functions.items()}


METHODS: Mapping[str, Method] = _methods()
