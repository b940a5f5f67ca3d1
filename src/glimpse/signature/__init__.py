"""Verifying the signatures of images (spec 02, section 8.1)."""
