"""Room for running uploads, kept in their leases; see ``db/base_usage.py``."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import Connection, Engine

from glimpse.db.base_records import Lease
from glimpse.db.sql.leased_work import HELD, held
from glimpse.db.sql.own_tables import leases
from glimpse.db.sql.transaction import write
from glimpse.db.sql.usage import reserve
from glimpse.domain.allowance import Allowance
from glimpse.errors import LeaseLost

_SET = sa.update(leases).where(HELD).values(reserved_bytes=sa.bindparam("granted", type_=leases.c.reserved_bytes.type))


def extend(connection: Connection, lease: Lease, allowance: Allowance, needed: int, wished: int) -> int:
    """See :meth:`glimpse.db.base_usage.UsageDatabase.extend_reservation`."""
    granted = reserve(connection, allowance, needed, wished, image_id=lease.image_id, lease_id=lease.id)
    if connection.execute(_SET, {**held(lease), "granted": granted}).rowcount != 1:
        raise LeaseLost("Another process took the upload over, because this one was not heard of for too long.")
    return granted


class Reservations:
    """The part of the database that reserves room."""

    _engine: Engine

    def extend_reservation(self, lease: Lease, allowance: Allowance, needed: int, wished: int) -> int:
        """See the protocol: 2 statements, 3 on servers."""
        return write(self._engine, extend, lease, allowance, needed, wished)
