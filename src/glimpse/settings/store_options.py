"""The options of store drivers, built from each driver's options struct."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol, cast

import msgspec
from msgspec import inspect

from glimpse.settings import checks
from glimpse.settings.model import Secret
from glimpse.settings.options import Kind, Option


class DescribedDriver(Protocol):
    """What the settings know of a store driver: the struct of its options, and its URI schemes."""

    @property
    def options(self) -> type[msgspec.Struct]:
        """The struct whose fields are the options, with their defaults and descriptions."""
        ...

    @property
    def schemes(self) -> tuple[str, ...]:
        """URI schemes of the locations that it reads."""
        ...

    @property
    def durable(self) -> bool:
        """Whether the data outlive the process."""
        ...

    @property
    def stages(self) -> bool:
        """Whether data can be staged in its stores."""
        ...


#: The store drivers by kind.
Drivers = Mapping[str, DescribedDriver]

#: Written in octal digits (store-formats 5.5).
OCTAL = frozenset({"filesystem_store_file_perm"})
#: Options given as repeated lines instead of one list.
REPEATED = frozenset({"filesystem_store_datadirs", "vmware_datastores"})
_SECRET_ENDINGS = ("password", "secret", "token", "_key")


def driver_options(driver: type[msgspec.Struct], section: str) -> tuple[Option, ...]:
    """Return the options of one driver in ``section``."""
    described = cast("inspect.StructType", inspect.type_info(driver))
    return tuple(_option(field, section) for field in described.fields)


def store_section(drivers: Drivers, kinds: Iterable[str], section: str) -> tuple[Option, ...]:
    """Return all options that ``section`` may have for stores of ``kinds``."""
    known = dict.fromkeys(kind for kind in kinds if kind in drivers)
    return tuple(option for kind in known for option in driver_options(drivers[kind].options, section))


def identity_options(store_id: str) -> tuple[Option, Option]:
    """Return the options of a named store besides those of its driver (store-formats 2.1)."""
    return (
        Option(section=store_id, name="store_description", kind="string", help="Shown by store discovery."),
        Option(
            section=store_id, name="weight", kind="integer", help="Locations in stores of higher weight come first.",
        ),
    )  # fmt: skip


def _option(field: inspect.Field, section: str) -> Option:
    plain, secret, description = _unwrap(field.type)
    name = field.encode_name
    octal = name in OCTAL
    kind: Kind = "string" if octal else "multi" if name in REPEATED else _kind(plain)
    return Option(
        section=section,
        name=name,
        kind=kind,
        help=description,
        minimum=getattr(plain, "ge", None) if not octal else None,
        maximum=getattr(plain, "le", None) if not octal else None,
        choices=tuple(plain.values) if isinstance(plain, inspect.LiteralType) else (),  # pyright: ignore[reportArgumentType]  # literals of options are texts
        secret=secret or name.endswith(_SECRET_ENDINGS),
        check=checks.octal if octal else None,
    )


def _unwrap(described: inspect.Type) -> tuple[inspect.Type, bool, str]:
    """Return the type without ``| None`` and annotations, whether it is secret, and its description."""
    description = ""
    while True:
        if isinstance(described, inspect.Metadata):
            remarks = cast("dict[str, Any]", described.extra_json_schema or {})
            description = str(remarks.get("description", description))
            described = described.type
        elif isinstance(described, inspect.UnionType):
            described = next(part for part in described.types if not isinstance(part, inspect.NoneType))
        else:
            break
    secret = isinstance(described, inspect.CustomType) and described.cls is Secret
    return described, secret, description


def _kind(described: inspect.Type) -> Kind:
    match described:
        case inspect.BoolType():
            return "boolean"
        case inspect.IntType():
            return "integer"
        case inspect.FloatType():
            return "number"
        case inspect.VarTupleType() | inspect.ListType():
            return "list"
        case inspect.DictType():
            return "map"
        case _:
            return "string"


def parsed(name: str, value: Any) -> Any:
    """Convert a driver option to the type of its struct."""
    return int(str(value), 8) if name in OCTAL else value
