"""Loading whole namespaces, with each mode for existing ones, and exporting them (metadefs 12)."""

from __future__ import annotations

from typing import Any

import pytest

from glimpse.db.sql.metadef_tables import (
    metadef_namespace_resource_types,
    metadef_namespaces,
    metadef_objects,
    metadef_properties,
    metadef_resource_types,
    metadef_tags,
)
from glimpse.domain.metadef import (
    LoadMode,
    MetadefObject,
    MetadefProperty,
    MetadefTag,
    Namespace,
    NamespaceContent,
    ResourceTypeAssociation,
)
from glimpse.errors import Duplicate, Invalid
from tests.contract.db.backends import Backend

TABLES = (
    metadef_namespaces, metadef_properties, metadef_objects, metadef_tags, metadef_namespace_resource_types,
    metadef_resource_types,
)  # fmt: skip


def content(version: str, *names: str, **fields: Any) -> NamespaceContent:
    """One of each kind for each name, all of them of ``version``."""
    return NamespaceContent(
        namespace=Namespace(**{"namespace": "n", "display_name": version, "visibility": "public", **fields}),
        associations=tuple(ResourceTypeAssociation(name=name, prefix=version) for name in names),
        properties=tuple(MetadefProperty(name=name, schema={"title": version}) for name in names),
        objects=tuple(
            MetadefObject(name=name, description=version, required=("r",), properties={"p": {"title": version}})
            for name in names
        ),
        tags=tuple(MetadefTag(name=name) for name in names),
    )


def versions(backend: Backend) -> dict[str, set[str]]:
    """Which versions each name has now, over all kinds that have a version."""
    [exported] = backend.database.export_namespaces()
    found: dict[str, set[str]] = {"n": {exported.namespace.display_name or "-"}}
    for association in exported.associations:
        found.setdefault(association.name, set()).add(association.prefix or "-")
    for one in exported.properties:
        found.setdefault(one.name, set()).add(one.schema["title"])
    for group in exported.objects:
        found.setdefault(group.name, set()).update((group.description or "-", (group.properties or {})["p"]["title"]))
    assert {tag.name for tag in exported.tags} == set(found) - {"n"}
    return found


@pytest.mark.parametrize("mode", LoadMode)
def test_a_new_namespace(backend: Backend, mode: LoadMode) -> None:
    assert backend.database.load_namespace(content("old", "b", "a"), mode) == "created"
    assert versions(backend) == {"n": {"old"}, "a": {"old"}, "b": {"old"}}
    [row] = backend.rows(metadef_namespaces)
    assert row["owner"] == "admin"
    for table in TABLES:
        assert all(one["updated_at"] is None and one["created_at"] for one in backend.rows(table)), table.name
    assert all(one["protected"] for one in backend.rows(metadef_resource_types))


def test_what_a_file_does_not_say_is_null(backend: Backend) -> None:
    bare = NamespaceContent(namespace=Namespace(namespace="n", visibility=None, owner="o"))
    backend.database.load_namespace(bare, LoadMode.SKIP)
    [row] = backend.rows(metadef_namespaces)
    assert (row["visibility"], row["display_name"], row["owner"]) == (None, None, "o")


@pytest.mark.parametrize(
    ("mode", "done", "after"),
    [
        (LoadMode.SKIP, "skipped", {"n": {"old"}, "a": {"old"}, "b": {"old"}}),
        (LoadMode.MERGE, "merged", {"n": {"old"}, "a": {"old"}, "b": {"old"}, "c": {"new"}}),
        (LoadMode.PREFER_NEW, "merged", {"n": {"new"}, "a": {"old"}, "b": {"new"}, "c": {"new"}}),
        (LoadMode.OVERWRITE, "overwritten", {"n": {"new"}, "b": {"new"}, "c": {"new"}}),
    ],
)
def test_a_namespace_that_exists(backend: Backend, mode: LoadMode, done: str, after: dict[str, set[str]]) -> None:
    """metadefs 12.2: of the old ``a`` and ``b``, the file has ``b``, and ``c``. Protection does not count."""
    backend.database.load_namespace(content("old", "a", "b", protected=True), LoadMode.SKIP)
    assert backend.database.load_namespace(content("new", "b", "c"), mode) == done
    assert versions(backend) == after


def test_preferring_the_new_touches_what_it_changes(backend: Backend) -> None:
    backend.database.load_namespace(content("old", "a", "b"), LoadMode.SKIP)
    backend.database.load_namespace(
        content("new", "b", protected=True, owner=None, visibility=None, description=None), LoadMode.PREFER_NEW
    )
    [row] = backend.rows(metadef_namespaces)
    assert (row["visibility"], row["protected"], row["owner"]) == (None, True, "admin")
    assert row["updated_at"] is not None
    for table in (metadef_properties, metadef_objects, metadef_tags, metadef_resource_types):
        changed = {one["name"] for one in backend.rows(table) if one["updated_at"] is not None}
        assert changed == {"b"}, table.name
    newer = MetadefObject(name="b", required=("other",), properties={"p": {"title": "x"}})
    backend.database.load_namespace(
        NamespaceContent(namespace=Namespace(namespace="n"), objects=(newer,)), LoadMode.PREFER_NEW
    )
    # files do not say what is required
    assert [one["required"] for one in backend.rows(metadef_objects)] == ["r", "r"]


def test_a_load_that_fails_changes_nothing(backend: Backend) -> None:
    backend.database.load_namespace(content("old", "a"), LoadMode.SKIP)
    with pytest.raises(Duplicate):
        backend.database.load_namespace(content("new", "b", "c", "b"), LoadMode.OVERWRITE)
    with pytest.raises(Invalid):
        backend.database.load_namespace(content("new", "b", "c" * 81), LoadMode.PREFER_NEW)
    assert versions(backend) == {"n": {"old"}, "a": {"old"}}


def test_what_is_exported_loads_to_the_same(backend: Backend) -> None:
    for name in ("z", "n", "a"):
        loaded = content(name, "b", "a", namespace=name)
        backend.database.load_namespace(loaded, LoadMode.SKIP)
    exported = backend.database.export_namespaces()
    assert [one.namespace.namespace for one in exported] == ["a", "n", "z"]
    assert [one.name for one in exported[0].properties] == ["a", "b"]
    assert backend.database.export_namespaces(["z", "none"]) == exported[2:]
    assert backend.database.unload_namespaces() == 3
    for table in TABLES:
        assert backend.rows(table) == [], table.name
    assert backend.database.export_namespaces() == []
    for one in exported:
        backend.database.load_namespace(one, LoadMode.MERGE)
    again = backend.database.export_namespaces()
    assert [_timeless(one) for one in again] == [_timeless(one) for one in exported]


def _timeless(loaded: NamespaceContent) -> str:
    parts = (loaded.associations, loaded.properties, loaded.objects, loaded.tags)
    return repr([
        {field: getattr(one, field) for field in one.__struct_fields__ if field not in {"created_at", "updated_at"}}
        for one in (loaded.namespace, *(one for part in parts for one in part))
    ])  # fmt: skip
