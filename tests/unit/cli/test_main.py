"""``glimpse`` itself."""

from __future__ import annotations

import subprocess
import sys

from glimpse import __version__
from glimpse.cli.main import COMMANDS
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
