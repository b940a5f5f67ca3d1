"""Rows of metadata definitions: Glance can read Glimpse's, and Glimpse can read Glance's (metadefs 15)."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest

from glimpse.db.records import Viewer
from glimpse.db.sql.metadef_tables import (
    metadef_namespace_resource_types,
    metadef_namespaces,
    metadef_objects,
    metadef_properties,
    metadef_resource_types,
    metadef_tags,
)
from glimpse.domain.listing import SortKey
from glimpse.domain.metadef import (
    MetadefObject,
    MetadefProperty,
    MetadefTag,
    Namespace,
    NamespaceContent,
    NamespaceQuery,
    ResourceTypeAssociation,
    TagQuery,
)
from glimpse.errors import Duplicate, Forbidden, Invalid, NotFound
from tests.contract.db.backends import Backend
from tests.contract.db.examples import ADMIN, NOBODY, OWNER, STRANGER
from tests.contract.db.test_concurrency import together

DEFINITION = {"type": "string", "title": "Größe", "default": None}


def namespace(name: str = "n", **fields: Any) -> Namespace:
    return Namespace(namespace=name, **{"owner": "project-a", **fields})


def content(name: str = "n", **fields: Any) -> NamespaceContent:
    """A namespace with something of each kind."""
    return NamespaceContent(
        namespace=namespace(name, **fields),
        associations=(
            ResourceTypeAssociation(name="OS::Nova::Flavor", prefix="hw:"), ResourceTypeAssociation(name="OS::Image"),
        ),
        properties=(MetadefProperty(name="p", schema=DEFINITION), MetadefProperty(name="P2", schema=DEFINITION)),
        objects=(
            MetadefObject(name="o", description="d", required=("a", "b"), properties={"a": DEFINITION}),
            MetadefObject(name="empty"),
        ),
        tags=(MetadefTag(name="t1"), MetadefTag(name="t2")),
    )  # fmt: skip


@pytest.fixture
def one(backend: Backend) -> Backend:
    """A database with a namespace ``n`` without content."""
    backend.database.create_namespace(NamespaceContent(namespace=namespace()))
    return backend


def names(backend: Backend, viewer: Viewer = ADMIN, **query: Any) -> list[str]:
    return [found.namespace.namespace for found in backend.database.list_namespaces(NamespaceQuery(**query), viewer)]


def test_rows_that_glance_can_read(backend: Backend) -> None:
    """metadefs 15; database 1.6 and 7.7."""
    created = backend.database.create_namespace(content())
    [row] = backend.rows(metadef_namespaces)
    assert (row["owner"], row["visibility"], row["protected"], row["display_name"]) == (
        "project-a",
        "private",
        False,
        None,
    )
    assert row["created_at"] == row["updated_at"] == created.namespace.created_at
    full, empty = backend.rows(metadef_objects)
    assert (full["required"], empty["required"], empty["json_schema"]) == ("a,b", None, "{}")
    expected = '{"type": "string", "title": "Gr\\u00f6\\u00dfe", "default": null}'
    assert full["json_schema"] == f'{{"a": {expected}}}'
    assert [one["json_schema"] for one in backend.rows(metadef_properties)] == [expected, expected]
    assert [one["name"] for one in backend.rows(metadef_tags)] == ["t1", "t2"]
    types = {one["id"]: one for one in backend.rows(metadef_resource_types)}
    assert {one["protected"] for one in types.values()} == {False}
    associated = {types[one["resource_type_id"]]["name"]: one for one in backend.rows(metadef_namespace_resource_types)}
    assert associated["OS::Nova::Flavor"]["prefix"] == "hw:"
    assert associated["OS::Image"]["prefix"] is None
    for table in (metadef_properties, metadef_objects, metadef_tags, metadef_resource_types):
        assert all(one["updated_at"] == one["created_at"] is not None for one in backend.rows(table))


def test_what_is_created_is_read_back(backend: Backend) -> None:
    created = backend.database.create_namespace(content())
    read = backend.database.get_content("n")
    assert read.namespace == created.namespace
    assert read.properties == created.properties
    assert [found.name for found in read.objects] == ["o", "empty"]
    assert read.objects[0] == created.objects[0]
    assert [tag.name for tag in read.tags] == ["t2", "t1"]
    assert {found.name for found in read.associations} == {"OS::Nova::Flavor", "OS::Image"}


def test_rows_of_glances_loader(one: Backend) -> None:
    """metadefs 12.2, 12.3 and 15."""
    [row] = one.rows(metadef_namespaces)
    loaded = {"namespace_id": row["id"], "created_at": row["created_at"], "updated_at": None}
    one.execute(metadef_namespaces.update().values(updated_at=None, visibility=None, protected=None))
    one.execute(metadef_objects.insert().values(name="o", json_schema="null", **loaded))
    raw = {"type": "boolean", "title": "T", "default": True, "enum": [1]}
    one.execute(metadef_properties.insert().values(name="p", json_schema=json.dumps(raw), **loaded))
    read = one.database.get_content("n")
    assert (read.namespace.visibility, read.namespace.protected, read.namespace.updated_at) == (None, False, None)
    assert (read.objects[0].properties, read.objects[0].required, read.objects[0].updated_at) == ({}, (), None)
    assert read.properties[0].schema == raw


def test_who_sees_which_namespaces(backend: Backend) -> None:
    """metadefs 4.1; database 8.4."""
    create = backend.database.create_namespace
    for name, fields in (
        ("private", {}), ("public", {"visibility": "public"}), ("other", {"owner": "project-b"}),
        ("loaded", {"visibility": None, "owner": "admin"}),
    ):  # fmt: skip
        create(NamespaceContent(namespace=namespace(name, **fields)))
    seen = {
        "admin": (ADMIN, {"private", "public", "other", "loaded"}), "owner": (OWNER, {"private", "public"}),
        "stranger": (STRANGER, {"public", "other"}), "nobody": (NOBODY, {"public"}),
    }  # fmt: skip
    for viewer, expected in seen.values():
        assert set(names(backend, viewer)) == expected
        for name in ("private", "public", "other", "loaded"):
            if name in expected:
                assert backend.database.get_namespace(name, viewer).namespace == name
            else:
                with pytest.raises(NotFound):
                    backend.database.get_namespace(name, viewer)
    with pytest.raises(Forbidden):
        names(backend, OWNER, marker="other")
    with pytest.raises(NotFound):
        names(backend, OWNER, marker="unknown")


def test_a_creation_that_fails_leaves_nothing(backend: Backend) -> None:
    """metadefs 7: Glance leaves parts behind."""
    good = content()
    twice = MetadefTag(name="t1")
    broken = NamespaceContent(
        namespace=good.namespace, associations=good.associations, properties=good.properties, objects=good.objects,
        tags=(*good.tags, twice),
    )  # fmt: skip
    with pytest.raises(Duplicate):
        backend.database.create_namespace(broken)
    for table in (metadef_namespaces, metadef_properties, metadef_objects, metadef_tags, metadef_resource_types):
        assert backend.rows(table) == []
    backend.database.create_namespace(good)
    with pytest.raises(Duplicate):
        backend.database.create_namespace(good)


@pytest.mark.parametrize("fields", [
    {"namespace": "n" * 81}, {"namespace": "\U0001f600"}, {"namespace": "n", "display_name": "d" * 81},
    {"namespace": "n", "owner": "o" * 256}, {"namespace": "n", "description": "ä" * 40000},
    {"namespace": "nul\0"},
])  # fmt: skip
def test_namespaces_that_do_not_fit(one: Backend, fields: dict[str, Any]) -> None:
    wrong = Namespace(**{"owner": "o", **fields})
    with pytest.raises(Invalid):
        one.database.create_namespace(NamespaceContent(namespace=wrong))
    with pytest.raises(Invalid):
        one.database.update_namespace("n", wrong)
    assert len(one.rows(metadef_namespaces)) == 1


@pytest.mark.parametrize("item", [
    MetadefTag(name="t" * 81), MetadefTag(name="\U0001f600"), MetadefProperty(name="p" * 81, schema={}),
    MetadefProperty(name="p", schema={"title": "x" * 70000}), MetadefObject(name="o", required=("\U0001f600",)),
    MetadefObject(name="o", properties={"\U0001f600": {}}), MetadefObject(name="o", description="x" * 70000),
])  # fmt: skip
def test_items_that_do_not_fit(one: Backend, item: Any) -> None:
    with pytest.raises(Invalid):
        one.database.add_item("n", item)
    assert one.database.list_items("n", type(item)) == []


ITEMS = [
    (MetadefTag(name="a"), MetadefTag(name="b")),
    (MetadefProperty(name="a", schema={"type": "string"}), MetadefProperty(name="b", schema={"type": "array"})),
    (MetadefObject(name="a", required=("x",), description="d", properties={"x": {}}), MetadefObject(name="b")),
]


@pytest.mark.parametrize(("first", "second"), ITEMS)
def test_the_life_of_an_item(one: Backend, first: Any, second: Any) -> None:
    database, kind = one.database, type(first)
    added = database.add_item("n", first)
    assert added.created_at == added.updated_at
    assert database.list_items("n", kind) == [added] == [database.get_item("n", kind, "a")]
    with pytest.raises(Duplicate):
        database.add_item("n", first)
    database.add_item("n", second)
    with pytest.raises(Duplicate):
        database.replace_item("n", "b", first)
    renamed = type(first)(**{**{field: getattr(second, field) for field in second.__struct_fields__}, "name": "c"})
    before, after = database.replace_item("n", "a", renamed)
    assert before == added
    assert (after.name, after.created_at) == ("c", added.created_at)
    assert database.get_item("n", kind, "c").updated_at == after.updated_at
    with pytest.raises(NotFound):
        database.replace_item("n", "a", renamed)
    with pytest.raises(NotFound):
        database.remove_item("n", kind, "a")
    assert database.remove_item("n", kind, "c").name == "c"
    database.clear_items("n", kind)
    assert database.list_items("n", kind) == []
    database.clear_items("n", kind)


def test_protection(one: Backend) -> None:
    """metadefs 4.4: nothing can be deleted, all else can be done; what is not there is not found."""
    database = one.database
    database.create_namespace(content("kept", protected=True))
    for attempt in (
        lambda: database.delete_namespace("kept"), lambda: database.clear_items("kept", MetadefTag),
        lambda: database.remove_item("kept", MetadefTag, "t1"),
        lambda: database.remove_association("kept", "OS::Image"),
    ):  # fmt: skip
        with pytest.raises(Forbidden):
            attempt()
    for attempt in (
        lambda: database.remove_item("kept", MetadefTag, "none"), lambda: database.remove_association("kept", "none"),
        lambda: database.delete_namespace("none"),
    ):  # fmt: skip
        with pytest.raises(NotFound):
            attempt()
    database.add_tags("kept", ["new"], append=False)
    assert [tag.name for tag in database.list_items("kept", MetadefTag)] == ["new"]


def test_deletion_takes_all_but_resource_types(backend: Backend) -> None:
    backend.database.create_namespace(content())
    backend.database.delete_namespace("n")
    for table in (
        metadef_namespaces, metadef_properties, metadef_objects, metadef_tags, metadef_namespace_resource_types,
    ):  # fmt: skip
        assert backend.rows(table) == []
    assert len(backend.database.list_resource_types()) == 2


def test_associations(one: Backend) -> None:
    added = one.database.add_association("n", ResourceTypeAssociation(name="R", prefix=""))
    assert one.database.list_associations("n") == [added]
    with pytest.raises(Duplicate):
        one.database.add_association("n", ResourceTypeAssociation(name="R"))
    with pytest.raises(NotFound):
        # compared exactly, also by MySQL (metadefs 5.5)
        one.database.remove_association("n", "r")
    assert one.database.remove_association("n", "R") == added
    assert one.database.list_associations("n") == []
    assert [found.name for found in one.database.list_resource_types()] == ["R"]


def test_bulk_tags(one: Backend) -> None:
    """metadefs 9."""
    database = one.database
    database.add_tags("n", ["a", "b"], append=False)
    database.add_tags("n", ["c"], append=True)
    for wrong in (["d", "d"], ["d", "a"]):
        with pytest.raises(Duplicate):
            database.add_tags("n", wrong, append=True)
    with pytest.raises(Duplicate):
        database.add_tags("n", ["x", "x"], append=False)
    assert [tag.name for tag in database.list_items("n", MetadefTag)] == ["a", "b", "c"]
    database.add_tags("n", ["a", "z"], append=False)
    assert [tag.name for tag in database.list_tags("n", TagQuery())] == ["z", "a"]
    assert [tag.name for tag in database.list_tags("n", TagQuery(limit=1))] == ["z"]
    assert [tag.name for tag in database.list_tags("n", TagQuery(marker="z"))] == ["a"]
    assert database.list_tags("n", TagQuery(limit=0)) == []
    with pytest.raises(NotFound):
        database.list_tags("n", TagQuery(marker="none"))


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("column", ["visibility", "protected", "display_name", "updated_at", "description"])
def test_pages_over_null(backend: Backend, column: str, descending: bool) -> None:
    """metadefs 6.1: Glance loses rows."""
    for number in range(6):
        fields = {"display_name": None if number % 3 else f"d{number}", "description": None if number % 2 else "d"}
        backend.database.create_namespace(NamespaceContent(namespace=namespace(f"n{number}", **fields)))
    loaded = metadef_namespaces.update().where(metadef_namespaces.c.namespace.in_(["n1", "n4"]))
    backend.execute(loaded.values(visibility=None, protected=None, updated_at=None))
    order = (SortKey(column, descending), SortKey("created_at", descending), SortKey("id", descending))
    whole = names(backend, order=order)
    assert len(whole) == 6
    paged: list[str] = []
    while page := names(backend, order=order, limit=2, marker=paged[-1] if paged else None):
        paged += page
    assert paged == whole


def test_statements(one: Backend) -> None:
    """A page of namespaces takes three statements at most, however many there are."""
    template = one.rows(metadef_namespaces)[0]
    rows = [{**template, "id": 1000 + number, "namespace": f"many{number}"} for number in range(500)]
    one.execute(metadef_namespaces.insert(), rows)
    one.database.create_namespace(content("full"))
    query = NamespaceQuery(limit=1000, marker="many0", resource_types=("OS::Image",), visibility="private")
    for asked in (query, NamespaceQuery(limit=1000, marker="n"), NamespaceQuery(limit=1000)):
        with one.counting() as run:
            found = one.database.list_namespaces(asked, ADMIN)
        assert len(run) <= 3, run
    assert len(found) == 502
    with one.counting() as run:
        one.database.get_content("full")
    assert len(run) == 5


def outcomes(results: list[Any]) -> tuple[int, int]:
    failed = [result for result in results if isinstance(result, Duplicate)]
    others = [result for result in results if isinstance(result, Exception) and not isinstance(result, Duplicate)]
    assert others == []
    return len(results) - len(failed), len(failed)


def test_one_of_many_creates(one: Backend) -> None:
    """One succeeds and the others are duplicates, whatever they create."""
    database = one.database
    for turn in range(3):
        full = content(f"full{turn}")
        assert outcomes(together([lambda full=full: database.create_namespace(full)] * 6)) == (1, 5)
        for kind in ITEMS:
            item = type(kind[0])(**{**{f: getattr(kind[0], f) for f in kind[0].__struct_fields__}, "name": f"i{turn}"})
            assert outcomes(together([lambda item=item: database.add_item("n", item)] * 6)) == (1, 5)
        association = ResourceTypeAssociation(name=f"R{turn}")
        assert outcomes(together([lambda a=association: database.add_association("n", a)] * 6)) == (1, 5)
        tags = [f"t{turn}", f"u{turn}"]
        assert outcomes(together([lambda tags=tags: database.add_tags("n", tags, append=True)] * 6)) == (1, 5)


def test_namespaces_created_together_share_new_resource_types(backend: Backend) -> None:
    """Nobody is refused because somebody else creates the same resource type."""
    for turn in range(3):
        types = [ResourceTypeAssociation(name=f"R{turn}-{number}") for number in range(4)]
        contents = [
            NamespaceContent(namespace=namespace(f"n{turn}-{number}"), associations=tuple(types[::step]))
            for number, step in enumerate((1, -1, 1, -1, 1, -1))
        ]
        assert outcomes(together([lambda c=c: backend.database.create_namespace(c) for c in contents])) == (6, 0)
    assert len(backend.rows(metadef_resource_types)) == 12


def test_adding_against_deleting(one: Backend) -> None:
    """However they meet, nothing of a deleted namespace stays, and nobody meets a failure of the database."""
    database = one.database
    for turn in range(5):
        database.create_namespace(content(f"gone{turn}"))
        results = together(
            [
                *[lambda turn=turn, i=i: database.add_item(f"gone{turn}", MetadefTag(name=f"x{i}")) for i in range(4)],
                lambda turn=turn: database.delete_namespace(f"gone{turn}"),
            ]
        )
        assert all(isinstance(result, (MetadefTag, NotFound)) for result in results[:4]), results
        assert results[4] is None
    assert one.rows(metadef_tags) == []


def test_what_is_not_there(backend: Backend) -> None:
    database = backend.database
    for name in ("none", "\U0001f600", "nul\0", "n" * 300):
        for attempt in (
            lambda name=name: database.get_namespace(name, ADMIN), lambda name=name: database.get_content(name),
            lambda name=name: database.update_namespace(name, namespace()),
            lambda name=name: database.delete_namespace(name), lambda name=name: database.list_associations(name),
            lambda name=name: database.add_association(name, ResourceTypeAssociation(name="r")),
            lambda name=name: database.list_items(name, MetadefTag),
            lambda name=name: database.add_item(name, MetadefTag(name="t")),
            lambda name=name: database.add_tags(name, ["t"], append=True),
            lambda name=name: database.get_item(name, MetadefTag, "t"),
        ):  # fmt: skip
            with pytest.raises(NotFound):
                attempt()
    assert database.list_namespaces(NamespaceQuery(resource_types=("\U0001f600",)), ADMIN) == []
    assert database.list_namespaces(NamespaceQuery(visibility="nul\0"), ADMIN) == []


def test_times_are_kept_as_the_database_keeps_them(one: Backend) -> None:
    added = one.database.add_item("n", MetadefTag(name="t"))
    assert isinstance(added.created_at, datetime)
    assert added.created_at == one.as_kept(added.created_at)
    assert one.database.get_item("n", MetadefTag, "t") == added


def test_spellings(one: Backend) -> None:
    """MySQL's unique keys take names that differ in case for the same (metadefs 14, quirk 21); nobody is given one
    for the other."""
    database = one.database
    other = NamespaceContent(namespace=namespace("N"))
    if one.kind != "mysql":
        database.create_namespace(other)
        return
    with pytest.raises(Duplicate):
        database.create_namespace(other)
    with pytest.raises(NotFound):
        database.get_namespace("N", ADMIN)
    database.update_namespace("n", namespace("N"))
    assert database.get_namespace("N", ADMIN).namespace == "N"
    database.add_association("N", ResourceTypeAssociation(name="Réal"))
    with pytest.raises(Duplicate):
        database.add_association("N", ResourceTypeAssociation(name="real"))
    assert [found.name for found in database.list_resource_types()] == ["Réal"]
