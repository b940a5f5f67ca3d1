"""What can be wrong with definition files."""

from __future__ import annotations

from glimpse.errors import Invalid


class DefinitionFileError(Invalid):
    """A definition file cannot be read or written, or does not say what it must; the message names file and place."""
