"""Glimpse's own tables: named ``glimpse_*``, with a version table of their own (database 1).

Dropping them leaves a plain Glance database. They are created by the revisions in ``db/migrations``.
"""

from __future__ import annotations

import sqlalchemy as sa

from glimpse.db.sql.column_types import MYSQL_OPTIONS, BigInt, LongText, Seconds

own_metadata = sa.MetaData()

#: Which revision of ``db/migrations`` the own tables have; alembic writes it.
glimpse_version = sa.Table(
    "glimpse_version",
    own_metadata,
    sa.Column("version_num", sa.String(32), nullable=False),
    sa.PrimaryKeyConstraint("version_num", name="glimpse_version_pkc"),
)

#: Projects that have reserved something: a row is locked while the sums of its project are looked at.
projects = sa.Table(
    "glimpse_projects",
    own_metadata,
    sa.Column("id", sa.String(255), primary_key=True),
    **MYSQL_OPTIONS,
)

#: One row for each :class:`glimpse.domain.job.Job`. ``due_at`` is NULL once a job has ended, so an index over it
#: holds nothing but work; ``unique_key`` is NULL then, too. ``stores`` has a comma before and after each name, NULL for
#: no store. An upload or a stage reserves ``reserved_bytes`` of a quota of the project ``project_id``.
jobs = sa.Table(
    "glimpse_jobs",
    own_metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("type", sa.String(30), nullable=False),
    sa.Column("status", sa.String(20), nullable=False),
    sa.Column("owner", sa.String(255)),
    sa.Column("user_id", sa.String(64)),
    sa.Column("request_id", sa.String(64)),
    sa.Column("image_id", sa.String(36)),
    sa.Column("unique_key", sa.String(100)),
    sa.Column("stores", LongText),
    sa.Column("input", LongText, nullable=False),
    sa.Column("result", LongText),
    sa.Column("message", LongText, nullable=False),
    sa.Column("steps", LongText, nullable=False),
    sa.Column("attempt", sa.Integer(), nullable=False),
    sa.Column("generation", sa.Integer(), nullable=False),
    sa.Column("claimed_by", sa.String(255)),
    sa.Column("due_at", Seconds),
    sa.Column("cancel_requested", sa.Boolean(), nullable=False),
    sa.Column("bytes_done", BigInt, nullable=False),
    sa.Column("bytes_total", BigInt),
    sa.Column("created_at", sa.DateTime(), nullable=False),
    sa.Column("updated_at", sa.DateTime(), nullable=False),
    sa.Column("ended_at", sa.DateTime()),
    sa.Column("project_id", sa.String(255)),
    sa.Column("reserved_bytes", BigInt),
    sa.UniqueConstraint("unique_key", name="uq_glimpse_jobs_unique_key"),
    sa.Index("ix_glimpse_jobs_due_at", "due_at"),
    sa.Index("ix_glimpse_jobs_image_id", "image_id"),
    sa.Index("ix_glimpse_jobs_created_at", "created_at"),
    sa.Index("ix_glimpse_jobs_ended_at", "ended_at"),
    sa.Index("ix_glimpse_jobs_project_id", "project_id"),
    **MYSQL_OPTIONS,
)

#: Locations that clients added and whose data nobody has checked yet (``refusal`` NULL), or that a check refused. A
#: location without a row here is trusted: Glance recorded it, or the service wrote its data, or a check verified it.
unverified_locations = sa.Table(
    "glimpse_unverified_locations",
    own_metadata,
    sa.Column("location_id", sa.Integer(), primary_key=True, autoincrement=False),
    sa.Column("image_id", sa.String(36), nullable=False),
    sa.Column("refusal", LongText),
    sa.Column("created_at", sa.DateTime(), nullable=False),
    sa.Index("ix_glimpse_unverified_locations_image_id", "image_id"),
    **MYSQL_OPTIONS,
)
