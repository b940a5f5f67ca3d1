"""The default catalog: complete, documented, and unchanged after a round trip through the database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from glimpse.db import schema
from glimpse.db.sql.database import SqlDatabase
from glimpse.db.sql.engine import connect
from glimpse.domain.metadef import LoadMode, NamespaceContent
from glimpse.metadefs.document import content_of, document_of
from glimpse.metadefs.files import CATALOG, default_catalog, load_default_catalog, read_file, write_files
from glimpse.settings.model import DatabaseSettings


@pytest.fixture
def database(tmp_path: Path) -> Iterator[SqlDatabase]:
    engine = connect(DatabaseSettings(connection=f"sqlite:///{tmp_path / 'glimpse.sqlite'}"))
    schema.sync(engine)
    database = SqlDatabase(engine)
    yield database
    database.close()


def canonical(contents: list[NamespaceContent]) -> list[dict[str, Any]]:
    """The documents without what has no meaning: the order of namespaces and of lists of named things."""
    documents = [document_of(content) for content in contents]
    for document in documents:
        for key in ("resource_type_associations", "objects", "tags"):
            document[key] = sorted(document.get(key, []), key=lambda one: one["name"])
    return sorted(documents, key=lambda one: one["namespace"])


def definitions(contents: list[NamespaceContent]) -> list[dict[str, Any]]:
    found = [one.schema for content in contents for one in content.properties]
    for content in contents:
        for group in content.objects:
            found.extend((group.properties or {}).values())
    return found


def test_it_is_complete() -> None:
    contents = default_catalog()
    # metadefs 17.1, column of release 33.0.0
    assert len(contents) == 32
    assert sum(len(content.properties) for content in contents) == 134
    assert sum(len(content.objects) for content in contents) == 23
    assert sum(len(group.properties or {}) for content in contents for group in content.objects) == 63
    assert sum(len(content.tags) for content in contents) == 0
    assert sum(len(content.associations) for content in contents) == 61
    assert {one.name for content in contents for one in content.associations} == {
        "OS::Cinder::Volume", "OS::Glance::Image", "OS::Nova::Aggregate", "OS::Nova::Flavor", "OS::Nova::Server",
        "OS::Trove::Instance",
    }  # fmt: skip


def test_its_kinds_of_values() -> None:
    # metadefs 17.2, less the two definitions that 33.0.0 removed (both are texts)
    kinds = [definition["type"] for definition in definitions(default_catalog())]
    counts = {kind: kinds.count(kind) for kind in set(kinds)}
    assert counts == {"string": 138, "integer": 50, "boolean": 6, "array": 2, "number": 1}


def test_everything_is_described() -> None:
    for content in default_catalog():
        namespace = content.namespace
        assert namespace.display_name, namespace
        assert namespace.description, namespace
        assert len(namespace.display_name) <= 80
        assert len(namespace.description) <= 500, namespace.namespace
        for definition in definitions([content]):
            assert definition["title"]
            assert definition["description"].endswith("."), definition
            assert definition["description"] != definition["title"]


def test_who_sees_what() -> None:
    by_name = {content.namespace.namespace: content.namespace for content in default_catalog()}
    unset = {name for name, namespace in by_name.items() if namespace.visibility is None}
    assert unset == {"OS::Glance::CommonImageProperties", "OS::OperatingSystem"}
    unprotected = {name for name, namespace in by_name.items() if not namespace.protected}
    assert unprotected == {"OS::Compute::AggregateNumInstancesFilter", "OS::Glance::Signatures"}


def test_documents_and_records_are_the_same() -> None:
    for path in sorted(CATALOG.glob("*.json")):
        document = msgspec.json.decode(path.read_bytes())
        assert document_of(content_of(document)) == document, path.name


def test_the_export_is_what_was_loaded(database: SqlDatabase, tmp_path: Path) -> None:
    assert load_default_catalog(database) == 32
    exported = database.export_namespaces()
    assert canonical(exported) == canonical(default_catalog())

    written = write_files(tmp_path / "out", exported)
    assert len(set(written)) == 32
    again = [read_file(path) for path in written]
    database.unload_namespaces()
    for content in again:
        assert database.load_namespace(content, LoadMode.SKIP) == "created"
    assert canonical(database.export_namespaces()) == canonical(default_catalog())


def test_it_is_loaded_once(database: SqlDatabase) -> None:
    assert load_default_catalog(database) == 32
    assert load_default_catalog(database) == 0
