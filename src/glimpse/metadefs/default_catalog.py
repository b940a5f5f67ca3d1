"""The catalog that comes with the service: what the keys of compute, block storage and images mean."""

from __future__ import annotations

from pathlib import Path

from glimpse.db.metadef_base import MetadefFiles
from glimpse.domain.metadef import LoadMode, NamespaceContent
from glimpse.metadefs.files import definition_files, read_file

#: Its files, in the package.
CATALOG = Path(__file__).parent / "catalog"


def default_catalog() -> list[NamespaceContent]:
    """All namespaces of the catalog, in the order of their files."""
    return [read_file(path) for path in definition_files(CATALOG)]


def load_default_catalog(database: MetadefFiles) -> int:
    """Store the namespaces of the catalog that are not there yet; returns how many were created."""
    done = [database.load_namespace(content, LoadMode.SKIP) for content in default_catalog()]
    return done.count("created")
