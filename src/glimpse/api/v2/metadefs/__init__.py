"""The API of metadata definitions (metadefs)."""
