"""``glimpse`` itself."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from glimpse import __version__
from glimpse.cli.db import NEEDS_SYNC
from glimpse.cli.main import COMMANDS
from glimpse.cli.metadefs import BROKEN
from glimpse.cli.policy import REFUSED
from tests.unit.cli.conftest import Glimpse


def test_version(glimpse: Glimpse) -> None:
    assert glimpse("--version").output == f"glimpse {__version__}\n"
    assert glimpse("version").output == f"glimpse {__version__}\n"


def test_help_names_every_command(glimpse: Glimpse) -> None:
    result = glimpse("--help")
    assert result.exit_code == 0
    for command in COMMANDS:
        assert command in result.output


def test_every_command_has_the_common_options(glimpse: Glimpse) -> None:
    for command in (
        ["serve"],
        ["config", "show"],
        ["config", "check"],
        ["db", "sync"],
        ["db", "version"],
        ["db", "check"],
    ):
        output = glimpse(*command, "--help").output
        for option in ("--config-file", "--config-dir", "--data-dir"):
            assert option in output, command


def test_help_tells_types_defaults_and_variables(glimpse: Glimpse) -> None:
    told = " ".join(glimpse("serve", "--help").output.split())
    assert "--port INTEGER" in told
    assert "[env var: OS_DEFAULT__BIND_PORT; default: 9292]" in told
    assert "env var: GLIMPSE_DATA_DIR;" in told
    assert "default: 100" in glimpse("jobs", "list", "--help").output


def test_the_document_has_the_exit_codes(glimpse: Glimpse, tmp_path: Path) -> None:
    text = (Path(__file__).parents[3] / "docs" / "operator" / "configuration.md").read_text(encoding="utf-8")
    told = {int(row[1]): row[2] for row in re.finditer(r"^\| ([0-9]) \|.*\| ([^|]+) \|$", text, re.MULTILINE)}
    own = ("--data-dir", str(tmp_path / "data"))
    empty = tmp_path / "empty"
    empty.mkdir()
    ended = {
        glimpse("config", "check", *own).exit_code: "all",
        glimpse("policy", "explain", "nonsense", *own).exit_code: "all",
        glimpse("conjure").exit_code: "all",
        glimpse("policy", "explain", "add_image", "--role", "reader", *own).exit_code: "policy explain",
        glimpse("db", "check", "--data-dir", str(empty)).exit_code: "db check",
    }
    assert ended.keys() == told.keys() == {0, 1, 2, 3}
    assert {NEEDS_SYNC, REFUSED, BROKEN} == {3}
    for code, command in ended.items():
        assert command in told[code], code


def test_unknown_command(glimpse: Glimpse) -> None:
    result = glimpse("conjure")
    assert result.exit_code == 2
    assert "conjure" in result.output


def test_the_version_reads_no_settings() -> None:
    code = (
        "import sys\nfrom glimpse.cli.main import main\n"
        "main(['--version'], standalone_mode=False)\n"
        "print(sorted({'oslo_config', 'sqlalchemy', 'starlette', 'granian', 'glimpse.app'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
