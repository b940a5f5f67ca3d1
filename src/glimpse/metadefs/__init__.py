"""Metadata definition files: reading, writing, and the default catalog."""
