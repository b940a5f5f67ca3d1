"""The registry's server stands on internals of uvicorn: no version serves that it was not tested with."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
import uvicorn

from glimpse.launcher import TESTED_UVICORN, LaunchError, ServeOptions, require_server
from glimpse.registry.tls import ServerTls
from tests.support.private_ca import authority, server_files

ROOT = Path(__file__).parents[3]


@pytest.fixture
def private(tmp_path: Path) -> ServeOptions:
    return ServeOptions(tls=ServerTls(server_files(authority(tmp_path)), {}))


def test_the_installed_version_is_the_tested_one(private: ServeOptions) -> None:
    require_server(private)


@pytest.mark.parametrize("version", ["0.53.2", "0.55.0", "0.540.0", "1.0.54"])
def test_another_version_does_not_start_the_registry(
    private: ServeOptions, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    monkeypatch.setattr(uvicorn, "__version__", version)
    with pytest.raises(LaunchError) as caught:
        require_server(private)
    assert str(caught.value) == (
        f"The registry runs with uvicorn {TESTED_UVICORN}, and version {version} is installed: "
        f"run `pip install 'uvicorn=={TESTED_UVICORN}.*'`."
    )


def test_any_version_serves_plain_http(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uvicorn, "__version__", "0.99.0")
    require_server(ServeOptions(server="uvicorn"))


def test_the_package_requires_the_tested_version() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert f"uvicorn=={TESTED_UVICORN}.*" in extras["registry"]
