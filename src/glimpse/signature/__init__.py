"""Verification of image signatures (imports-and-stores 8.1)."""
