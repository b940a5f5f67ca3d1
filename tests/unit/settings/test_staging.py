"""Where data wait for their import, by mode (imports-and-stores 4.2)."""

from __future__ import annotations

from pathlib import Path

import pytest

from glimpse.settings.errors import SettingsError
from glimpse.settings.files import staging_directory
from glimpse.settings.load import Sources, load
from glimpse.settings.nodes import own_url
from glimpse.settings.show import as_text
from glimpse.stores.all import DRIVERS
from glimpse.stores.s3.options import S3Options
from tests.unit.settings.conftest import Loader

NAMED = "enabled_backends = fast:file\n[glance_store]\ndefault_backend = fast\n"
DATABASE = "[database]\nconnection = sqlite:////srv/glance.sqlite\n"


@pytest.mark.parametrize(
    ("text", "directory"),
    [
        (f"[DEFAULT]\n{DATABASE}", "/tmp/staging"),
        (f"[DEFAULT]\nnode_staging_uri = file:///srv/staging/\n{DATABASE}", "/srv/staging"),
        ("[DEFAULT]\nnode_staging_uri = file:///srv/with%20sign\n", "/srv/with%20sign"),
        (f"[DEFAULT]\n{NAMED}{DATABASE}", "/var/lib/glance/os_glance_staging_store"),
        (f"[DEFAULT]\nnode_staging_uri = file:///srv/a\n{NAMED}{DATABASE}", "/var/lib/glance/os_glance_staging_store"),
        (f"[DEFAULT]\n{NAMED}[os_glance_staging_store]\nfilesystem_store_datadir = /srv/b\n", "/srv/b"),
    ],
)
def test_the_directory(loaded: Loader, text: str, directory: str) -> None:
    assert staging_directory(loaded(text).settings) == Path(directory)


@pytest.mark.parametrize("text", ["", f"[DEFAULT]\n{NAMED}"])
def test_it_is_in_the_data_directory_without_a_database(loaded: Loader, text: str) -> None:
    settings = loaded(text).settings
    assert staging_directory(settings) == settings.data_dir / "staging"


OBJECTS = """[DEFAULT]
public_endpoint = https://images.example.org
[glimpse]
staging_store = s3
[os_glance_staging_store]
s3_store_host = https://s3.example.org
s3_store_access_key = key
s3_store_secret_key = hidden-secret
s3_store_bucket = staging
filesystem_store_datadir = /srv/b
"""


def test_an_object_store(tmp_path: Path) -> None:
    file = tmp_path / "glimpse.conf"
    file.write_text(OBJECTS)
    found = load(Sources(config_files=(file,), environ={"HOME": "/home/operator"}), DRIVERS)
    settings = found.settings
    entry = settings.imports.staging_entry
    assert entry is not None
    assert isinstance(entry.options, S3Options)
    assert (entry.id, entry.kind, entry.options.s3_store_bucket) == ("os_glance_staging_store", "s3", "staging")
    # all nodes reach the data
    assert own_url(settings) is None
    assert [line for line in (*found.warnings, *found.notes) if "s3_store" in line] == []
    text = as_text(settings)
    assert "s3_store_bucket = staging" in text
    assert "hidden-secret" not in text
    assert [store.kind for store in settings.stores.stores] == ["file", "http"]


def test_a_directory_is_no_store(loaded: Loader) -> None:
    settings = loaded(OBJECTS.replace("staging_store = s3", "staging_store = file")).settings
    assert settings.imports.staging_entry is None
    assert own_url(settings) == "https://images.example.org"


def test_a_kind_that_cannot_stage(loaded: Loader) -> None:
    with pytest.raises(SettingsError, match="staging_store"):
        loaded("[glimpse]\nstaging_store = cinder\n")


def test_a_kind_without_a_driver(loaded: Loader) -> None:
    with pytest.raises(SettingsError, match="one of file"):
        loaded(OBJECTS)
