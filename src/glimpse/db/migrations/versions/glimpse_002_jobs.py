"""The table of jobs."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

from glimpse.db.migrations.steps import create_index, create_table

revision = "glimpse_002"
down_revision = "glimpse_001"


_SECONDS: sa.Double[float] = sa.Double()
_TEXT = sa.Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb")
_BYTES = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create ``glimpse_jobs``."""
    create_table(
        "glimpse_jobs",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("type", sa.String(30), nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("owner", sa.String(255)),
        sa.Column("user_id", sa.String(64)),
        sa.Column("request_id", sa.String(64)),
        sa.Column("image_id", sa.String(36)),
        sa.Column("unique_key", sa.String(100)),
        sa.Column("input", _TEXT, nullable=False),
        sa.Column("result", _TEXT),
        sa.Column("message", _TEXT, nullable=False),
        sa.Column("steps", _TEXT, nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("claimed_by", sa.String(255)),
        sa.Column("due_at", _SECONDS),
        sa.Column("cancel_requested", sa.Boolean(), nullable=False),
        sa.Column("bytes_done", _BYTES, nullable=False),
        sa.Column("bytes_total", _BYTES),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("updated_at", sa.DateTime(), nullable=False),
        sa.Column("ended_at", sa.DateTime()),
        sa.UniqueConstraint("unique_key", name="uq_glimpse_jobs_unique_key"),
    )
    for column in ("due_at", "image_id", "created_at", "ended_at"):
        create_index(f"ix_glimpse_jobs_{column}", "glimpse_jobs", column)


def downgrade() -> None:
    """Drop ``glimpse_jobs``."""
    op.drop_table("glimpse_jobs")
