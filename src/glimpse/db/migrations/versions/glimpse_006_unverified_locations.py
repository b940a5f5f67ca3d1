"""The table of locations that clients added and whose data are not checked yet."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

from glimpse.db.migrations.steps import create_index, create_table

revision = "glimpse_006"
down_revision = "glimpse_005"

_TEXT = sa.Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb")


def upgrade() -> None:
    """Create ``glimpse_unverified_locations``."""
    create_table(
        "glimpse_unverified_locations",
        sa.Column("location_id", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("image_id", sa.String(36), nullable=False),
        sa.Column("refusal", _TEXT),
        sa.Column("created_at", sa.DateTime(), nullable=False),
    )
    create_index("ix_glimpse_unverified_locations_image_id", "glimpse_unverified_locations", "image_id")


def downgrade() -> None:
    """Drop ``glimpse_unverified_locations``."""
    op.drop_table("glimpse_unverified_locations")
