"""Notifications about images on the message bus and in the log (configuration 11)."""
