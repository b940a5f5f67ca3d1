"""``glimpse config show`` prints a configuration file that gives the same settings."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from glimpse.settings.inventory import OPTIONS
from glimpse.settings.load import Sources, load
from glimpse.settings.model import Settings
from glimpse.settings.show import as_json, as_text, shown
from glimpse.stores.all import DRIVERS
from tests.unit.settings.conftest import Loader


def again(text: str, tmp_path: Path) -> Settings:
    file = tmp_path / "shown.conf"
    file.write_text(text, encoding="utf-8")
    return load(Sources(config_files=(file,), environ={"HOME": "/home/operator"}), DRIVERS).settings


@pytest.mark.parametrize("name", [None, "single-store.conf", "named-stores.conf"])
def test_what_is_shown_leads_to_the_same_settings(name: str | None, tmp_path: Path) -> None:
    files = () if name is None else (Path(__file__).parent / "files" / name,)
    settings = load(Sources(config_files=files, environ={"HOME": "/home/operator"}), DRIVERS).settings
    # the only secret that has a form which a mask does not have
    text = as_text(settings).replace("metadata_encryption_key = ***", "metadata_encryption_key = 0123456789abcdef")
    read_back = again(text, tmp_path)
    # passwords are masked, the file is another one, and what is left out cannot come back
    expected = msgspec.structs.replace(
        settings,
        database=read_back.database,
        auth=msgspec.structs.replace(settings.auth, keystone=read_back.auth.keystone),
        notifications=msgspec.structs.replace(settings.notifications, library=read_back.notifications.library),
        config_files=read_back.config_files,
        policy=msgspec.structs.replace(settings.policy, config_dirs=read_back.policy.config_dirs),
    )
    assert read_back == expected
    for section, texts in settings.auth.keystone.items():
        masked = {name: "***" if name == "password" else text for name, text in texts.items()}
        assert read_back.auth.keystone[section] == masked


def test_every_option_that_is_copied_is_shown(loaded: Loader) -> None:
    sections = shown(loaded().settings)
    for option in OPTIONS:
        if option.target is not None:
            assert option.name in sections[option.section], option.place


def test_json(loaded: Loader) -> None:
    content = json.loads(as_json(loaded("[DEFAULT]\nworkers = 3\n").settings))
    assert content["settings"]["DEFAULT"]["workers"] == 3
    assert content["settings"]["glimpse"]["metrics_port"] is None
    assert content["settings"]["glance_store"]["filesystem_store_file_perm"] == "0"
    assert len(content["config_files"]) == 1
