"""``glimpse serve``: errors at start, and a successful start."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Glimpse

Conf = Callable[[str], Path]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class TestRefusals:
    """Each is one line on standard error and exit code 1."""

    def refused(self, glimpse: Glimpse, *arguments: object) -> str:
        result = glimpse("serve", *arguments)
        assert result.exit_code == 1
        assert len(result.stderr.splitlines()) == 1, result.stderr
        assert result.stderr.startswith("Error: ")
        return result.stderr

    def test_everybody_admin_beyond_loopback(self, glimpse: Glimpse, tmp_path: Path) -> None:
        assert "set [glimpse] auth to basic, headers or keystone" in self.refused(glimpse, "--host", "0.0.0.0")
        assert not (tmp_path / "data").exists()

    def test_tokens(self, glimpse: Glimpse, conf: Conf) -> None:
        message = self.refused(glimpse, "--config-file", conf("[paste_deploy]\nflavor = keystone\n"))
        assert "Keystone" in message

    def test_a_wrong_switch(self, glimpse: Glimpse) -> None:
        assert "[DEFAULT] bind_port = 99999 (--port)" in self.refused(glimpse, "--port", "99999")

    def test_a_data_directory_that_cannot_be_made(self, glimpse: Glimpse, tmp_path: Path) -> None:
        (tmp_path / "data").write_text("a file")
        assert "cannot be created" in self.refused(glimpse)

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
    def test_a_data_directory_that_cannot_be_written(self, glimpse: Glimpse, tmp_path: Path) -> None:
        (tmp_path / "data").mkdir(mode=0o500)
        assert "cannot be written" in self.refused(glimpse)

    def test_a_log_file_that_cannot_be_written(self, glimpse: Glimpse, conf: Conf, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        file = conf(f"[DEFAULT]\nlog_file = {tmp_path / 'file' / 'glimpse.log'}\n")
        assert "log file" in self.refused(glimpse, "--config-file", file)

    def test_a_database_that_is_not_ready(self, glimpse: Glimpse, conf: Conf, tmp_path: Path) -> None:
        with sqlite3.connect(tmp_path / "other.sqlite") as other:
            other.execute("CREATE TABLE accounts (id INTEGER)")
        other.close()
        file = conf(
            f"[database]\nconnection = sqlite:///{tmp_path / 'other.sqlite'}\n"
            f"[glance_store]\nfilesystem_store_datadir = {tmp_path / 'images'}\n"
        )
        assert "not an image database" in self.refused(glimpse, "--config-file", file)

    @pytest.mark.parametrize(("host", "reason"), [("127.0.0.1", "is in use"), ("no.such.host.invalid", "not resolve")])
    def test_an_address_that_cannot_be_had_before_the_database_is_waited_for(
        self, glimpse: Glimpse, conf: Conf, tmp_path: Path, host: str, reason: str
    ) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            file = conf(
                f"[DEFAULT]\nbind_host = {host}\nbind_port = {taken.getsockname()[1]}\n"
                "[glimpse]\nauth = headers\ntrusted_proxies = 127.0.0.1\n"
                # waiting for this database would take for ever, and the test with it
                "[database]\nconnection = postgresql://glance:DBPASS@127.0.0.1:1/glance\nmax_retries = -1\n"
                f"[glance_store]\nfilesystem_store_datadir = {tmp_path}/images\n"
            )
            assert reason in self.refused(glimpse, "--config-file", file)

    def test_waiting_for_a_database_is_said_on_the_terminal_and_in_the_log_file(
        self, glimpse: Glimpse, conf: Conf, tmp_path: Path
    ) -> None:
        file = conf(
            f"[DEFAULT]\nlog_file = {tmp_path}/glimpse.log\n"
            "[database]\nconnection = postgresql://glance:DBPASS@127.0.0.1:1/glance\n"
            "max_retries = 1\nretry_interval = 0\n"
            f"[glance_store]\nfilesystem_store_datadir = {tmp_path}/images\n"
        )
        for command in ("serve", "worker"):
            result = (
                glimpse(command, "--port", free_port(), "--config-file", file)
                if command == "serve"
                else glimpse(command, "--config-file", file)
            )
            told, refused = result.stderr.splitlines()
            assert told.startswith("The database does not answer; retrying in 0 seconds (")
            assert refused.startswith("Error: ")
            assert told in (tmp_path / "glimpse.log").read_text()

    def test_an_unreachable_database(self, glimpse: Glimpse, conf: Conf, tmp_path: Path) -> None:
        file = conf(
            "[database]\nconnection = postgresql://glance:DBPASS@127.0.0.1:1/glance\nmax_retries = 0\n"
            f"[glance_store]\nfilesystem_store_datadir = {tmp_path / 'images'}\n"
        )
        message = self.refused(glimpse, "--config-file", file)
        assert "postgresql://glance:***@127.0.0.1:1/glance" in message

    def test_a_store_that_cannot_work(self, glimpse: Glimpse, conf: Conf, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        file = conf(f"[glance_store]\nfilesystem_store_datadir = {tmp_path / 'file'}\n")
        assert "store default" in self.refused(glimpse, "--config-file", file)

    def test_a_port_in_use(self, glimpse: Glimpse) -> None:
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            assert "in use" in self.refused(glimpse, "--port", other.getsockname()[1])


def start(tmp_path: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "glimpse.cli", "serve", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
    )


def fetch(url: str, process: subprocess.Popen[str]) -> str:
    """The answer of ``url``, waited for while the service starts."""
    until = time.monotonic() + 40
    while time.monotonic() < until and process.poll() is None:
        try:
            with urllib.request.urlopen(url) as answer:
                return answer.read().decode()
        except urllib.error.URLError:
            time.sleep(0.1)
    process.kill()
    raise AssertionError(f"no answer from {url}: {process.communicate()[1]}")


@pytest.mark.system
def test_a_fresh_start_serves_and_ends_on_sigterm(tmp_path: Path) -> None:
    port = free_port()
    service = start(tmp_path, "--port", str(port))
    try:
        images = fetch(f"http://127.0.0.1:{port}/v2/images", service)
        service.send_signal(signal.SIGTERM)
        _, stderr = service.communicate(timeout=40)
    finally:
        service.kill()
    assert '"images":[]' in images
    assert service.returncode == 0, stderr
    assert f"Glimpse serves images at http://127.0.0.1:{port}" in stderr
    assert f"openstack --os-auth-type none --os-endpoint http://127.0.0.1:{port} image list" in stderr
    assert '"GET /v2/images" 200' in stderr
    assert (tmp_path / ".local" / "share" / "glimpse" / "glimpse.sqlite").is_file()


@pytest.mark.system
def test_metrics_of_several_workers_are_added_up(tmp_path: Path) -> None:
    port, metrics_port = free_port(), free_port()
    file = tmp_path / "glimpse.conf"
    file.write_text(f"[DEFAULT]\nbind_port = {port}\nworkers = 2\n[glimpse]\nmetrics_port = {metrics_port}\n")
    service = start(tmp_path, "--config-file", str(file))
    try:
        for _ in range(8):
            fetch(f"http://127.0.0.1:{port}/v2/images", service)
        counted, text = 0.0, ""
        idle = 'glimpse_jobs{kind="copy_removal",status="pending"} 0.0'
        until = time.monotonic() + 30
        while (counted < 8 or idle not in text) and time.monotonic() < until:
            text = fetch(f"http://127.0.0.1:{metrics_port}/metrics", service)
            counted = sum(
                float(line.rsplit(" ", 1)[1])
                for line in text.splitlines()
                if line.startswith("glimpse_requests_total") and 'status="200"' in line
            )
            time.sleep(0.2)
        service.send_signal(signal.SIGTERM)
        service.communicate(timeout=40)
    finally:
        service.kill()
    assert counted == 8
    assert idle in text
    assert service.returncode == 0


@pytest.mark.system
def test_exit_code_and_no_traceback_from_outside(tmp_path: Path) -> None:
    service = start(tmp_path, "--host", "0.0.0.0")
    _, stderr = service.communicate(timeout=40)
    assert service.returncode == 1
    assert "Traceback" not in stderr
    assert len(stderr.splitlines()) == 1
