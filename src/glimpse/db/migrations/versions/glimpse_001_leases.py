"""The leases on unfinished operations."""

import sqlalchemy as sa
from alembic import op

revision = "glimpse_001"
down_revision = None


_SECONDS: sa.Double[float] = sa.Double()


def upgrade() -> None:
    """Create ``glimpse_leases``."""
    op.create_table(
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
        mysql_engine="InnoDB",
        mysql_charset="utf8",
    )
    op.create_index("ix_glimpse_leases_expires_at", "glimpse_leases", ["expires_at"])
    op.create_index("ix_glimpse_leases_owner", "glimpse_leases", ["owner"])


def downgrade() -> None:
    """Drop ``glimpse_leases``."""
    op.drop_table("glimpse_leases")
