"""``glimpse metadefs``."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from glimpse.db.sql.database import SqlDatabase
from glimpse.db.sql.engine import connect
from glimpse.domain.clock import now
from glimpse.domain.image import Image
from glimpse.metadefs.files import CATALOG
from glimpse.settings.model import DatabaseSettings
from tests.unit.cli.conftest import Glimpse, glimpse

__all__ = ["glimpse"]  # the fixture

IMAGE = "7e4a3aab-8e98-4065-b9cb-fdcb0ae60f2c"
TEXT = {"type": "string", "title": "T"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "racks.json"


def rows(tmp_path: Path, table: str) -> int:
    with sqlite3.connect(tmp_path / "data" / "glimpse.sqlite") as connection:
        (count,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
    connection.close()
    return count


def exported(glimpse: Glimpse, tmp_path: Path, name: str) -> dict[str, Any]:
    assert glimpse("metadefs", "export", tmp_path / "out", "--namespace", name).exit_code == 0
    (found,) = (tmp_path / "out").iterdir()
    document = json.loads(found.read_text("utf-8"))
    found.unlink()
    return document


def test_the_catalog(glimpse: Glimpse, tmp_path: Path) -> None:
    glimpse("db", "sync")
    loaded = glimpse("metadefs", "load")
    assert loaded.exit_code == 0
    lines = loaded.output.splitlines()
    assert len(lines) == 32
    assert all(line.startswith("created ") for line in lines)
    counts = {
        table: rows(tmp_path, f"metadef_{table}")
        for table in ("namespaces", "properties", "objects", "tags", "namespace_resource_types", "resource_types")
    }
    assert counts == {
        "namespaces": 32, "properties": 134, "objects": 23, "tags": 0, "namespace_resource_types": 61,
        "resource_types": 6,
    }  # fmt: skip

    again = glimpse("metadefs", "load")
    assert again.exit_code == 0
    assert all(line.startswith("skipped ") for line in again.output.splitlines())


def test_out_and_in_again(glimpse: Glimpse, tmp_path: Path) -> None:
    glimpse("metadefs", "load")
    first = glimpse("metadefs", "export", tmp_path / "first")
    assert first.exit_code == 0
    assert len(first.output.splitlines()) == 32
    removed = glimpse("metadefs", "unload", "--yes")
    assert (removed.exit_code, removed.output) == (0, "Removed: 32 namespaces.\n")
    assert rows(tmp_path, "metadef_resource_types") == 0
    assert glimpse("metadefs", "load", tmp_path / "first").exit_code == 0
    glimpse("metadefs", "export", tmp_path / "second")
    for path in (tmp_path / "first").iterdir():
        assert (tmp_path / "second" / path.name).read_bytes() == path.read_bytes()


def test_the_export_is_what_was_loaded(glimpse: Glimpse, tmp_path: Path) -> None:
    """The catalog, file by file, but for the order of namespaces and of things that have names."""

    def documents(directory: Path) -> dict[str, Any]:
        found = [json.loads(file.read_text("utf-8")) for file in directory.glob("*.json")]
        for document in found:
            for key in ("resource_type_associations", "objects", "tags"):
                document[key] = sorted(document.get(key, []), key=lambda one: one["name"])
        return {document["namespace"]: document for document in found}

    glimpse("metadefs", "load")
    glimpse("metadefs", "export", tmp_path / "out")
    assert len(documents(CATALOG)) == 32
    assert documents(tmp_path / "out") == documents(CATALOG)


def test_an_object_of_a_file_without_properties_has_none(glimpse: Glimpse, tmp_path: Path, file: Path) -> None:
    """metadefs 12.3: Glance's command stores ``null``, and its API answers 500 from then on."""
    file.write_text('{"namespace": "N", "objects": [{"name": "o"}]}')
    assert glimpse("metadefs", "load", file).exit_code == 0
    with sqlite3.connect(tmp_path / "data" / "glimpse.sqlite") as connection:
        (stored,) = connection.execute("SELECT json_schema FROM metadef_objects WHERE name = 'o'").fetchall()
    connection.close()
    assert stored == ("{}",)


def test_ways_to_load(glimpse: Glimpse, tmp_path: Path, file: Path) -> None:
    old = {
        "namespace": "N", "display_name": "Old", "protected": False, "resource_type_associations": [],
        "properties": {"a": TEXT, "b": TEXT}, "tags": [{"name": "t"}],
    }  # fmt: skip
    newer = {**TEXT, "title": "Newer"}
    new = {
        "namespace": "N", "display_name": "New", "protected": False,
        "resource_type_associations": [{"name": "OS::Glance::Image", "prefix": "n_"}],
        "properties": {"b": newer, "c": TEXT},
    }  # fmt: skip

    def load(*options: str) -> tuple[str, dict[str, Any]]:
        glimpse("metadefs", "unload", "--yes")
        file.write_text(json.dumps(old))
        assert glimpse("metadefs", "load", file).output.split() == ["created", "N"]
        file.write_text(json.dumps(new))
        result = glimpse("metadefs", "load", file, *options)
        assert result.exit_code == 0
        return result.output.split()[0], exported(glimpse, tmp_path, "N")

    glimpse("db", "sync")
    assert load() == ("skipped", old)
    associated = {"resource_type_associations": new["resource_type_associations"]}
    all_three = {"a": TEXT, "b": TEXT, "c": TEXT}
    assert load("--merge") == ("merged", {**old, **associated, "properties": all_three})
    replaced = {**old, **associated, "display_name": "New", "properties": {**all_three, "b": newer}}
    assert load("--merge", "--prefer-new") == ("merged", replaced)
    assert load("--merge", "--prefer_new") == ("merged", replaced)
    assert load("--merge", "--overwrite") == ("overwritten", new)


@pytest.mark.parametrize(
    "options",
    [["--prefer-new"], ["--overwrite"], ["--merge", "--prefer-new", "--overwrite"], ["--force"]],
    ids=" ".join,
)
def test_options_that_do_not_go_together(glimpse: Glimpse, tmp_path: Path, options: list[str]) -> None:
    result = glimpse("metadefs", "load", *options)
    assert result.exit_code == 2
    assert "Error: " in result.stderr
    assert not (tmp_path / "data").exists()


def test_one_wrong_file_stops_all(glimpse: Glimpse, tmp_path: Path) -> None:
    files = tmp_path / "files"
    files.mkdir()
    (files / "a.json").write_text('{"namespace": "A"}')
    (files / "b.json").write_text("{")
    (files / "c.json").write_text("{}")
    glimpse("db", "sync")
    result = glimpse("metadefs", "load", files, tmp_path / "none")
    assert result.exit_code == 1
    for said in ("b.json: is not JSON", "c.json: Object missing", "none: cannot be read", "Nothing was loaded."):
        assert said in result.stderr
    assert rows(tmp_path, "metadef_namespaces") == 0


def test_export_of_what_is_not_there(glimpse: Glimpse, tmp_path: Path) -> None:
    glimpse("metadefs", "load")
    result = glimpse("metadefs", "export", tmp_path / "out", "--namespace", "N", "--namespace", "OS::Compute::TPM")
    assert (result.exit_code, result.stderr) == (1, "Error: No such namespace: N.\n")
    assert not (tmp_path / "out").exists()


def test_without_tables(glimpse: Glimpse, tmp_path: Path) -> None:
    for arguments in (["export", tmp_path / "out"], ["unload", "--yes"], ["check", IMAGE]):
        result = glimpse("metadefs", *arguments)
        assert result.exit_code == 1
        assert "no tables yet" in result.stderr
    assert not (tmp_path / "data").exists()


def test_unload_asks(glimpse: Glimpse, tmp_path: Path) -> None:
    glimpse("metadefs", "load")
    assert glimpse("metadefs", "unload").exit_code == 1
    assert rows(tmp_path, "metadef_namespaces") == 32


class TestCheck:
    @pytest.fixture(autouse=True)
    def image(self, glimpse: Glimpse, tmp_path: Path) -> None:
        glimpse("metadefs", "load")
        self.tmp_path = tmp_path

    def create(self, properties: dict[str, str | None]) -> None:
        database = SqlDatabase(
            connect(DatabaseSettings(connection=f"sqlite:///{self.tmp_path / 'data' / 'glimpse.sqlite'}"))
        )
        moment = now()
        database.create_image(Image(id=IMAGE, created_at=moment, updated_at=moment, properties=properties))
        database.close()

    def test_broken(self, glimpse: Glimpse) -> None:
        self.create({"hw_firmware_type": "uefi", "hw_watchdog_action": "explode", "team": "web"})
        result = glimpse("metadefs", "check", IMAGE)
        assert result.exit_code == 3
        assert result.output == (
            "valid     hw_firmware_type = uefi\n"
            "          OS::Compute::LibvirtImage: fits\n"
            "invalid   hw_watchdog_action = explode\n"
            "          OS::Compute::Watchdog: 'explode' is not one of disabled, reset, poweroff, pause, none\n"
            "undefined team = web\n"
            "1 valid, 1 invalid, 1 undefined\n"
        )

    def test_fine(self, glimpse: Glimpse) -> None:
        self.create({"sw_webserver_nginx_http_port": "8080"})
        result = glimpse("metadefs", "check", IMAGE, "--json")
        assert result.exit_code == 0
        assert json.loads(result.output) == {
            "properties": [
                {
                    "name": "sw_webserver_nginx_http_port",
                    "value": "8080",
                    "status": "valid",
                    "definitions": [
                        {"namespace": "OS::Software::WebServers", "object": "Nginx", "type": "integer", "problems": []}
                    ],
                }
            ]
        }

    def test_no_such_image(self, glimpse: Glimpse) -> None:
        result = glimpse("metadefs", "check", IMAGE)
        assert result.exit_code == 1
        assert IMAGE in result.stderr
