"""Telling the message bus and the log what happened to images (spec 06, section 11)."""
