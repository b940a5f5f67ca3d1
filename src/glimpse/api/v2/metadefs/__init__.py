"""The API of metadata definitions (spec 03)."""
