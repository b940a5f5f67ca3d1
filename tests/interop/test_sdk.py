"""openstacksdk: each step of ``sdk_steps.py`` and ``metadef_sdk_steps.py`` in a process of its own."""

from __future__ import annotations

import ast
import json
import subprocess
from pathlib import Path

import pytest

from tests.interop.conftest import PASSWORDS
from tests.support.service import Service, clean_environment

SCRIPT = Path(__file__).with_name("sdk_steps.py")
METADEF_SCRIPT = Path(__file__).with_name("metadef_sdk_steps.py")


def steps_of(script: Path) -> list[str]:
    return [
        node.name
        for node in ast.parse(script.read_text()).body
        if isinstance(node, ast.FunctionDef) and any(ast.unparse(name) == "step" for name in node.decorator_list)
    ]


def run_step(
    programs: Path, step: str, connection: dict[str, object], place: Path, script: Path = SCRIPT, *more: str
) -> None:
    ended = subprocess.run(
        [str(programs / "python"), str(script), step, json.dumps(connection), str(place), *more], capture_output=True,
        text=True, check=False, env=clean_environment({"HOME": str(place)}), cwd=place, timeout=50,
    )  # fmt: skip
    assert ended.returncode == 0, f"{ended.stdout}\n{ended.stderr}"


@pytest.mark.parametrize("step", steps_of(SCRIPT))
def test_without_identity(programs: Path, service: Service, tmp_path: Path, step: str) -> None:
    run_step(programs, step, {"auth_type": "none", "auth": {"endpoint": service.url}}, tmp_path)


@pytest.mark.parametrize("step", steps_of(METADEF_SCRIPT))
def test_metadef_methods(programs: Path, service: Service, tmp_path: Path, step: str) -> None:
    run_step(programs, step, {"auth_type": "none", "auth": {"endpoint": service.url}}, tmp_path, METADEF_SCRIPT)


@pytest.mark.parametrize("step", ["upload_from_a_file", "update", "download_whole_streamed_and_to_a_file", "tags"])
def test_with_name_and_password(programs: Path, basic_service: Service, tmp_path: Path, step: str) -> None:
    # unlike auth type none, this one takes the endpoint as it is, without looking for the version in it
    auth = {"endpoint": f"{basic_service.url}/v2", "username": "alice", "password": PASSWORDS["alice"]}
    run_step(programs, step, {"auth_type": "http_basic", "auth": auth}, tmp_path)
