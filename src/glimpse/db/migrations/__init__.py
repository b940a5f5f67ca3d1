"""Revisions of Glimpse's own tables, run by alembic with the version table ``glimpse_version``."""
