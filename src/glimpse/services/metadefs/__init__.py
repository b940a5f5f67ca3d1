"""Use cases of metadata definitions (metadefs)."""
