"""Metadata definitions: who may see and do what with namespaces and what is in them (metadefs)."""
