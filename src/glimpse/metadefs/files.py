"""Definition files on disk: one JSON document for each namespace (metadefs 12; configuration 13.1.1)."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

import msgspec

from glimpse.db.metadef_base import MetadefFiles
from glimpse.domain.metadef import LoadMode, Namespace, NamespaceContent
from glimpse.metadefs.document import DefinitionFileError, content_of, document_of

_NOT_IN_FILE_NAMES = re.compile(r"[\W_]+")


def definition_files(path: Path) -> list[Path]:
    """Return the file itself, or the files of a directory that end in ``.json``, in name order.

    :raises DefinitionFileError: the path does not exist, or the directory has no such files.
    """
    try:
        if not path.is_dir():
            path.stat()
            return [path]
        found = sorted(one for one in path.iterdir() if one.suffix == ".json" and one.is_file())
    except OSError as error:
        raise DefinitionFileError(f"{path}: cannot be read: {error.strerror}") from error
    if not found:
        raise DefinitionFileError(f"{path}: this directory has no .json files")
    return found


def read_file(path: Path) -> NamespaceContent:
    """Read the namespace from a file.

    :raises DefinitionFileError: it cannot be read or is invalid; the message names the file and the place.
    """
    try:
        document = msgspec.json.decode(path.read_bytes())
        return content_of(document)
    except OSError as error:
        raise DefinitionFileError(f"{path}: cannot be read: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DefinitionFileError(f"{path}: is not JSON: {error}") from error
    except DefinitionFileError as error:
        raise DefinitionFileError(f"{path}: {error}") from error


def write_files(directory: Path, contents: Sequence[NamespaceContent]) -> list[Path]:
    """Write a file for each namespace, overwriting existing ones; create the directory if it is missing.

    :raises DefinitionFileError: a file or the directory cannot be written.
    """
    names = file_names([content.namespace for content in contents])
    written: list[Path] = []
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, content in zip(names, contents, strict=True):
            path = directory / name
            temporary = directory / f".{name}.new"
            temporary.write_text(json.dumps(document_of(content), indent=2, ensure_ascii=False) + "\n", "utf-8")
            temporary.replace(path)
            written.append(path)
    except OSError as error:
        raise DefinitionFileError(f"{error.filename or directory}: cannot be written: {error.strerror}") from error
    return written


def file_names(namespaces: Sequence[Namespace]) -> list[str]:
    """Choose a file name for each: letters and digits of the display name, as in Glance, or of the namespace's name.

    Glance writes namespaces with the same display name to the same file. Here these, and names that differ only in
    case, get the namespace's name and, if that is not unique either, a number.
    """
    names: list[str] = []
    taken: set[str] = set()
    for namespace in namespaces:
        for stem in _stems(namespace, len(namespaces)):
            if stem.casefold() not in taken:
                taken.add(stem.casefold())
                names.append(f"{stem}.json")
                break
    return names


def _stems(namespace: Namespace, count: int) -> list[str]:
    shown = _NOT_IN_FILE_NAMES.sub("", namespace.display_name or "")
    own = _NOT_IN_FILE_NAMES.sub("", namespace.namespace) or "namespace"
    return [*([shown] if shown else []), own, *(f"{own}{number}" for number in range(2, count + 2))]


# ------------------------------------- The default catalog: definitions of keys for compute, block storage and images

#: The catalog's files in the package.
CATALOG = Path(__file__).parent / "catalog"


def default_catalog() -> list[NamespaceContent]:
    """Return all namespaces of the catalog, in file order."""
    return [read_file(path) for path in definition_files(CATALOG)]


def load_default_catalog(database: MetadefFiles) -> int:
    """Store the missing namespaces of the catalog; return how many were created."""
    done = [database.load_namespace(content, LoadMode.SKIP) for content in default_catalog()]
    return done.count("created")
