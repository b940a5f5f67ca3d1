"""Errors of definition files."""

from __future__ import annotations

from glimpse.errors import Invalid


class DefinitionFileError(Invalid):
    """A definition file cannot be read or written, or is invalid; the message names the file and the place."""
