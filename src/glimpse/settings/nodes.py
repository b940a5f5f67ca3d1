"""The node that this configuration is for, where nodes have staging areas of their own (imports-and-stores 2.14)."""

from __future__ import annotations

from glimpse.settings.model import Settings


def own_url(settings: Settings) -> str | None:
    """Return the URL at which other nodes reach this one, without a slash at the end; None if none is configured.

    Nodes that share a staging area have the same URL, or none. An object store is shared by all.
    """
    if settings.imports.staging_entry is not None:
        return None
    url = settings.imports.worker_self_reference_url or settings.api.public_endpoint
    return None if url is None else url.rstrip("/")
