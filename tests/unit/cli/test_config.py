"""``glimpse config``."""

from __future__ import annotations

import json
import socket
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Glimpse

Conf = Callable[[str], Path]

SECRETIVE = """
[DEFAULT]
transport_url = rabbit://openstack:RABBITPASS@controller
user_storage_quota = 10GB
registry_host = 10.0.0.1
image_cache_dir = /var/cache
[database]
connection = mysql+pymysql://glance:DBPASS@controller/glance
[keystone_authtoken]
password = SERVICEPASS
"""

REMARKABLE = SECRETIVE.replace("connection = mysql+pymysql://glance:DBPASS@controller/glance", "max_retries = 0")


class TestShow:
    def test_defaults(self, glimpse: Glimpse, tmp_path: Path) -> None:
        result = glimpse("config", "show")
        assert result.exit_code == 0
        assert f"data_dir = {tmp_path / 'data'}" in result.output
        assert "bind_port = 9292" in result.output

    def test_no_secret(self, glimpse: Glimpse, conf: Conf) -> None:
        file = conf(SECRETIVE)
        for form in ((), ("--json",)):
            output = glimpse("config", "show", "--config-file", file, *form).output
            assert "mysql+pymysql://glance:***@controller/glance" in output
            for secret in ("DBPASS", "RABBITPASS", "SERVICEPASS"):
                assert secret not in output

    def test_json(self, glimpse: Glimpse, conf: Conf) -> None:
        file = conf("[DEFAULT]\nworkers = 3\n")
        content = json.loads(glimpse("config", "show", "--json", "--config-file", file).output)
        assert content["config_files"] == [str(file)]
        assert content["settings"]["DEFAULT"]["workers"] == 3

    def test_the_switch_wins(self, glimpse: Glimpse) -> None:
        assert "data_dir = /srv/elsewhere" in glimpse("config", "show", "--data-dir", "/srv/elsewhere").output

    def test_directories(self, glimpse: Glimpse, tmp_path: Path) -> None:
        (tmp_path / "conf").mkdir()
        (tmp_path / "conf" / "10.conf").write_text("[DEFAULT]\nbind_port = 1234\n")
        assert "bind_port = 1234" in glimpse("config", "show", "--config-dir", tmp_path / "conf").output

    def test_a_wrong_file(self, glimpse: Glimpse, conf: Conf) -> None:
        file = conf("[DEFAULT]\nbind_port = none\n")
        result = glimpse("config", "show", "--config-file", file)
        assert result.exit_code == 1
        assert result.stderr == (
            f"Error: [DEFAULT] bind_port = none ({file}): must be a whole number from 1 to 65535\n"
        )

    def test_a_missing_file(self, glimpse: Glimpse, tmp_path: Path) -> None:
        result = glimpse("config", "show", "--config-file", tmp_path / "none.conf")
        assert result.exit_code == 1
        assert "none.conf cannot be read: No such file or directory." in result.stderr
        assert len(result.stderr.splitlines()) == 1


class TestCheck:
    def test_usable(self, glimpse: Glimpse) -> None:
        result = glimpse("config", "check")
        assert (result.exit_code, result.output) == (0, "The configuration is valid.\n")

    def test_changes_nothing(self, glimpse: Glimpse, tmp_path: Path) -> None:
        glimpse("config", "check")
        assert list(tmp_path.iterdir()) == []

    def test_remarks(self, glimpse: Glimpse, conf: Conf) -> None:
        result = glimpse("config", "check", "--config-file", conf(REMARKABLE))
        assert result.exit_code == 0, result.stderr
        lines = result.output.splitlines()
        assert any("[DEFAULT] image_cache_dir" in line and "not used in this version" in line for line in lines)
        assert any("[DEFAULT] registry_host" in line and "removed" in line for line in lines)
        assert not any("user_storage_quota" in line for line in lines)

    def test_a_wrong_value(self, glimpse: Glimpse, conf: Conf) -> None:
        result = glimpse("config", "check", "--config-file", conf("[glimpse]\nauth = ldap\n"))
        assert result.exit_code == 1
        assert "[glimpse] auth = ldap" in result.stderr
        assert "can be used" not in result.output

    def test_tokens_need_a_keystone(self, glimpse: Glimpse, conf: Conf) -> None:
        result = glimpse("config", "check", "--config-file", conf("[paste_deploy]\nflavor = keystone\n"))
        assert result.exit_code == 1
        assert "Keystone" in result.stderr

    def test_files_of_other_parts_are_read(self, glimpse: Glimpse, conf: Conf, tmp_path: Path) -> None:
        file = conf("[glimpse]\nauth = basic\nhtpasswd_file = /nowhere/htpasswd\n")
        result = glimpse("config", "check", "--config-file", file)
        assert result.exit_code == 1
        assert "/nowhere/htpasswd" in result.stderr

    def test_drivers_of_notifications_are_looked_for(self, glimpse: Glimpse, conf: Conf) -> None:
        driver = "[oslo_messaging_notifications]\ndriver = {}\ntransport_url = rabbit://a:s3cr3t@bus/\n"
        assert glimpse("config", "check", "--config-file", conf(driver.format("messagingv2"))).exit_code == 0
        result = glimpse("config", "check", "--config-file", conf(driver.format("pigeon")))
        assert result.exit_code == 1
        assert "[oslo_messaging_notifications] driver = pigeon" in result.stderr
        assert "s3cr3t" not in result.stderr

    def test_policy_is_read(self, glimpse: Glimpse, conf: Conf, tmp_path: Path) -> None:
        file = conf("")
        (tmp_path / "policy.yaml").write_text("get_image: [")
        result = glimpse("config", "check", "--config-file", file)
        assert result.exit_code == 1
        assert "policy.yaml" in result.stderr

    def test_errors_warnings_and_notes_are_told_together_in_that_order(
        self, glimpse: Glimpse, conf: Conf, tmp_path: Path
    ) -> None:
        (tmp_path / "policy.yaml").write_text("get_imges: role:admin\nmine: role:x\nget_image: rule:mine\n")
        (tmp_path / "file").write_text("")
        file = conf(
            "[DEFAULT]\nbind_prot = 1\nbacklog = 5\nbind_host = 192.0.2.1\n"
            "[glimpse]\nauth = basic\nhtpasswd_file = /nowhere/htpasswd\n"
            "[database]\nconnection = postgresql://glance:DBPASS@127.0.0.1:1/glance\n"
            f"[glance_store]\nfilesystem_store_datadir = {tmp_path}/file/images\n"
        )
        result = glimpse("config", "check", "--config-file", file)
        assert result.exit_code == 1
        errors = result.stderr.splitlines()
        assert len(errors) == 4, errors
        for text in ("/nowhere/htpasswd", f"{tmp_path}/file is not a directory", "no such address", "127.0.0.1:1"):
            assert [line for line in errors if text in line and line.startswith("Error: ")], text
        assert [line.partition(":")[0] for line in result.stdout.splitlines()] == ["Warning", "Warning", "Note"]
        assert "did you mean [DEFAULT] bind_port?" in result.stdout
        assert "The rule get_imges" in result.stdout
        assert "did you mean get_images?" in result.stdout
        assert "DBPASS" not in result.output

    def test_several_wrong_values(self, glimpse: Glimpse, conf: Conf) -> None:
        file = conf("[glimpse]\nauth = ldap\n[DEFAULT]\nworkers = many\n")
        for command in (("config", "check"), ("serve",), ("db", "check")):
            result = glimpse(*command, "--config-file", file)
            assert result.exit_code == 1
            assert [line.split()[2] for line in result.stderr.splitlines()] == ["auth", "workers"]

    def test_warnings_are_errors_when_strict(self, glimpse: Glimpse, conf: Conf) -> None:
        file = conf("[DEFAULT]\nbind_prot = 1\n")
        assert glimpse("config", "check", "--config-file", file).exit_code == 0
        result = glimpse("config", "check", "--strict", "--config-file", file)
        assert result.exit_code == 1
        assert "--strict" in result.stderr
        assert "can be used" not in result.output
        for command in ("serve", "worker"):
            result = glimpse(command, "--strict", "--config-file", file)
            assert result.exit_code == 1
            assert "did you mean [DEFAULT] bind_port?" in result.stderr

    def test_a_database_that_serve_would_refuse(self, glimpse: Glimpse, conf: Conf, tmp_path: Path) -> None:
        with sqlite3.connect(tmp_path / "other.sqlite") as other:
            other.execute("CREATE TABLE accounts (id INTEGER)")
        other.close()
        file = conf(
            f"[database]\nconnection = sqlite:///{tmp_path}/other.sqlite\n"
            f"[glance_store]\nfilesystem_store_datadir = {tmp_path}/images\n"
        )
        result = glimpse("config", "check", "--config-file", file)
        assert result.exit_code == 1
        assert "not an image database" in result.stderr
        assert f"Note: Store default: the data directory {tmp_path}/images will be created" in result.stdout
        assert not (tmp_path / "images").exists()

    def test_a_port_in_use_is_a_warning(self, glimpse: Glimpse, conf: Conf) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            result = glimpse(
                "config", "check", "--config-file", conf(f"[DEFAULT]\nbind_port = {taken.getsockname()[1]}")
            )
        assert result.exit_code == 0
        assert "Warning: Cannot listen on 127.0.0.1:" in result.stdout

    def test_json(self, glimpse: Glimpse, conf: Conf) -> None:
        content = json.loads(glimpse("config", "check", "--json", "--config-file", conf(REMARKABLE)).output)
        assert content["usable"] is True
        assert (len(content["warnings"]), len(content["notes"])) == (0, 2)
        result = glimpse("config", "check", "--json", "--config-file", conf("[glimpse]\nauth = ldap\n"))
        content = json.loads(result.output)
        assert (result.exit_code, content["usable"], len(content["errors"])) == (1, False, 1)


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("connection = mysql://glance:DBPASS@h/glance?sslmode=require", "[database] connection: The"),
        ("connection = mysql://glance:DBPASS@h/glance?ssl_ca=/no/such/file", "ssl_ca"),
        ("connection = oracle://glance:DBPASS@h/glance", "oracle"),
        ("slave_connection = postgresql://glance:DBPASS@h/glance?charset=utf8", "[database] slave_connection: "),
    ],
)
def test_a_database_url_that_cannot_be_used(glimpse: Glimpse, conf: Conf, option: str, said: str) -> None:
    file = conf(f"[database]\n{option}\n")
    for command in (("config", "check"), ("serve",)):
        result = glimpse(*command, "--config-file", file)
        assert result.exit_code == 1
        assert said in result.stderr
        assert "DBPASS" not in result.output
