"""Tempest and Glance's plugin for it: what a real Glance passes of them on the same configuration passes here too.

``tempest/passed-by-glance`` holds the lists that Glance 33.0.0 gave, ``tempest/left-out.txt`` says what is not
asked for yet.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.needs import unavailable
from tests.support.registry_service import RegistryService
from tests.support.service import HOST, Service, clean_environment, run_to_the_end

RIGS = Path(__file__).parents[2] / "dev" / "rigs"
LISTS = Path(__file__).parent / "tempest"
BASELINES = LISTS / "passed-by-glance"
LEFT_OUT = LISTS / "left-out.txt"
IMPOSSIBLE = LISTS / "not-with-two-stores.txt"
#: Of the service, and of a second API of the same cloud.
PORTS = int(os.environ.get("RIG_GLIMPSE_PORT", "14292")), int(os.environ.get("RIG_GLIMPSE_PORT2", "14293"))
WITHOUT_HASH = "test_add_location_with_do_secure_hash_false"


@dataclass(frozen=True)
class Setup:
    """One configuration. The list of what Glance passes on it has its name, or is ``baseline``.

    With ``registry`` both APIs use the database through one ``glimpse registry``, and have no URL of it.
    """

    name: str
    database: str
    store: str = "file"
    profile: str = "plain"
    second_api: bool = False
    hashes: bool = True
    formats: bool = False
    registry: bool = False
    baseline: str = ""

    @property
    def passed_by_glance(self) -> Path:
        return BASELINES / f"{self.baseline or self.name}.txt"

    def configuration(self, port: int, *, shared_with: int | None = None) -> list[str]:
        """The arguments of ``glance-conf``."""
        return [
            "--db", self.database, "--store", self.store, "--profile", self.profile, "--port", str(port),
            *(() if self.hashes else ("--no-hash",)),
            *(("--convert",) if self.formats else ()),
            *(("--fresh",) if shared_with is None else ("--share-with", str(shared_with))),
        ]  # fmt: skip

    def run(self) -> list[str]:
        """The arguments of ``tempest-run`` after the URL."""
        return [
            "--profile", self.profile, "--label", self.name, "--exclude-list", str(LEFT_OUT),
            *(("--exclude-list", str(IMPOSSIBLE)) if self.store == "multi" else ()),
            *(("--remote-url", f"http://{HOST}:{PORTS[1]}") if self.second_api else ()),
            *(() if self.hashes else ("--no-hash", "--regex", WITHOUT_HASH)),
            *(("--formats",) if self.formats else ()),
        ]  # fmt: skip


SETUPS = (
    Setup("single-plain", "postgresql"),
    Setup("multi-plain", "mysql", store="multi"),
    Setup("single-full", "mysql", profile="full", second_api=True),
    Setup("multi-full", "postgresql", store="multi", profile="full", second_api=True),
    Setup(
        "multi-full-registry",
        "mysql",
        store="multi",
        profile="full",
        second_api=True,
        registry=True,
        baseline="multi-full",
    ),
    Setup("single-full-no-hash", "postgresql", profile="full", hashes=False),
    Setup("multi-full-no-hash", "mysql", store="multi", profile="full", hashes=False),
    Setup("formats", "postgresql", formats=True),
)


def rig(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a program of the rigs to its end."""
    command = [str(RIGS / program), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=clean_environment())


def compare(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run ``compare-results``."""
    command = [sys.executable, str(RIGS / "compare-results"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def rig_ok(program: str, *arguments: str) -> str:
    ended = rig(program, *arguments)
    assert ended.returncode == 0, f"{program} ended with {ended.returncode}:\n{ended.stderr}"
    return ended.stdout


@pytest.fixture(scope="module")
def results() -> Path:
    """Where ``tempest-run`` leaves its results."""
    if not os.environ.get("GLIMPSE_TEST_KEYSTONE_URL"):
        unavailable("GLIMPSE_TEST_KEYSTONE_URL names no Keystone: run `dev/services tempest`")
    return Path(os.environ["RIG_DIR"]) / "tempest"


class Cloud:
    """The services of one test, started on configuration directories as operators of Glance have them."""

    def __init__(self, place: Path, running: ExitStack) -> None:
        self._place = place
        self._running = running
        self._registry: RegistryService | None = None

    def serve(self, etc: Path, port: int, *, registry: bool) -> None:
        """Make the database ready and start an API; with ``registry`` the first call starts one, too."""
        with socket.socket() as probe:
            assert probe.connect_ex((HOST, port)), f"port {port} is taken: set RIG_GLIMPSE_PORT, RIG_GLIMPSE_PORT2"
        options: dict[str, dict[str, object]] = {"DEFAULT": {"bind_host": HOST, "bind_port": port}}
        files = ("--config-file", str(etc / "glance-api.conf"))
        # Glance had its definitions loaded, too: tests take the first resource type that they find
        for command in (["db", "sync"], ["metadefs", "load"]):
            ended = run_to_the_end([*command, *files])
            assert ended.returncode == 0, ended.stderr
        if registry:
            options["glimpse"] = self._behind_registry(etc / "glance-api.conf")
        place = self._place / str(port)
        self._running.enter_context(
            Service(place, options=options, arguments=files, port=port, workers=2, from_options_only=True)
        )

    def _behind_registry(self, path: Path) -> dict[str, object]:
        """Give the URL of the database in this file to the registry, and that of the registry to the file."""
        text = path.read_text()
        url = re.search(r"^connection *= *(\S+)$", text, re.MULTILINE)
        assert url is not None, path
        if self._registry is None:
            made = RegistryService(self._place / "registry", options={"database": {"connection": url[1]}}, workers=2)
            self._running.enter_context(made)
            self._registry = made
        node = self._registry.node_options()
        path.write_text(text.replace(url[0], f"connection = {node['database']['connection']}"))
        return node["glimpse"]


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    with ExitStack() as running:
        yield Cloud(tmp_path, running)


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("setup", SETUPS, ids=lambda setup: setup.name)
def test_passes_what_glance_passes(
    setup: Setup, results: Path, cloud: Cloud, record_property: Callable[[str, object], None]
) -> None:
    first, second = PORTS
    place = results / setup.name
    shutil.rmtree(place, ignore_errors=True)
    etc = rig_ok("glance-conf", *setup.configuration(first)).strip()
    cloud.serve(Path(etc), first, registry=setup.registry)
    if setup.second_api:
        etc = rig_ok("glance-conf", *setup.configuration(second, shared_with=first)).strip()
        cloud.serve(Path(etc), second, registry=setup.registry)

    ran = rig("tempest-run", f"http://{HOST}:{first}", *setup.run())
    assert (place / "pass.txt").exists(), ran.stderr
    compared = compare(str(setup.passed_by_glance), str(LEFT_OUT), str(place))
    report = f"{ran.stdout}{compared.stdout}"
    record_property("report", report)
    if compared.returncode:
        print(report, (place / "reasons.txt").read_text(), f"More in {place}/details.txt", sep="\n")
        pytest.fail(f"{compared.stdout.splitlines()[0]}{compared.stderr}", pytrace=False)


def test_what_is_left_out(record_property: Callable[[str, object], None]) -> None:
    """Every line of ``left-out.txt`` still leaves something out; the report lists all of it."""
    listed = compare("--left-out", str(LEFT_OUT), *map(str, sorted(BASELINES.iterdir())))
    record_property("report", listed.stdout)
    assert listed.returncode == 0, listed.stdout


@pytest.mark.parametrize(
    ("passed", "failed", "code"),
    [
        (["t.A.one[id-1]", "t.A.two[id-2,smoke]"], [], 0),
        (["t.A.one[id-1]", "t.A.two[id-2,smoke]"], ["t.Later.three[id-3]"], 0),
        (["t.A.one[id-1]"], ["t.A.two[id-2,smoke]"], 1),
        (["t.A.one[id-1]"], [], 1),
        (["t.A.one[id-1]", "t.A.two[id-2,smoke]"], ["t.New.four[id-4]"], 1),
        ([], ["setUpClass (t.A)"], 1),
    ],
)
def test_the_comparison_tells(passed: list[str], failed: list[str], code: int, tmp_path: Path) -> None:
    """It fails for each test that must pass and did not, and for each that failed without being left out."""
    baseline, left_out = tmp_path / "baseline.txt", tmp_path / "left-out.txt"
    baseline.write_text("t.A.one[id-1]\nt.A.two[id-2,smoke]\nt.Later.three[id-3]\n")
    left_out.write_text("# later\n\\.Later\\.\n")
    for name, lines in (("pass.txt", passed), ("fail.txt", failed)):
        (tmp_path / name).write_text("".join(f"{line}\n" for line in lines))
    compared = compare(str(baseline), str(left_out), str(tmp_path))
    assert compared.returncode == code, compared.stdout
    assert "left out: 1 later" in compared.stdout
