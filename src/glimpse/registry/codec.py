"""The wire format of each type in the signatures of the database protocol.

msgspec encodes and decodes most types directly. Conversions add the rest: times inside ``Any``, unions of a string and
a time, records that differ only in their class, classes as arguments. :class:`Codec` adds integers beyond 64 bits and
strings with half of a surrogate pair, which msgpack cannot represent.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from functools import cache
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import msgspec
from msgspec.msgpack import Ext

from glimpse.domain.image import Image, ImageChange

#: Codes of the msgpack extensions; -1, the timestamp of msgpack, is not used: our times have no time zone. ``MAPPING``
#: is a list of pairs, for keys that are extensions themselves.
TIME, INTEGER, TEXT, MAPPING = 1, 2, 3, 4

_INTEGERS = range(-(2**63), 2**64)

Change = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Conversion:
    """``wire`` is a type that msgspec decodes. ``to_wire`` creates it from a value, ``from_wire`` reverses that.

    None instead of a function means no conversion. ``to_wire`` may return its argument.
    """

    wire: Any
    to_wire: Change | None = None
    from_wire: Change | None = None


class Codec:
    """Encodes and decodes the values of one type, or of one set of named arguments."""

    def __init__(self, conversion: Conversion) -> None:
        self._conversion = conversion
        self._decoder: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(conversion.wire, ext_hook=_unpacked)

    def encode(self, value: Any) -> bytes:
        """:raises RecursionError: the value is nested too deeply."""
        form = value if self._conversion.to_wire is None else self._conversion.to_wire(value)
        try:
            return _ENCODER.encode(form)
        except (OverflowError, UnicodeEncodeError):
            return _ENCODER.encode(_wide(form))

    def decode(self, data: bytes) -> Any:
        """:raises ValueError, TypeError, OverflowError, RecursionError: the data were not made by :meth:`encode`."""
        try:
            form = self._decoder.decode(data)
        except msgspec.ValidationError:
            # values wider than msgpack's own types fail in the typed decoder, so decode in two steps
            form = msgspec.convert(_LOOSE.decode(data), self._conversion.wire)
        return form if self._conversion.from_wire is None else self._conversion.from_wire(form)


def _other(value: object) -> Any:
    """Convert types that msgspec does not know, for example dictionary views."""
    if isinstance(value, Mapping):
        return dict(cast("Mapping[Any, Any]", value))
    if isinstance(value, Collection):
        return list(cast("Collection[Any]", value))
    raise TypeError(f"{type(value).__name__} cannot be sent to the registry")


_ENCODER = msgspec.msgpack.Encoder(enc_hook=_other)


def _unpacked(code: int, data: memoryview) -> Any:
    """:raises ValueError, TypeError: not one of the extensions above."""
    if code == TIME:
        return datetime.fromisoformat(bytes(data).decode())
    if code == INTEGER:
        return int.from_bytes(data, "big", signed=True)
    if code == TEXT:
        return bytes(data).decode(errors="surrogatepass")
    if code == MAPPING:
        return dict(_PAIRS.decode(data))
    raise ValueError("unknown msgpack extension")


_LOOSE: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(ext_hook=_unpacked)
_PAIRS: msgspec.msgpack.Decoder[list[tuple[Any, Any]]] = msgspec.msgpack.Decoder(
    list[tuple[Any, Any]], ext_hook=_unpacked
)


def _wide(value: Any) -> Any:
    """Replace integers and strings that msgpack cannot represent with extensions."""
    match value:
        case Enum() | bool():
            return value
        case int() if value not in _INTEGERS:
            return Ext(INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))
        case str():
            return value if _sound(value) else Ext(TEXT, value.encode(errors="surrogatepass"))
        case dict():
            return _wide_mapping(cast("dict[Any, Any]", value))
        case list() | tuple() | set() | frozenset():
            return [_wide(item) for item in cast("Collection[Any]", value)]
        case msgspec.Struct():
            tag = type(value).__struct_config__
            named: dict[Any, Any] = {} if tag.tag is None else {tag.tag_field: tag.tag}
            return named | {name: _wide(getattr(value, name)) for name in value.__struct_fields__}
        case _:
            return value


def _wide_mapping(value: dict[Any, Any]) -> Any:
    pairs = [(_wide(key), _wide(item)) for key, item in value.items()]
    if any(isinstance(key, Ext) for key, _ in pairs):
        return Ext(MAPPING, _ENCODER.encode(pairs))
    return dict(pairs)


def _sound(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


# -------------------------------------------------------------------------------------- values without a fixed type

_PLAIN = frozenset({str, int, float, bool, type(None)})


def packed(value: Any) -> Any:
    """Return JSON with times as extensions; values without times are returned unchanged."""
    if type(value) in _PLAIN:
        return value
    match value:
        case dict():
            return _changed_values(cast("dict[Any, Any]", value), packed)
        case list() | tuple():
            return _changed_items(value, packed)
        case datetime():
            return Ext(TIME, value.isoformat().encode())
        case _:
            return value


def _changed_values(value: Any, change: Change) -> Any:
    changed = {key: new for key, old in value.items() if (new := change(old)) is not old}
    return {**value, **changed} if changed else value


def _changed_items(value: Any, change: Change) -> Any:
    made = [change(item) for item in value]
    return value if all(map(_is, made, value)) else made


def _is(one: object, other: object) -> bool:
    return one is other


# ------------------------------------------------------------------------------------------------- conversions of types


@cache
def conversion_of(hint: Any) -> Conversion:
    """Return the conversion of a type in a signature.

    :raises TypeError: there is no rule for the type.
    """
    origin, parts = get_origin(hint), get_args(hint)
    if hint is Any:
        return Conversion(Any, packed)
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return _struct(hint)
    if isinstance(hint, TypeVar):
        return _one_of(hint.__constraints__)
    if origin in (Union, types.UnionType):
        return _union(parts)
    if origin is type:
        return _classes(parts[0])
    if origin in (list, Sequence, Collection) or (origin is tuple and parts[1:] == (...,)):
        return _items(hint, origin, parts[0])
    if origin is tuple:
        return _tuple(hint, parts)
    if origin is dict and parts[0] in (str, int):
        return _values(hint, *parts)
    if origin is None:
        return Conversion(hint)
    raise TypeError(f"no rule for the wire format of {hint}")


def _items(hint: Any, origin: Any, item: Any) -> Conversion:
    inner = conversion_of(item)
    to_wire, from_wire = inner.to_wire, inner.from_wire
    change: Change | None = None if to_wire is None else lambda value: _changed_items(value, to_wire)
    if from_wire is None:
        return Conversion(hint, change)

    def back(value: Any) -> Any:
        made = [from_wire(each) for each in value]
        return tuple(made) if origin is tuple else made

    return Conversion(list[inner.wire], change, back)


def _tuple(hint: Any, parts: tuple[Any, ...]) -> Conversion:
    inner = [conversion_of(part) for part in parts]
    if all(one.to_wire is None and one.from_wire is None for one in inner):
        return Conversion(hint)

    def to_wire(value: Any) -> Any:
        return [_to_wire(one, item) for one, item in zip(inner, value, strict=True)]

    if all(one.from_wire is None for one in inner):
        return Conversion(hint, to_wire)
    return Conversion(
        tuple[tuple(one.wire for one in inner)],
        to_wire,
        lambda value: tuple(_from_wire(one, item) for one, item in zip(inner, value, strict=True)),
    )


def _values(hint: Any, key: Any, item: Any) -> Conversion:
    inner = conversion_of(item)
    to_wire, from_wire = inner.to_wire, inner.from_wire
    change: Change | None = None if to_wire is None else lambda value: _changed_values(value, to_wire)
    if from_wire is None:
        return Conversion(hint, change)
    return Conversion(
        dict[key, inner.wire], change, lambda value: {name: from_wire(each) for name, each in value.items()}
    )


def _union(parts: tuple[Any, ...]) -> Conversion:
    rest = tuple(part for part in parts if part is not types.NoneType)
    if len(rest) == len(parts):
        return _one_of(parts)
    inner = conversion_of(rest[0]) if len(rest) == 1 else _one_of(rest)
    to_wire, from_wire = inner.to_wire, inner.from_wire
    return Conversion(
        Any if inner.wire is Any else inner.wire | None,
        None if to_wire is None else lambda value: None if value is None else to_wire(value),
        None if from_wire is None else lambda value: None if value is None else from_wire(value),
    )


def _one_of(parts: tuple[Any, ...]) -> Conversion:
    """Return the conversion of a union: records are distinguished by a tag, values by their types."""
    if all(issubclass(part, msgspec.Struct) for part in parts):
        return _tagged(parts)
    if datetime not in parts:
        return Conversion(Union[parts])  # noqa: UP007  # made from a tuple

    def checked(value: Any) -> Any:
        if type(value) not in parts or (isinstance(value, datetime) and value.tzinfo is not None):
            raise ValueError(f"unexpected {type(value).__name__}")
        return value

    return Conversion(Any, packed, checked)


def _classes(known: Any) -> Conversion:
    """Return the conversion of a class as an argument: its name, from a fixed set."""
    classes: tuple[type, ...] = known.__constraints__ if isinstance(known, TypeVar) else get_args(known)
    by_name = {each.__name__: each for each in classes}
    return Conversion(Literal[tuple(by_name)], lambda value: value.__name__, by_name.__getitem__)


def _to_wire(conversion: Conversion, value: Any) -> Any:
    return value if conversion.to_wire is None else conversion.to_wire(value)


def _from_wire(conversion: Conversion, value: Any) -> Any:
    return value if conversion.from_wire is None else conversion.from_wire(value)


# --------------------------------------------------------------------------------------------- conversions of records


def _struct(kind: type[msgspec.Struct]) -> Conversion:
    """Use the record itself if msgspec can decode all of it, else a copy of its definition with wire types."""
    fields = _fields(kind)
    if any(conversion.from_wire is not None for conversion in fields.values()):
        return _twin(kind)
    to_wires = [(name, conversion.to_wire) for name, conversion in fields.items() if conversion.to_wire is not None]
    if not to_wires:
        return Conversion(kind)

    def to_wire(value: Any) -> Any:
        changed: dict[str, Any] = {}
        for name, change in to_wires:
            old = getattr(value, name)
            if (new := change(old)) is not old:
                changed[name] = new
        return msgspec.structs.replace(value, **changed) if changed else value

    return Conversion(kind, to_wire)


def _fields(kind: type[msgspec.Struct]) -> dict[str, Conversion]:
    return {name: _SPECIAL.get((kind, name)) or conversion_of(hint) for name, hint in get_type_hints(kind).items()}


def _twin(kind: type[msgspec.Struct], tag: str | None = None) -> Conversion:
    """Define a record with the same fields in their wire types."""
    fields = _fields(kind)
    made: Any = msgspec.defstruct(
        kind.__name__,
        [_declared(field, fields[field.name]) for field in msgspec.structs.fields(kind)],
        kw_only=True,
        tag=tag,
    )

    def to_wire(value: Any) -> Any:
        return made(**{name: _to_wire(conversion, getattr(value, name)) for name, conversion in fields.items()})

    def from_wire(value: Any) -> Any:
        return kind(**{name: _from_wire(conversion, getattr(value, name)) for name, conversion in fields.items()})

    return Conversion(made, to_wire, from_wire)


def _declared(field: msgspec.structs.FieldInfo, conversion: Conversion) -> Any:
    if field.default_factory is not msgspec.NODEFAULT:
        return field.name, conversion.wire, msgspec.field(default_factory=field.default_factory)
    if field.default is not msgspec.NODEFAULT:
        default = field.default
        return field.name, conversion.wire, msgspec.field(default_factory=lambda: _to_wire(conversion, default))
    return field.name, conversion.wire


def _tagged(kinds: tuple[Any, ...]) -> Conversion:
    """Return the conversion of a union of records, tagged with the class name."""
    conversions = {each: _twin(each, each.__name__) for each in kinds}
    from_wires = {conversion.wire: conversion.from_wire for conversion in conversions.values()}
    return Conversion(
        Union[tuple(from_wires)],  # noqa: UP007  # made from a tuple
        lambda value: _to_wire(conversions[type(value)], value),
        lambda value: cast("Change", from_wires[type(value)])(value),
    )


def _columns() -> Conversion:
    """Convert new column values to the types of an image's fields; the database refuses unknown names."""
    known = get_type_hints(Image)

    def from_wire(value: dict[str, Any]) -> dict[str, Any]:
        return {name: msgspec.convert(item, known.get(name, Any)) for name, item in value.items()}

    return Conversion(dict[str, Any], None, from_wire)


#: Fields with a more specific conversion than that of their types.
_SPECIAL: dict[tuple[type, str], Conversion] = {(ImageChange, "columns"): _columns()}
