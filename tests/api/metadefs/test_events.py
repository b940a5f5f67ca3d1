"""The notifications of each use case (metadefs 11)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from glimpse.api.v2.metadefs.bodies import content_from
from glimpse.context import Context
from glimpse.domain.metadef import MetadefObject, MetadefProperty, MetadefTag, Namespace, ResourceTypeAssociation
from glimpse.errors import Duplicate
from glimpse.services.deps import Deps
from glimpse.services.metadefs import items, namespaces, resource_types, tags
from tests.api.metadefs.examples import RACK, Metadefs

CALLER = Context(request_id="req-1", project_id="p1", roles=frozenset({"admin"}), is_admin=True)


@dataclass
class Kept:
    """A notifier that keeps what it is told."""

    told: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def enabled(self, event: str) -> bool:
        return event != "metadef_tag.delete"

    def emit(self, event: str, payload: Mapping[str, object] | str, *, error: bool = False) -> None:
        assert not error
        assert isinstance(payload, Mapping)
        self.told.append((event.removeprefix("metadef_"), dict(payload)))

    def taken(self) -> list[tuple[str, str, object]]:
        """Event, name and old name of each, and nothing is kept any more."""
        told, self.told = self.told, []
        return [
            (event, payload.get("name", payload["namespace"]), payload.get("name_old", payload.get("namespace_old")))
            for event, payload in told
        ]


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def deps(metadefs: Metadefs, kept: Kept) -> Deps:
    return replace(metadefs.wire.service.deps, notifier=kept)


def test_what_is_told(deps: Deps, kept: Kept) -> None:
    namespaces.create_namespace(deps, CALLER, content_from(RACK, "p1"))
    assert kept.taken() == [
        ("namespace.create", "Acme::Rack", None),
        ("resource_type.create", "OS::Nova::Flavor", None),
        ("resource_type.create", "OS::Cinder::Volume", None),
        ("object.create", "Power", None),
        ("tag.create", "dc", None),
        ("tag.create", "rack", None),
        ("property.create", "zone", None),
        ("property.create", "spare", None),
    ]
    namespaces.update_namespace(deps, CALLER, "Acme::Rack", Namespace(namespace="n", owner="p1"))
    for item in (MetadefTag(name="x"), MetadefObject(name="x"), MetadefProperty(name="x", schema={"type": "string"})):
        items.add_item(deps, CALLER, "n", item)
        renamed = replace_name(item)
        items.replace_item(deps, CALLER, "n", "x", renamed)
        items.remove_item(deps, CALLER, "n", type(item), "y")
        items.clear_items(deps, CALLER, "n", type(item))
    assert kept.taken() == [
        ("namespace.update", "n", "Acme::Rack"),
        ("tag.create", "x", None), ("tag.update", "y", "x"), ("namespace.delete_tags", "n", None),
        ("object.create", "x", None), ("object.update", "y", "x"), ("object.delete", "y", None),
        ("namespace.delete_objects", "n", None),
        ("property.create", "x", None), ("property.update", "y", "x"), ("property.delete", "y", None),
        ("namespace.delete_properties", "n", None),
    ]  # fmt: skip
    resource_types.associate(deps, CALLER, "n", ResourceTypeAssociation(name="R"))
    resource_types.dissociate(deps, CALLER, "n", "R")
    tags.add_tag(deps, CALLER, "n", "one")
    tags.add_tags(deps, CALLER, "n", ["two", "three"], False)
    namespaces.delete_namespace(deps, CALLER, "n")
    deleted = kept.told[-1][1]
    assert (deleted["deleted"], bool(deleted["deleted_at"])) == (True, True)
    assert kept.taken() == [
        ("resource_type.create", "R", None), ("resource_type.delete", "R", None), ("tag.create", "one", None),
        ("tag.create", "two", None), ("tag.create", "three", None), ("namespace.delete", "n", None),
    ]  # fmt: skip


def replace_name(item: Any) -> Any:
    return type(item)(**{**{name: getattr(item, name) for name in item.__struct_fields__}, "name": "y"})


def test_nothing_is_told_of_what_fails(deps: Deps, kept: Kept) -> None:
    """Glance tells of a namespace whose creation fails, and of its removal (metadefs 11)."""
    twice = {"namespace": "n", "tags": [{"name": "t"}, {"name": "t"}]}
    with pytest.raises(Duplicate):
        namespaces.create_namespace(deps, CALLER, content_from(twice, "p1"))
    assert kept.told == []


def test_objects_with_items_are_told_of(deps: Deps, kept: Kept) -> None:
    """metadefs 11: Glance loses the event, and sends defaults as lists of bytes."""
    definition = {"title": "T", "type": "array", "items": {"type": "string"}, "default": "x"}
    document = {"namespace": "n", "objects": [{"name": "o", "properties": {"p": definition}}]}
    namespaces.create_namespace(deps, CALLER, content_from(document, "p1"))
    [told] = kept.told[1][1]["properties"]
    assert (told["items"], told["default"], told["name"]) == ({"type": "string"}, "x", "p")
