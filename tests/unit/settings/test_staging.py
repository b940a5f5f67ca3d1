"""Where data wait for their import, by mode (imports-and-stores 4.2)."""

from __future__ import annotations

from pathlib import Path

import pytest

from glimpse.settings.files import staging_directory
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
