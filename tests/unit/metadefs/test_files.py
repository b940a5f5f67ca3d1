"""Definition files: the format, and messages about invalid files."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from glimpse.domain.metadef import (
    MetadefObject,
    MetadefProperty,
    MetadefTag,
    Namespace,
    NamespaceContent,
    ResourceTypeAssociation,
)
from glimpse.metadefs.document import DefinitionFileError, content_of, document_of
from glimpse.metadefs.files import definition_files, file_names, read_file, write_files

TEXT = {"type": "string", "title": "A text"}

FULL: dict[str, Any] = {
    "namespace": "Acme::Racks",
    "display_name": "Racks",
    "description": "Where machines are. Größe and 高さ are fine here.",
    "visibility": "public",
    "protected": True,
    "owner": "acme",
    "resource_type_associations": [{"name": "OS::Nova::Aggregate", "prefix": "acme:", "properties_target": "image"}],
    "properties": {
        "rack": {**TEXT, "default": "A1", "pattern": "^[A-Z][0-9]$", "operators": ["<or>"]},
        "units": {"type": "integer", "title": "Units", "default": 42, "minimum": 1, "maximum": 48, "readonly": False},
        "features": {"type": "array", "title": "F", "items": {"type": "string", "enum": ["a", "b"]}, "maxItems": 2},
    },
    "objects": [{"name": "Power", "description": "Supply.", "required": ["feed"], "properties": {"feed": TEXT}}],
    "tags": [{"name": "cold"}, {"name": "hot"}],
}


def test_a_full_document() -> None:
    content = content_of(FULL)
    assert content == NamespaceContent(
        namespace=Namespace(
            namespace="Acme::Racks",
            display_name="Racks",
            description=FULL["description"],
            visibility="public",
            protected=True,
            owner="acme",
        ),
        associations=(ResourceTypeAssociation(name="OS::Nova::Aggregate", prefix="acme:", properties_target="image"),),
        properties=tuple(MetadefProperty(name=name, schema=schema) for name, schema in FULL["properties"].items()),
        objects=(MetadefObject(name="Power", description="Supply.", required=("feed",), properties={"feed": TEXT}),),
        tags=(MetadefTag(name="cold"), MetadefTag(name="hot")),
    )
    assert document_of(content) == FULL


def test_the_least_document() -> None:
    content = content_of({"namespace": "N"})
    assert content == NamespaceContent(namespace=Namespace(namespace="N", visibility=None, owner="admin"))
    assert document_of(content) == {"namespace": "N", "protected": False, "resource_type_associations": []}


def test_nulls_are_as_absent() -> None:
    keys = (
        "display_name", "description", "visibility", "protected", "owner", "resource_type_associations", "properties",
        "objects", "tags",
    )  # fmt: skip
    assert content_of({"namespace": "N", **dict.fromkeys(keys)}) == content_of({"namespace": "N"})
    association = {"name": "T", "prefix": None, "properties_target": None}
    assert content_of({"namespace": "N", "resource_type_associations": [association]}).associations == (
        ResourceTypeAssociation(name="T"),
    )


def test_what_the_api_shows_can_be_loaded() -> None:
    times = {"created_at": "2026-01-02T03:04:05Z", "updated_at": "2026-01-02T03:04:05Z"}
    shown = {
        "namespace": "N", "self": "/v2/metadefs/namespaces/N", "schema": "/v2/schemas/metadefs/namespace", **times,
        "resource_type_associations": [{"name": "T", **times}],
        "objects": [{"name": "O", "self": "/x", "schema": "/y", "required": [], "properties": {}, **times}],
        "tags": [{"name": "t", **times}],
    }  # fmt: skip
    assert content_of(shown) == content_of(
        {
            "namespace": "N",
            "resource_type_associations": [{"name": "T"}],
            "objects": [{"name": "O"}],
            "tags": [{"name": "t"}],
        }
    )


def with_property(definition: Any) -> dict[str, Any]:
    return {"namespace": "N", "properties": {"p": definition}}


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ([], "array"),
        ("text", "str"),
        ({}, "namespace"),
        ({"namespace": None}, "$.namespace"),
        ({"namespace": ""}, "$.namespace"),
        ({"namespace": "n" * 81}, "80"),
        ({"namespace": "N", "display_name": "n" * 81}, "$.display_name"),
        ({"namespace": "N", "visibility": "shared"}, "$.visibility"),
        ({"namespace": "N", "protected": "true"}, "$.protected"),
        ({"namespace": "N", "protected": 1}, "$.protected"),
        ({"namespace": "N", "owner": "o" * 256}, "$.owner"),
        ({"namespace": "N", "properties": []}, "$.properties"),
        ({"namespace": "N", "properties": {"n" * 81: TEXT}}, "$.properties"),
        ({"namespace": "N", "objects": {}}, "$.objects"),
        ({"namespace": "N", "objects": [{}]}, "objects, number 1: "),
        ({"namespace": "N", "objects": [{"name": "O"}, {"name": "O"}]}, "objects: O is there twice"),
        ({"namespace": "N", "objects": [{"name": "O", "properties": {"q": {}}}]}, "objects, O, properties, q: "),
        ({"namespace": "N", "tags": ["t"]}, "$.tags[0]"),
        ({"namespace": "N", "tags": [{"name": "t"}, {"name": "t"}]}, "tags: t is there twice"),
        ({"namespace": "N", "resource_type_associations": [{"prefix": "p"}]}, "resource_type_associations, number 1: "),
        ({"namespace": "N", "resource_type_associations": [{"name": "T", "prefix": 1}]}, "$.prefix"),
        (with_property([]), "$.properties"),
        (with_property({"type": "string"}), "properties, p: Object missing required field `title`"),
        (with_property({"title": "P"}), "properties, p: Object missing required field `type`"),
        (with_property({**TEXT, "type": "text"}), "properties, p: "),
        (with_property({**TEXT, "format": "uuid"}), "`format`"),
        (with_property({**TEXT, "required": ["p"]}), "`required`"),
        (with_property({**TEXT, "enum": [1, 2]}), "$.enum[0]"),
        (with_property({**TEXT, "operators": "<or>"}), "$.operators"),
        (with_property({**TEXT, "default": ["a"]}), "$.default"),
        (with_property({**TEXT, "default": "ä"}), "properties, p: the default has non-ASCII characters"),
        (with_property({**TEXT, "minimum": 1.5}), "$.minimum"),
        (with_property({**TEXT, "minLength": -1}), "$.minLength"),
        (with_property({**TEXT, "items": {"enum": ["a"]}}), "$.items"),
        (with_property({**TEXT, "items": {"type": "string", "pattern": "a"}}), "`pattern`"),
    ],
)  # fmt: skip
def test_what_is_refused(document: Any, said: str) -> None:
    with pytest.raises(DefinitionFileError) as caught:
        content_of(document)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"\xff\xfe{}", b'{"namespace": NaN}', b'{"namespace": "\\ud800"}', b"[" * 100_000, b'{"a": 1} x'],
    ids=["empty", "cut off", "not UTF-8", "not a number", "half a character", "deep", "more"],
)
def test_what_is_not_json(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "broken.json"
    file.write_bytes(data)
    with pytest.raises(DefinitionFileError, match=r"broken\.json: is not JSON: "):
        read_file(file)


def test_an_error_names_the_file(tmp_path: Path) -> None:
    file = tmp_path / "bad.json"
    file.write_text("{}")
    with pytest.raises(DefinitionFileError, match=r"bad\.json: Object missing required field `namespace`"):
        read_file(file)


class TestFinding:
    def test_a_directory(self, tmp_path: Path) -> None:
        for name in ("b.json", "a.json", "README", "c.json.rpmsave"):
            (tmp_path / name).write_text("{}")
        (tmp_path / "d.json").mkdir()
        assert [path.name for path in definition_files(tmp_path)] == ["a.json", "b.json"]

    def test_a_file_of_any_name(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """metadefs 12.1: Glance's command fails on a path that is relative."""
        (tmp_path / "racks.txt").write_text("{}")
        monkeypatch.chdir(tmp_path)
        assert definition_files(Path("racks.txt")) == [Path("racks.txt")]

    def test_nothing(self, tmp_path: Path) -> None:
        with pytest.raises(DefinitionFileError, match="No such file"):
            definition_files(tmp_path / "none")
        with pytest.raises(DefinitionFileError, match=r"has no \.json files"):
            definition_files(tmp_path)

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
    def test_a_closed_directory(self, tmp_path: Path) -> None:
        (tmp_path / "closed").mkdir(mode=0)
        with pytest.raises(DefinitionFileError, match="Permission denied"):
            definition_files(tmp_path / "closed")


class TestWriting:
    def test_and_reading(self, tmp_path: Path) -> None:
        (path,) = write_files(tmp_path / "deep" / "down", [content_of(FULL)])
        assert path == tmp_path / "deep" / "down" / "Racks.json"
        assert json.loads(path.read_text("utf-8")) == FULL
        assert "Größe" in path.read_text("utf-8")
        assert read_file(path) == content_of(FULL)
        assert os.listdir(path.parent) == ["Racks.json"]

    def test_over_what_is_there(self, tmp_path: Path) -> None:
        (tmp_path / "Racks.json").write_text("old")
        write_files(tmp_path, [content_of(FULL)])
        assert read_file(tmp_path / "Racks.json") == content_of(FULL)

    def test_where_it_cannot_be(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(DefinitionFileError, match="cannot be written"):
            write_files(tmp_path / "file", [content_of(FULL)])

    def test_names(self) -> None:
        shown = [
            ("A::B", "Disk QoS (new)_1"), ("A::C", "disk qos new 1"), ("A::D", None), ("A:D", None), ("::", "/../"),
            ("X::Y", "Größe"),
        ]  # fmt: skip
        namespaces = [Namespace(namespace=name, display_name=display) for name, display in shown]
        assert file_names(namespaces) == [
            "DiskQoSnew1.json", "AC.json", "AD.json", "AD2.json", "namespace.json", "Größe.json",
        ]  # fmt: skip
