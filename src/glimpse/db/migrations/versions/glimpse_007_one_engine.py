"""One table for all unfinished work: leases become jobs."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy import Connection
from sqlalchemy.dialects import mysql

from glimpse.db.migrations.steps import add_column, create_index, create_table

revision = "glimpse_007"
down_revision = "glimpse_006"

_SECONDS: sa.Double[float] = sa.Double()
_TEXT = sa.Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb")
_BYTES = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

_LEASE_COLUMNS = (
    "id", "image_id", "purpose", "owner", "generation", "expires_at", "store", "created_at", "project_id",
    "reserved_bytes",
)  # fmt: skip


def _table(name: str, columns: Iterable[str]) -> Any:
    made: list[sa.ColumnClause[Any]] = [sa.column(column) for column in columns]
    return sa.table(name, *made)


_LEASES = _table("glimpse_leases", _LEASE_COLUMNS)
_JOB_COLUMNS = (
    "id", "type", "status", "image_id", "unique_key", "stores", "input", "message", "steps", "attempt", "generation",
    "claimed_by", "due_at", "cancel_requested", "bytes_done", "created_at", "updated_at", "project_id",
    "reserved_bytes",
)  # fmt: skip
_JOBS = _table("glimpse_jobs", _JOB_COLUMNS)
_LOCATIONS = _table("image_locations", ("id", "image_id", "value", "meta_data", "status"))
_KINDS = {"upload": "upload", "delete": "image_deletion"}


def upgrade() -> None:
    """Extend ``glimpse_jobs``, insert a job for each lease, and drop ``glimpse_leases``."""
    add_column("glimpse_jobs", sa.Column("stores", _TEXT))
    add_column("glimpse_jobs", sa.Column("project_id", sa.String(255)))
    add_column("glimpse_jobs", sa.Column("reserved_bytes", _BYTES))
    create_index("ix_glimpse_jobs_project_id", "glimpse_jobs", "project_id")
    connection = op.get_bind()
    if sa.inspect(connection).has_table("glimpse_leases"):
        for lease in connection.execute(sa.select(_LEASES)).mappings().all():
            for job in _jobs_of(connection, dict(lease)):
                # of an interrupted run on MySQL
                connection.execute(sa.delete(_JOBS).where(_JOBS.c.id == job["id"]))
                connection.execute(sa.insert(_JOBS).values(job))
        op.drop_table("glimpse_leases")


def _jobs_of(connection: Connection, lease: dict[str, Any]) -> list[dict[str, Any]]:
    """The jobs that do what is unfinished under a lease. They keep its end, so recovery takes them after it."""
    kind = _KINDS.get(lease["purpose"])
    if kind is not None:
        # the id of an upload's lease names its unfinished data in the store
        return [_job(lease, lease["id"], kind, unique_key=f"{kind}:{lease['image_id']}", stores=lease["store"])]
    removed = sa.select(_LOCATIONS).where(
        _LOCATIONS.c.image_id == lease["image_id"], _LOCATIONS.c.status == "pending_delete"
    )
    made: list[dict[str, Any]] = []
    for location in connection.execute(removed).mappings():
        # encrypted or not, the URL has the same form in both places
        given = {"url": location["value"], "location_id": location["id"]}
        store = json.loads(location["meta_data"] or "{}").get("store")
        job_id = f"{lease['id'][:24]}-{location['id']:x}"
        made.append(_job(lease, job_id, "copy_removal", given=given, stores=store))
    return made


def _job(
    lease: dict[str, Any],
    job_id: str,
    kind: str,
    *,
    stores: str | None,
    unique_key: str | None = None,
    given: dict[str, Any] | None = None,
) -> dict[str, Any]:
    return {
        "id": job_id,
        "type": kind,
        "status": "running",
        "image_id": lease["image_id"],
        "unique_key": unique_key,
        # a deletion asks for the stores of its copies itself
        "stores": f",{stores}," if stores and kind != "image_deletion" else None,
        "input": json.dumps(given or {}),
        "message": "",
        "steps": "{}",
        "attempt": 1,
        "generation": lease["generation"],
        "claimed_by": lease["owner"],
        "due_at": lease["expires_at"],
        "cancel_requested": sa.false(),
        "bytes_done": 0,
        "created_at": lease["created_at"],
        "updated_at": lease["created_at"],
        "project_id": lease["project_id"],
        "reserved_bytes": lease["reserved_bytes"],
    }


def downgrade() -> None:
    """Create ``glimpse_leases`` anew and take its columns back; unfinished uploads and deletions become leases."""
    create_table(
        "glimpse_leases",
        sa.Column("id", sa.CHAR(32), primary_key=True),
        sa.Column("image_id", sa.String(36), nullable=False),
        sa.Column("purpose", sa.String(20), nullable=False),
        sa.Column("owner", sa.String(255), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("expires_at", _SECONDS, nullable=False),
        sa.Column("store", sa.String(255)),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("project_id", sa.String(255)),
        sa.Column("reserved_bytes", _BYTES),
        sa.UniqueConstraint("image_id", "purpose", name="uq_glimpse_leases_image_id_purpose"),
    )
    for column in ("expires_at", "owner", "project_id"):
        create_index(f"ix_glimpse_leases_{column}", "glimpse_leases", column)
    connection = op.get_bind()
    for purpose, kind in _KINDS.items():
        unfinished = sa.select(_JOBS).where(_JOBS.c.type == kind, _JOBS.c.due_at.is_not(None))
        for job in connection.execute(unfinished).mappings().all():
            store = (job["stores"] or "").strip(",") or None
            lease = {
                "id": job["id"].replace("-", ""), "image_id": job["image_id"], "purpose": purpose,
                "owner": job["claimed_by"] or "", "generation": job["generation"], "expires_at": job["due_at"],
                "store": store, "created_at": job["created_at"], "project_id": job["project_id"],
                "reserved_bytes": job["reserved_bytes"],
            }  # fmt: skip
            connection.execute(sa.insert(_LEASES).values(lease))
            connection.execute(sa.delete(_JOBS).where(_JOBS.c.id == job["id"]))
    op.drop_index("ix_glimpse_jobs_project_id", "glimpse_jobs")
    for column in ("reserved_bytes", "project_id", "stores"):
        op.drop_column("glimpse_jobs", column)
