"""Checking images against definitions."""

from __future__ import annotations

from typing import Any

import pytest

from glimpse.domain.metadef import (
    MetadefObject,
    MetadefProperty,
    Namespace,
    NamespaceContent,
    ResourceTypeAssociation,
)
from glimpse.metadefs.files import default_catalog
from glimpse.services.metadef_report import DefinitionFound, metadef_report, problems


def namespace(name: str, properties: dict[str, Any], *types: tuple[str, str | None]) -> NamespaceContent:
    return NamespaceContent(
        namespace=Namespace(namespace=name),
        associations=tuple(ResourceTypeAssociation(name=kind, prefix=prefix) for kind, prefix in types),
        properties=tuple(MetadefProperty(name=key, schema=schema) for key, schema in properties.items()),
    )


ARRAY = {"type": "array", "items": {"type": "string", "enum": ["a", "b c"]}}


@pytest.mark.parametrize(
    ("definition", "value", "said"),
    [
        ({"type": "string"}, "anything", []),
        ({"type": "string"}, None, ["has no value"]),
        ({"type": "string", "enum": ["a", "b"]}, "a", []),
        ({"type": "string", "enum": ["a", "b"]}, "A", ["'A' is not one of a, b"]),
        ({"type": "string", "enum": ["a", "b"], "operators": ["<or>"]}, "<or> a <or> b", []),
        ({"type": "string", "enum": ["a", "b"], "operators": ["<or>"]}, "<or> a <or> c", ["'c' is not one of a, b"]),
        ({"type": "string", "enum": ["a"]}, "<or> a", ["'<or> a' is not one of a"]),
        ({"type": "string", "minLength": 2}, "a", ["has 1 characters, fewer than 2"]),
        ({"type": "string", "maxLength": 2}, "abc", ["has 3 characters, more than 2"]),
        ({"type": "string", "pattern": "^a+$"}, "aaa", []),
        ({"type": "string", "pattern": "^a+$"}, "ab", ["does not match the pattern ^a+$"]),
        ({"type": "string", "pattern": "^(a+)+$"}, "a" * 60 + "b", ["does not match the pattern ^(a+)+$"]),
        ({"type": "string", "pattern": "^(?=.*b)a"}, "acb", []),
        ({"type": "string", "pattern": "("}, "a", ["cannot be checked: the pattern ( is not supported"]),
        ({"type": "integer"}, "12", []),
        ({"type": "integer"}, "-12", []),
        ({"type": "integer"}, "1.0", ["is not a whole number"]),
        ({"type": "integer"}, "", ["is not a whole number"]),
        ({"type": "integer"}, "9" * 5000, ["is not a whole number"]),
        ({"type": "integer", "minimum": 1}, "0", ["is less than 1"]),
        ({"type": "integer", "maximum": 5}, "6", ["is more than 5"]),
        ({"type": "integer", "enum": [1, 2]}, "2", []),
        ({"type": "integer", "enum": ["1", "2"]}, "3", ["'3' is not one of 1, 2"]),
        ({"type": "number"}, "1.5", []),
        ({"type": "number"}, "nan", ["is not a number"]),
        ({"type": "number", "maximum": 1}, "1.5", ["is more than 1"]),
        ({"type": "boolean"}, "True", []),
        ({"type": "boolean"}, "yes", ["is neither true nor false"]),
        (ARRAY, "<all-in> a,b c", []),
        (ARRAY, "<or> a <or> b c", []),
        (ARRAY, "a, d", ["'d' is not one of a, b c"]),
        ({**ARRAY, "minItems": 2}, "a", ["has 1 items, fewer than 2"]),
        ({**ARRAY, "maxItems": 1}, "a,b c", ["has 2 items, more than 1"]),
        ({**ARRAY, "uniqueItems": True}, "a,a", ["has a duplicate item"]),
        ({"type": "object"}, '{"a": 1}', []),
        ({"type": "object"}, "[]", ["is not a JSON object"]),
        ({"type": "object"}, "a", ["is not a JSON object"]),
        ({}, "a", []),
        ({"type": "string", "enum": None, "pattern": None, "minLength": None, "maxLength": True}, "a", []),
    ],
)  # fmt: skip
def test_values(definition: dict[str, Any], value: str | None, said: list[str]) -> None:
    assert list(problems(definition, value)) == said


def test_long_choices_are_cut() -> None:
    (said,) = problems({"type": "string", "enum": [str(number) for number in range(40)]}, "x")
    assert said == "'x' is not one of 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 30 more"


def test_which_namespaces_count() -> None:
    text = {"type": "string", "title": "T"}
    namespaces = [
        namespace("images", {"a": text}, ("OS::Nova::Flavor", "hw:"), ("OS::Glance::Image", "hw_")),
        namespace("flavors", {"hw_a": text, "b": text}, ("OS::Nova::Flavor", None)),
        namespace("anything", {"c": text}),
    ]
    report = metadef_report({"hw_a": "1", "a": "2", "b": "3", "c": "4", "hw:a": "5"}, namespaces)
    assert {one.name: [found.namespace for found in one.definitions] for one in report.properties} == {
        "a": [], "b": [], "c": ["anything"], "hw:a": [], "hw_a": ["images"],
    }  # fmt: skip
    assert {one.name: one.status for one in report.properties} == {
        "a": "undefined", "b": "undefined", "c": "valid", "hw:a": "undefined", "hw_a": "valid",
    }  # fmt: skip
    assert not report.invalid


def test_objects_define_too() -> None:
    group = MetadefObject(name="Group", properties={"k": {"type": "integer"}, "odd": None})
    content = NamespaceContent(
        namespace=Namespace(namespace="N"),
        associations=(ResourceTypeAssociation(name="OS::Glance::Image", prefix="p_"),),
        objects=(group, MetadefObject(name="Empty")),
    )
    report = metadef_report({"p_k": "x", "p_odd": "y"}, [content])
    assert report.properties[0].definitions == (
        DefinitionFound(namespace="N", object="Group", type="integer", problems=("is not a whole number",)),
    )
    assert [one.status for one in report.properties] == ["invalid", "valid"]
    assert [one.name for one in report.invalid] == ["p_k"]


def test_one_definition_that_fits_is_enough() -> None:
    def model(value: str) -> Any:
        (one,) = metadef_report({"hw_vif_model": value}, default_catalog()).properties
        return one.status, {found.namespace: bool(found.problems) for found in one.definitions}

    libvirt, vmware = "OS::Compute::LibvirtImage", "OS::Compute::VMware"
    assert model("virtio") == ("valid", {libvirt: False, vmware: True})
    assert model("VirtualVmxnet3") == ("valid", {libvirt: True, vmware: False})
    assert model("e1000") == ("valid", {libvirt: False, vmware: False})
    assert model("ne2000") == ("invalid", {libvirt: True, vmware: True})


def test_the_catalog_on_an_image() -> None:
    properties = {
        "hw_cpu_policy": "dedicated",
        "hw_watchdog_action": "explode",
        "kernel_id": "7e4a3aab-8e98-4065-b9cb-fdcb0ae60f2c",
        "ramdisk_id": "7e4a3aab",
        "cinder_img_volume_type": "ssd",
        "sw_webserver_nginx_http_port": "70000",
        "team": "web",
    }
    report = metadef_report(properties, default_catalog())
    assert {one.name: one.status for one in report.properties} == {
        "cinder_img_volume_type": "valid",
        "hw_cpu_policy": "valid",
        "hw_watchdog_action": "invalid",
        "kernel_id": "valid",
        "ramdisk_id": "invalid",
        "sw_webserver_nginx_http_port": "invalid",
        "team": "undefined",
    }
