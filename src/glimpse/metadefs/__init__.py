"""Metadata definitions as files: reading and writing them, and the catalog that comes with the service."""
