"""The leases on unfinished operations."""

import sqlalchemy as sa
from alembic import op

from glimpse.db.migrations.steps import create_index, create_table

revision = "glimpse_001"
down_revision = None


_SECONDS: sa.Double[float] = sa.Double()


def upgrade() -> None:
    """Create ``glimpse_leases``."""
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
        sa.UniqueConstraint("image_id", "purpose", name="uq_glimpse_leases_image_id_purpose"),
    )
    create_index("ix_glimpse_leases_expires_at", "glimpse_leases", "expires_at")
    create_index("ix_glimpse_leases_owner", "glimpse_leases", "owner")


def downgrade() -> None:
    """Drop ``glimpse_leases``."""
    op.drop_table("glimpse_leases")
