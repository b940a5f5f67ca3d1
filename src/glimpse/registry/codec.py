"""The form on the wire of each type in the signatures of the database protocol.

msgspec encodes and decodes most types as they are. A shape adds what it cannot: times inside ``Any``, unions of a text
and a time, records that only a class tells apart, classes as arguments. :class:`Codec` adds integers beyond 64 bits and
texts with half of a surrogate pair, which msgpack has no form for: both are rare, and cost only those who use them.
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

#: Codes of the msgpack extensions; -1, the timestamp of msgpack, is not used: our times have no zone. ``MAPPING`` is
#: a list of pairs, for keys that are extensions themselves.
TIME, INTEGER, TEXT, MAPPING = 1, 2, 3, 4

_INTEGERS = range(-(2**63), 2**64)

Change = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Shape:
    """``wire`` is a type that msgspec decodes; ``up`` makes it from a value before it is sent, ``down`` undoes that.

    None instead of a function means that nothing is to be done. ``up`` is allowed to give back what it got.
    """

    wire: Any
    up: Change | None = None
    down: Change | None = None


class Codec:
    """Encodes and decodes the values of one type, or of one set of named arguments."""

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self._decoder: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(shape.wire, ext_hook=_unpacked)

    def encode(self, value: Any) -> bytes:
        """:raises RecursionError: it is nested too deeply."""
        form = value if self._shape.up is None else self._shape.up(value)
        try:
            return _ENCODER.encode(form)
        except (OverflowError, UnicodeEncodeError):
            return _ENCODER.encode(_wide(form))

    def decode(self, data: bytes) -> Any:
        """:raises ValueError, TypeError, OverflowError, RecursionError: these are no data of :meth:`encode`."""
        try:
            form = self._decoder.decode(data)
        except msgspec.ValidationError:
            # what is wider than msgpack's own types is only let through where nothing is decoded in one step
            form = msgspec.convert(_LOOSE.decode(data), self._shape.wire)
        return form if self._shape.down is None else self._shape.down(form)


def _other(value: object) -> Any:
    """The form of what msgspec does not know: views of dictionaries, for instance."""
    if isinstance(value, Mapping):
        return dict(cast("Mapping[Any, Any]", value))
    if isinstance(value, Collection):
        return list(cast("Collection[Any]", value))
    raise TypeError(f"{type(value).__name__} does not go over the wire")


_ENCODER = msgspec.msgpack.Encoder(enc_hook=_other)


def _unpacked(code: int, data: memoryview) -> Any:
    """:raises ValueError, TypeError: no extension of ours."""
    if code == TIME:
        return datetime.fromisoformat(bytes(data).decode())
    if code == INTEGER:
        return int.from_bytes(data, "big", signed=True)
    if code == TEXT:
        return bytes(data).decode(errors="surrogatepass")
    if code == MAPPING:
        return dict(_PAIRS.decode(data))
    raise ValueError("an unknown extension of msgpack")


_LOOSE: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(ext_hook=_unpacked)
_PAIRS: msgspec.msgpack.Decoder[list[tuple[Any, Any]]] = msgspec.msgpack.Decoder(
    list[tuple[Any, Any]], ext_hook=_unpacked
)


def _wide(value: Any) -> Any:
    """The same with extensions in the place of integers and texts that msgpack cannot hold."""
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
    """JSON as it is, times as extensions; what holds none is returned itself."""
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


# ------------------------------------------------------------------------------------------------- shapes of types


@cache
def shape_of(hint: Any) -> Shape:
    """The shape of a type of a signature.

    :raises TypeError: there is no rule for it.
    """
    origin, parts = get_origin(hint), get_args(hint)
    if hint is Any:
        return Shape(Any, packed)
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
        return Shape(hint)
    raise TypeError(f"no rule says how {hint} goes over the wire")


def _items(hint: Any, origin: Any, item: Any) -> Shape:
    inner = shape_of(item)
    up, down = inner.up, inner.down
    change: Change | None = None if up is None else lambda value: _changed_items(value, up)
    if down is None:
        return Shape(hint, change)

    def back(value: Any) -> Any:
        made = [down(each) for each in value]
        return tuple(made) if origin is tuple else made

    return Shape(list[inner.wire], change, back)


def _tuple(hint: Any, parts: tuple[Any, ...]) -> Shape:
    inner = [shape_of(part) for part in parts]
    if all(one.up is None and one.down is None for one in inner):
        return Shape(hint)

    def up(value: Any) -> Any:
        return [_up(one, item) for one, item in zip(inner, value, strict=True)]

    if all(one.down is None for one in inner):
        return Shape(hint, up)
    return Shape(
        tuple[tuple(one.wire for one in inner)],
        up,
        lambda value: tuple(_down(one, item) for one, item in zip(inner, value, strict=True)),
    )


def _values(hint: Any, key: Any, item: Any) -> Shape:
    inner = shape_of(item)
    up, down = inner.up, inner.down
    change: Change | None = None if up is None else lambda value: _changed_values(value, up)
    if down is None:
        return Shape(hint, change)
    return Shape(dict[key, inner.wire], change, lambda value: {name: down(each) for name, each in value.items()})


def _union(parts: tuple[Any, ...]) -> Shape:
    rest = tuple(part for part in parts if part is not types.NoneType)
    if len(rest) == len(parts):
        return _one_of(parts)
    inner = shape_of(rest[0]) if len(rest) == 1 else _one_of(rest)
    up, down = inner.up, inner.down
    return Shape(
        Any if inner.wire is Any else inner.wire | None,
        None if up is None else lambda value: None if value is None else up(value),
        None if down is None else lambda value: None if value is None else down(value),
    )


def _one_of(parts: tuple[Any, ...]) -> Shape:
    """Records are told apart by a name, values by their types."""
    if all(issubclass(part, msgspec.Struct) for part in parts):
        return _tagged(parts)
    if datetime not in parts:
        return Shape(Union[parts])  # noqa: UP007  # made from a tuple

    def checked(value: Any) -> Any:
        if type(value) not in parts or (isinstance(value, datetime) and value.tzinfo is not None):
            raise ValueError(f"a {type(value).__name__} that is not expected")
        return value

    return Shape(Any, packed, checked)


def _classes(known: Any) -> Shape:
    """A class as an argument: its name, of a fixed set."""
    classes: tuple[type, ...] = known.__constraints__ if isinstance(known, TypeVar) else get_args(known)
    by_name = {each.__name__: each for each in classes}
    return Shape(Literal[tuple(by_name)], lambda value: value.__name__, by_name.__getitem__)


def _up(shape: Shape, value: Any) -> Any:
    return value if shape.up is None else shape.up(value)


def _down(shape: Shape, value: Any) -> Any:
    return value if shape.down is None else shape.down(value)


# ------------------------------------------------------------------------------------------------ shapes of records


def _struct(kind: type[msgspec.Struct]) -> Shape:
    """The record itself where msgspec can decode all of it, else a twin of it."""
    fields = _fields(kind)
    if any(shape.down is not None for shape in fields.values()):
        return _twin(kind)
    ups = [(name, shape.up) for name, shape in fields.items() if shape.up is not None]
    if not ups:
        return Shape(kind)

    def up(value: Any) -> Any:
        changed: dict[str, Any] = {}
        for name, change in ups:
            old = getattr(value, name)
            if (new := change(old)) is not old:
                changed[name] = new
        return msgspec.structs.replace(value, **changed) if changed else value

    return Shape(kind, up)


def _fields(kind: type[msgspec.Struct]) -> dict[str, Shape]:
    return {name: _SPECIAL.get((kind, name)) or shape_of(hint) for name, hint in get_type_hints(kind).items()}


def _twin(kind: type[msgspec.Struct], tag: str | None = None) -> Shape:
    """A record with the same fields, in their forms on the wire."""
    fields = _fields(kind)
    made: Any = msgspec.defstruct(
        kind.__name__,
        [_declared(field, fields[field.name]) for field in msgspec.structs.fields(kind)],
        kw_only=True,
        tag=tag,
    )

    def up(value: Any) -> Any:
        return made(**{name: _up(shape, getattr(value, name)) for name, shape in fields.items()})

    def down(value: Any) -> Any:
        return kind(**{name: _down(shape, getattr(value, name)) for name, shape in fields.items()})

    return Shape(made, up, down)


def _declared(field: msgspec.structs.FieldInfo, shape: Shape) -> Any:
    if field.default_factory is not msgspec.NODEFAULT:
        return field.name, shape.wire, msgspec.field(default_factory=field.default_factory)
    if field.default is not msgspec.NODEFAULT:
        default = field.default
        return field.name, shape.wire, msgspec.field(default_factory=lambda: _up(shape, default))
    return field.name, shape.wire


def _tagged(kinds: tuple[Any, ...]) -> Shape:
    """One of several records; which one is named by its class."""
    shapes = {each: _twin(each, each.__name__) for each in kinds}
    downs = {shape.wire: shape.down for shape in shapes.values()}
    return Shape(
        Union[tuple(downs)],  # noqa: UP007  # made from a tuple
        lambda value: _up(shapes[type(value)], value),
        lambda value: cast("Change", downs[type(value)])(value),
    )


def _columns() -> Shape:
    """New values of columns have the types of the fields of an image; the database refuses names that are not there."""
    known = get_type_hints(Image)

    def down(value: dict[str, Any]) -> dict[str, Any]:
        return {name: msgspec.convert(item, known.get(name, Any)) for name, item in value.items()}

    return Shape(dict[str, Any], None, down)


#: Fields that say more than their types do.
_SPECIAL: dict[tuple[type, str], Shape] = {(ImageChange, "columns"): _columns()}
