"""The default catalog: definitions of keys for compute, block storage and images."""

from __future__ import annotations

from pathlib import Path

from glimpse.db.metadef_base import MetadefFiles
from glimpse.domain.metadef import LoadMode, NamespaceContent
from glimpse.metadefs.files import definition_files, read_file

#: The catalog's files in the package.
CATALOG = Path(__file__).parent / "catalog"


def default_catalog() -> list[NamespaceContent]:
    """Return all namespaces of the catalog, in file order."""
    return [read_file(path) for path in definition_files(CATALOG)]


def load_default_catalog(database: MetadefFiles) -> int:
    """Store the missing namespaces of the catalog; return how many were created."""
    done = [database.load_namespace(content, LoadMode.SKIP) for content in default_catalog()]
    return done.count("created")
