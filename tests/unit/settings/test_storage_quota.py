"""``user_storage_quota``: its format, and detection of invalid values at start (images-api 6.2)."""

from __future__ import annotations

from pathlib import Path

import pytest

from glimpse.settings.errors import SettingsError
from glimpse.settings.load import Sources, load
from glimpse.settings.model import Quotas
from glimpse.stores.all import DRIVERS


def quotas_of(directory: Path, text: str) -> Quotas:
    file = directory / "glance-api.conf"
    file.write_text(f"[DEFAULT]\n{text}\n")
    return load(Sources(config_files=(file,), environ={"HOME": str(directory)}), DRIVERS).settings.quotas


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("0TB", 0),
        ("1", 1),
        ("1B", 1),
        ("17KB", 17 * 1024),
        ("1MB", 1 << 20),
        ("500GB", 500 << 30),
        ("10TB", 10 << 40),
        ("007MB", 7 << 20),
    ],
)
def test_binary_multiples(tmp_path: Path, text: str, size: int) -> None:
    assert quotas_of(tmp_path, f"user_storage_quota = {text}").user_storage_quota == size


def test_off_where_it_is_not_set(tmp_path: Path) -> None:
    assert quotas_of(tmp_path, "").user_storage_quota == 0


@pytest.mark.parametrize("text", ["", "ten", "10gb", "10 GB", "-1", "1.5GB", "GB", "10PB", "10K", "10GBB", "١٠", "1e3"])
def test_other_texts_do_not_start(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsError, match="user_storage_quota"):
        quotas_of(tmp_path, f"user_storage_quota = {text}")
