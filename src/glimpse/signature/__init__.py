"""Verifying the signatures of images (imports-and-stores 8.1)."""
