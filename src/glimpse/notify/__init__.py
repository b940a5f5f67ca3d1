"""Telling the message bus and the log what happened to images (configuration 11)."""
