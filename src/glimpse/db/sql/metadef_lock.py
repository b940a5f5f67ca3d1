"""Locking of a namespace's row, which every writer in the namespace locks first."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import Connection

from glimpse.db.sql.exact_comparison import equals
from glimpse.db.sql.metadef_tables import metadef_namespaces
from glimpse.db.sql.texts import storable
from glimpse.errors import Forbidden, NotFound

_COLUMNS = metadef_namespaces.c
_ROW = sa.select(_COLUMNS.id, _COLUMNS.protected).where(
    equals(_COLUMNS.namespace, sa.bindparam("of_name", type_=sa.String()))
)
_LOCK = _ROW.with_for_update()


def no_such_namespace(name: str) -> NotFound:
    """Build the error for a namespace that does not exist or must look so."""
    return NotFound(f"There is no metadata namespace {name}.")


def namespace_id(connection: Connection, name: str) -> int:
    """:raises NotFound: no such namespace."""
    row = connection.execute(_ROW, {"of_name": name}).fetchone() if storable(name) else None
    if row is None:
        raise no_such_namespace(name)
    return row[0]


def locked(connection: Connection, name: str) -> tuple[int, bool]:
    """Lock a namespace; return its id and whether it is protected, both fixed until the transaction ends.

    :raises NotFound: no such namespace.
    """
    row = connection.execute(_LOCK, {"of_name": name}).fetchone() if storable(name) else None
    if row is None:
        raise no_such_namespace(name)
    return row[0], bool(row[1])


def require_unprotected(name: str, *, protected: bool) -> None:
    """:raises Forbidden: the namespace is protected."""
    if protected:
        raise Forbidden(f"The metadata namespace {name} is protected: nothing in it can be deleted.")
