"""Run by alembic: revisions use the connection from ``db/schema.py``, in its transaction."""

from alembic import context

from glimpse.db.sql.own_tables import glimpse_version, own_metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=own_metadata,
    version_table=glimpse_version.name,
)
with context.begin_transaction():
    context.run_migrations()
