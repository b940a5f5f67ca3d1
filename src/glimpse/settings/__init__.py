"""The configuration: one frozen, typed tree, read once at start."""
