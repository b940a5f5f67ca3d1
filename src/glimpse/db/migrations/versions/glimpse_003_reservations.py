"""The quota that running uploads have reserved."""

import sqlalchemy as sa
from alembic import op

from glimpse.db.migrations.steps import add_column, create_index, create_table

revision = "glimpse_003"
down_revision = "glimpse_002"

_BYTES = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add two columns to ``glimpse_leases``, create ``glimpse_projects``."""
    add_column("glimpse_leases", sa.Column("project_id", sa.String(255)))
    add_column("glimpse_leases", sa.Column("reserved_bytes", _BYTES))
    create_index("ix_glimpse_leases_project_id", "glimpse_leases", "project_id")
    create_table(
        "glimpse_projects",
        sa.Column("id", sa.String(255), primary_key=True),
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_table("glimpse_projects")
    op.drop_index("ix_glimpse_leases_project_id", "glimpse_leases")
    op.drop_column("glimpse_leases", "reserved_bytes")
    op.drop_column("glimpse_leases", "project_id")
