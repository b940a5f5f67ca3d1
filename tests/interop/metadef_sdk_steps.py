"""What a program does with the metadata definitions of openstacksdk; run as ``sdk_steps.py`` is.

Each step makes a namespace of its own and removes it. The last one sees to it that no method of the client is left out.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from openstack.image.v2._proxy import Proxy
from sdk_steps import main, refused, step

ZONE = {"title": "Zone", "type": "string", "enum": ["a", "b"]}


@contextmanager
def namespace(cloud: Any, **fields: Any) -> Generator[Any]:
    """A public namespace that is removed at the end."""
    name = f"Acme::Sdk::{uuid.uuid4().hex[:8]}"
    made = cloud.image.create_metadef_namespace(namespace=name, visibility="public", **fields)
    yield made
    cloud.image.delete_metadef_namespace(made, ignore_missing=False)
    refused(404, lambda: cloud.image.get_metadef_namespace(name))


@step
def namespaces_are_made_shown_and_removed(cloud: Any, place: Path) -> None:
    with namespace(cloud, display_name="Rack", description="D") as made:
        shown = cloud.image.get_metadef_namespace(made.namespace)
        assert (shown.display_name, shown.description) == ("Rack", "D")
        assert (shown.visibility, shown.is_protected) == ("public", False)
        assert shown.created_at
        refused(409, lambda: cloud.image.create_metadef_namespace(namespace=made.namespace))
    cloud.image.delete_metadef_namespace(made.namespace)
    refused(404, lambda: cloud.image.delete_metadef_namespace(made.namespace, ignore_missing=False))


@step
def namespaces_are_listed_page_by_page(cloud: Any, place: Path) -> None:
    with namespace(cloud) as made:
        names = [found.namespace for found in cloud.image.metadef_namespaces()]
        assert made.namespace in names
        assert len(set(names)) == len(names) > 20
        for limit in (1, 7, 1000):
            assert [found.namespace for found in cloud.image.metadef_namespaces(limit=limit)] == names
        of_flavors = [found.namespace for found in cloud.image.metadef_namespaces(resource_types="OS::Nova::Flavor")]
        assert 0 < len(of_flavors) < len(names)
        assert made.namespace not in of_flavors
        assert list(cloud.image.metadef_namespaces(visibility="private")) == []


@step
def an_update_replaces_the_namespace(cloud: Any, place: Path) -> None:
    with namespace(cloud, display_name="Rack", description="D") as made:
        cloud.image.update_metadef_namespace(made.namespace, description="E", visibility="public", is_protected=True)
        shown = cloud.image.get_metadef_namespace(made.namespace)
        assert (shown.description, shown.is_protected, shown.display_name) == ("E", True, None)
        refused(403, lambda: cloud.image.delete_metadef_namespace(made.namespace))
        cloud.image.update_metadef_namespace(made.namespace, is_protected=False)
        shown = cloud.image.get_metadef_namespace(made.namespace)
        assert (shown.is_protected, shown.visibility) == (False, "private")


@step
def tags_of_a_namespace(cloud: Any, place: Path) -> None:
    with namespace(cloud) as made:

        def tags() -> set[str]:
            return {
                tag["name"] for tag in cloud.image.get(f"/metadefs/namespaces/{made.namespace}/tags").json()["tags"]
            }

        for tag in ("one", "two", "three"):
            cloud.image.add_tag_to_metadef_namespace(made.namespace, tag)
        assert tags() == {"one", "two", "three"}
        cloud.image.remove_tag_from_metadef_namespace(made.namespace, "two")
        assert tags() == {"one", "three"}
        refused(404, lambda: cloud.image.remove_tag_from_metadef_namespace(made.namespace, "two"))
        held = cloud.image.get_metadef_namespace(made.namespace)
        held.set_tags(cloud.image, ["four"], append=True)
        assert tags() == {"one", "three", "four"}
        held.set_tags(cloud.image, ["five", "six"])
        assert tags() == {"five", "six"}
        cloud.image.remove_tags_from_metadef_namespace(made.namespace)
        assert tags() == set()


@step
def objects(cloud: Any, place: Path) -> None:
    with namespace(cloud) as made:
        created = cloud.image.create_metadef_object(
            made.namespace, name="Power", description="D", required=["zone"], properties={"zone": ZONE}
        )
        assert created.name == "Power"
        shown = cloud.image.get_metadef_object("Power", made.namespace)
        assert (shown.description, shown.required, list(shown.properties)) == ("D", ["zone"], ["zone"])
        refused(409, lambda: cloud.image.create_metadef_object(made.namespace, name="Power"))
        cloud.image.update_metadef_object("Power", made.namespace, name="Feeds", description="E")
        assert [found.name for found in cloud.image.metadef_objects(made.namespace)] == ["Feeds"]
        # what changed is all that is sent, and an object without a name is none (metadefs 13.2)
        refused(400, lambda: cloud.image.update_metadef_object("Feeds", made.namespace, description="F"))
        cloud.image.delete_metadef_object("Feeds", made.namespace)
        refused(404, lambda: cloud.image.get_metadef_object("Feeds", made.namespace))
        for name in ("a", "b"):
            cloud.image.create_metadef_object(made.namespace, name=name)
        cloud.image.delete_all_metadef_objects(made.namespace)
        assert list(cloud.image.metadef_objects(made.namespace)) == []


@step
def properties(cloud: Any, place: Path) -> None:
    with namespace(cloud) as made:
        cloud.image.create_metadef_property(made.namespace, name="zone", **ZONE)
        shown = cloud.image.get_metadef_property("zone", made.namespace)
        assert (shown.name, shown.title, shown.type, shown.enum) == ("zone", "Zone", "string", ["a", "b"])
        refused(409, lambda: cloud.image.create_metadef_property(made.namespace, name="zone", **ZONE))
        cloud.image.update_metadef_property(shown, made.namespace, name="zone", title="Area", type="string")
        assert cloud.image.get_metadef_property("zone", made.namespace).title == "Area"
        assert [found.name for found in cloud.image.metadef_properties(made.namespace)] == ["zone"]
        cloud.image.delete_metadef_property("zone", made.namespace, ignore_missing=False)
        refused(404, lambda: cloud.image.get_metadef_property("zone", made.namespace))
        for name in ("a", "b"):
            cloud.image.create_metadef_property(made.namespace, name=name, **ZONE)
        cloud.image.delete_all_metadef_properties(made.namespace)
        assert list(cloud.image.metadef_properties(made.namespace)) == []


@step
def resource_types(cloud: Any, place: Path) -> None:
    with namespace(cloud) as made:
        cloud.image.create_metadef_resource_type_association(
            made.namespace, name="OS::Nova::Flavor", prefix="x:", properties_target="image"
        )
        cloud.image.create_metadef_resource_type_association(made.namespace, name="Acme::Shelf")
        found = {one.name: one for one in cloud.image.metadef_resource_type_associations(made.namespace)}
        assert set(found) == {"OS::Nova::Flavor", "Acme::Shelf"}
        assert found["OS::Nova::Flavor"].prefix == "x:"
        assert found["OS::Nova::Flavor"].properties_target == "image"
        again = {"name": "Acme::Shelf"}
        refused(409, lambda: cloud.image.create_metadef_resource_type_association(made.namespace, **again))
        cloud.image.create_metadef_property(made.namespace, name="zone", **ZONE)
        # the client's own method takes no ``resource_type`` although its signature has room for it
        path = f"/metadefs/namespaces/{made.namespace}/properties/x:zone?resource_type=OS::Nova::Flavor"
        assert cloud.image.get(path).json()["title"] == "Zone"
        cloud.image.delete_metadef_resource_type_association("OS::Nova::Flavor", made.namespace, ignore_missing=False)
        assert [one.name for one in cloud.image.metadef_resource_type_associations(made.namespace)] == ["Acme::Shelf"]
        assert {one.name for one in cloud.image.metadef_resource_types()} >= {"OS::Nova::Flavor", "Acme::Shelf"}


@step
def schemas(cloud: Any, place: Path) -> None:
    for shown, name in (
        (cloud.image.get_metadef_namespace_schema(), "namespace"),
        (cloud.image.get_metadef_namespaces_schema(), "namespaces"),
        (cloud.image.get_metadef_object_schema(), "object"),
        (cloud.image.get_metadef_objects_schema(), "objects"),
        (cloud.image.get_metadef_property_schema(), "property"),
        (cloud.image.get_metadef_properties_schema(), "properties"),
        (cloud.image.get_metadef_resource_type_schema(), "resource_type_association"),
        (cloud.image.get_metadef_resource_types_schema(), "resource_type_associations"),
        (cloud.image.get_metadef_tag_schema(), "tag"),
        (cloud.image.get_metadef_tags_schema(), "tags"),
    ):
        assert shown.name == name, (shown.name, name)
        assert shown.properties, name


@step
def every_method_of_the_client_has_a_step(cloud: Any, place: Path) -> None:
    methods = {name for name in vars(Proxy) if "metadef" in name and not name.startswith("_")}
    called = set(re.findall(r"cloud\.image\.(\w+)", Path(__file__).read_text()))
    assert len(methods) >= 34, methods
    assert methods <= called, methods - called


if __name__ == "__main__":
    main()
