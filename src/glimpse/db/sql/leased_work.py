"""Work on an image that a lease protects: uploads claimed, finished or given up, and the leases themselves.

A lease is taken over by compare-and-set, and dropped only by the generation that holds it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection, Engine
from sqlalchemy.dialects import mysql, postgresql, sqlite

from glimpse.db.base_records import Lease
from glimpse.db.sql.column_types import Seconds
from glimpse.db.sql.exact_comparison import equals
from glimpse.db.sql.images import status_and_protection
from glimpse.db.sql.locations import INSERT_LOCATIONS, NEW_LOCATION, mark_all_deleted, write_metadata
from glimpse.db.sql.own_tables import leases
from glimpse.db.sql.properties import drop_properties, set_properties
from glimpse.db.sql.reading import fits, require_image_id
from glimpse.db.sql.row_state import is_live
from glimpse.db.sql.tables import images
from glimpse.db.sql.texts import TEXT_BYTES, UNSTORABLE, require_properties
from glimpse.db.sql.transaction import read, stamp, write
from glimpse.db.sql.usage import reserve
from glimpse.domain.allowance import Allowance
from glimpse.domain.image import Location, StoredData
from glimpse.domain.properties import FAILED_UPLOAD
from glimpse.domain.status import Status
from glimpse.errors import Conflict, Gone, Invalid, LeaseLost

_COLUMNS = leases.c
_FIELDS = (
    _COLUMNS.id,
    _COLUMNS.image_id,
    _COLUMNS.purpose,
    _COLUMNS.owner,
    _COLUMNS.generation,
    _COLUMNS.expires_at,
    _COLUMNS.store,
)

#: This very lease, as long as nobody took it over; parameters of :func:`held`.
HELD = sa.and_(
    _COLUMNS.id == sa.bindparam("lease_id", type_=sa.String()),
    equals(_COLUMNS.owner, sa.bindparam("lease_owner", type_=sa.String())),
    _COLUMNS.generation == sa.bindparam("lease_generation", type_=sa.Integer()),
)

_DROP_HELD = sa.delete(leases).where(HELD)
_RENEW = (
    sa.update(leases)
    .where(
        _COLUMNS.id.in_(sa.bindparam("ids", expanding=True)),
        equals(_COLUMNS.owner, sa.bindparam("of_owner", type_=sa.String())),
    )
    .values(expires_at=sa.bindparam("until", type_=Seconds))
)
_EXPIRED = (
    sa.select(*_FIELDS)
    .where(_COLUMNS.expires_at < sa.bindparam("moment", type_=Seconds))
    .order_by(_COLUMNS.expires_at, _COLUMNS.id)
    .limit(sa.bindparam("at_most", type_=sa.Integer()))
)
_TAKE = (
    sa.update(leases)
    .where(HELD, _COLUMNS.expires_at == sa.bindparam("expired_at", type_=Seconds))
    .values(
        owner=sa.bindparam("new_owner", type_=sa.String()),
        expires_at=sa.bindparam("until", type_=Seconds),
        generation=_COLUMNS.generation + 1,
    )
)
_COUNT = sa.select(_COLUMNS.purpose, sa.func.count()).group_by(_COLUMNS.purpose)


def require_lease(lease: Lease) -> None:
    """Check the texts of a new lease.

    :raises Invalid: one does not fit its column.
    """
    store = lease.store or ""
    if len(lease.id) != 32 or max(len(lease.owner), len(store)) > 255 or len(lease.purpose) > 20:
        raise Invalid("A lease has an id of 32 characters, a short purpose, and short names of its owner and store.")
    if UNSTORABLE.search(f"{lease.id}{lease.purpose}{lease.owner}{store}"):
        raise Invalid("A lease has characters that cannot be stored.")


def lease_row(lease: Lease, moment: datetime) -> dict[str, Any]:
    """The new row of a lease."""
    return {**msgspec.structs.asdict(lease), "created_at": moment}


def held(lease: Lease) -> dict[str, Any]:
    """Parameters of :data:`HELD`."""
    return {"lease_id": lease.id, "lease_owner": lease.owner, "lease_generation": lease.generation}


def drop_held(connection: Connection, lease: Lease) -> bool:
    """Drop the lease; False when it is not this owner's generation any more."""
    return connection.execute(_DROP_HELD, held(lease)).rowcount == 1


_LARGEST = 2**63 - 1

#: What an upload knows of its data, and a cancelled one forgets.
DATA_COLUMNS = ("size", "virtual_size", "checksum", "os_hash_algo", "os_hash_value")


def _leave(status: str) -> Any:
    return sa.update(images).where(
        images.c.id == sa.bindparam("image_id", type_=sa.String()),
        is_live(images),
        images.c.status == sa.literal_column(f"'{status}'", sa.String()),
    )


_MOMENT = sa.bindparam("moment", type_=sa.DateTime())
_HOLDS_LEASE = sa.exists().where(HELD)

_CLAIM = _leave("queued").values(status="saving", updated_at=_MOMENT)
_CLAIM_AS = _CLAIM.where(
    images.c.disk_format == sa.bindparam("of_disk_format", type_=sa.String()),
    images.c.container_format == sa.bindparam("of_container_format", type_=sa.String()),
)
_ACTIVATE = (
    _leave("saving")
    .where(_HOLDS_LEASE)
    .values(
        status="active",
        updated_at=_MOMENT,
        **{name: sa.bindparam(f"new_{name}", type_=images.c[name].type) for name in DATA_COLUMNS},
    )
)
_RETURN = (
    _leave("saving")
    .where(_HOLDS_LEASE)
    .values(status="queued", updated_at=_MOMENT, **dict.fromkeys(DATA_COLUMNS, sa.null()))
)


def _record_over(insert: Any, new: str) -> Any:
    # A lease that is left from an earlier upload is stale once the image was queued again: its holder is fenced.
    row = getattr(insert, new)
    fields = {column.name: row[column.name] for column in leases.c if column.name not in {"image_id", "purpose"}}
    if new == "inserted":
        return insert.on_duplicate_key_update(fields)
    return insert.on_conflict_do_update(index_elements=["image_id", "purpose"], set_=fields)


_RECORD = {
    "sqlite": _record_over(sqlite.insert(leases), "excluded"),
    "postgresql": _record_over(postgresql.insert(leases), "excluded"),
    "mysql": _record_over(mysql.insert(leases), "inserted"),
}


def begin_upload(
    connection: Connection,
    image_id: str,
    lease: Lease,
    formats: tuple[str | None, str | None] | None,
    allowance: Allowance | None,
    reserved: int,
) -> None:
    """See :meth:`glimpse.db.base.Database.begin_upload`."""
    moment = stamp(connection)
    claim, parameters = _CLAIM, {"image_id": image_id, "moment": moment}
    if formats is not None:
        claim = _CLAIM_AS
        parameters |= {"of_disk_format": formats[0], "of_container_format": formats[1]}
    if not connection.execute(claim, parameters).rowcount:
        status, _ = status_and_protection(connection, image_id)
        if status is Status.QUEUED:
            raise Conflict("The formats of the image were changed while the upload began; send the data again.")
        raise Conflict(f"The image is {status}; data are taken only while it is queued.")
    row = lease_row(lease, moment)
    if allowance is not None:
        row["project_id"] = allowance.project_id
        row["reserved_bytes"] = reserve(connection, allowance, reserved, reserved, image_id=image_id)
    connection.execute(_RECORD[connection.dialect.name], row)


def finish_upload(
    connection: Connection, lease: Lease, data: StoredData, drop: tuple[str, ...], *, drop_locations: bool
) -> datetime:
    """See :meth:`glimpse.db.base.Database.finish_upload`."""
    moment = stamp(connection)
    parameters: dict[str, Any] = {f"new_{name}": getattr(data, name) for name in DATA_COLUMNS}
    parameters |= held(lease)
    parameters |= {"image_id": lease.image_id, "moment": moment}
    # The lease is asked for twice: on PostgreSQL the condition of the UPDATE may see it as it was before another
    # process took it, the DELETE waits for that process.
    activated = connection.execute(_ACTIVATE, parameters).rowcount
    if not drop_held(connection, lease):
        raise LeaseLost("Another process took the upload over, because this one was not heard of for too long.")
    if not activated:
        raise Gone("The image was deleted, or its upload was given up, while data were moving.")
    if drop_locations:
        mark_all_deleted(connection, lease.image_id, moment)
    connection.execute(INSERT_LOCATIONS, _location_row(lease.image_id, data.location, moment))
    if drop:
        drop_properties(connection, lease.image_id, drop, moment)
    return moment


def _location_row(image_id: str, location: Location, moment: datetime) -> dict[str, Any]:
    # what a store has just made: its URL is short, its metadata mostly empty
    if UNSTORABLE.search(location.url) or len(location.url) * 3 > TEXT_BYTES:
        raise Invalid("The URL of a location is too long, or has characters that cannot be stored.")
    metadata = write_metadata(location) if location.metadata else "{}"
    return {
        **NEW_LOCATION,
        "image_id": image_id,
        "value": location.url,
        "meta_data": metadata,
        "created_at": moment,
        "updated_at": moment,
    }


def require_data(data: StoredData) -> None:
    """Check sizes and digests of new data.

    :raises Invalid: one does not fit its column.
    """
    digests = (data.checksum, data.os_hash_algo, data.os_hash_value)
    if UNSTORABLE.search("".join(digests)) or any(
        len(text) > most for text, most in zip(digests, (32, 64, 128), strict=True)
    ):
        raise Invalid("The digests of the data do not fit their columns.")
    if not 0 <= data.size <= _LARGEST or not 0 <= (data.virtual_size or 0) <= _LARGEST:
        raise Invalid(f"The size of the data is not between 0 and {_LARGEST} bytes.")


def cancel_upload(connection: Connection, lease: Lease, reason: str | None) -> bool:
    """See :meth:`glimpse.db.base.Database.cancel_upload`.

    :raises LeaseLost: instead of returning False without any change.
    """
    moment = stamp(connection)
    parameters = {**held(lease), "image_id": lease.image_id, "moment": moment}
    returned = connection.execute(_RETURN, parameters).rowcount == 1
    if not drop_held(connection, lease):
        raise LeaseLost("The lease is another process's.")
    if returned and reason is not None:
        set_properties(connection, lease.image_id, {FAILED_UPLOAD: reason}, moment)
    return returned


def renew_leases(connection: Connection, owner: str, lease_ids: Sequence[str], expires_at: float) -> int:
    """See :meth:`glimpse.db.base.Database.renew_leases`."""
    return connection.execute(_RENEW, {"ids": list(lease_ids), "of_owner": owner, "until": expires_at}).rowcount


def expired_leases(connection: Connection, now: float, limit: int) -> list[Lease]:
    """See :meth:`glimpse.db.base.Database.expired_leases`."""
    rows = connection.execute(_EXPIRED, {"moment": now, "at_most": limit})
    return [
        Lease(
            id=row[0],
            image_id=row[1],
            purpose=row[2],
            owner=row[3],
            generation=row[4],
            expires_at=row[5],
            store=row[6],
        )
        for row in rows
    ]


def take_lease(connection: Connection, lease: Lease, owner: str, expires_at: float) -> Lease | None:
    """See :meth:`glimpse.db.base.Database.take_lease`."""
    parameters = {**held(lease), "expired_at": lease.expires_at, "new_owner": owner, "until": expires_at}
    if connection.execute(_TAKE, parameters).rowcount != 1:
        return None
    return Lease(
        id=lease.id,
        image_id=lease.image_id,
        purpose=lease.purpose,
        owner=owner,
        generation=lease.generation + 1,
        expires_at=expires_at,
        store=lease.store,
    )


def count_leases(connection: Connection) -> dict[str, int]:
    """See :meth:`glimpse.db.base.Database.count_leases`."""
    return {row[0]: row[1] for row in connection.execute(_COUNT)}


class LeasedWork:
    """The part of the database that is about uploads and leases."""

    _engine: Engine

    def begin_upload(
        self,
        image_id: str,
        lease: Lease,
        *,
        formats: tuple[str | None, str | None] | None = None,
        allowance: Allowance | None = None,
        reserve: int = 1,
    ) -> None:
        """See the protocol: 2 statements; with an ``allowance`` 3, and 4 on servers."""
        require_image_id(image_id)
        require_lease(lease)
        write(self._engine, begin_upload, image_id, lease, formats, allowance, reserve)

    def finish_upload(
        self, lease: Lease, data: StoredData, *, drop_properties: tuple[str, ...] = (), drop_locations: bool = False
    ) -> datetime:
        """See the protocol: 3 statements, and 1 each for ``drop_properties`` and ``drop_locations``."""
        require_data(data)
        if not fits(lease.image_id):
            raise Gone("The image does not exist.")
        return write(self._engine, finish_upload, lease, data, drop_properties, drop_locations=drop_locations)

    def cancel_upload(self, lease: Lease, *, reason: str | None = None) -> bool:
        """See the protocol: 2 statements, 3 with a reason."""
        if reason is not None:
            require_properties({FAILED_UPLOAD: reason})
        try:
            return write(self._engine, cancel_upload, lease, reason)
        except LeaseLost:
            return False

    def renew_leases(self, owner: str, lease_ids: Sequence[str], expires_at: float) -> int:
        """See the protocol: 1 statement."""
        return read(self._engine, renew_leases, owner, lease_ids, expires_at)

    def expired_leases(self, now: float, *, limit: int = 100) -> list[Lease]:
        """See the protocol: 1 statement."""
        return read(self._engine, expired_leases, now, limit)

    def take_lease(self, lease: Lease, owner: str, expires_at: float) -> Lease | None:
        """See the protocol: 1 statement."""
        require_lease(msgspec.structs.replace(lease, owner=owner))
        return read(self._engine, take_lease, lease, owner, expires_at)

    def count_leases(self) -> dict[str, int]:
        """See the protocol: 1 statement."""
        return read(self._engine, count_leases)
