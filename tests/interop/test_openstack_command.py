"""``openstack image``, beyond what docs/user/first-image.md shows."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from tests.interop.conftest import PASSWORDS
from tests.support.clients import Client
from tests.support.images import HOSTILE, VALID
from tests.support.service import Service

NO_IMAGE = "ac9e5a10-6a5a-4b2f-b8a3-0a5a3a3a3a3a"


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """A bootable disk in a file."""
    path = tmp_path / "disk.raw"
    path.write_bytes(VALID["boot-disk"].build())
    return path


@pytest.fixture
def as_user(programs: Path, basic_service: Service, tmp_path: Path):
    """The ``openstack`` command as a user of the service with names and passwords."""

    def client(name: str, password: str | None = None) -> Client:
        settings = {
            "OS_AUTH_TYPE": "http_basic",
            "OS_ENDPOINT": f"{basic_service.url}/v2",
            "OS_USERNAME": name,
            "OS_PASSWORD": PASSWORDS[name] if password is None else password,
        }
        return Client(programs / "openstack", tmp_path, settings)

    return client


def test_set_and_unset(openstack: Client) -> None:
    image = openstack.json(
        "image", "create", "--property", "os_distro=debian", "--property", "colour=blue", "--tag", "one", "described"
    )
    image_id = image["id"]
    openstack.ok(
        "image", "set", "--name", "renamed", "--min-disk", "2", "--min-ram", "256", "--private", "--protected",
        "--property", "os_version=13", "--property", "colour=green", "--tag", "two", "--os-distro", "ubuntu",
        "--disk-format", "qcow2", image_id,
    )  # fmt: skip
    shown = openstack.json("image", "show", image_id)
    assert (shown["name"], shown["min_disk"], shown["min_ram"]) == ("renamed", 2, 256)
    assert (shown["visibility"], shown["protected"], shown["disk_format"]) == ("private", True, "qcow2")
    assert sorted(shown["tags"]) == ["one", "two"]
    properties = {name: shown["properties"][name] for name in ("os_distro", "os_version", "colour")}
    assert properties == {"os_distro": "ubuntu", "os_version": "13", "colour": "green"}
    openstack.ok("image", "unset", "--tag", "one", "--property", "colour", image_id)
    shown = openstack.json("image", "show", image_id)
    assert shown["tags"] == ["two"]
    assert "colour" not in shown["properties"]
    assert "protected" in openstack.refused("image", "delete", image_id)
    openstack.ok("image", "set", "--unprotected", image_id)
    openstack.ok("image", "delete", "renamed")


def test_list_filters_sorts_and_pages(openstack: Client) -> None:
    for number in range(5):
        arguments = ["--tag", "listed", "--property", f"shelf={number % 2}", f"listed {number}"]
        openstack.ok("image", "create", *arguments)

    def names(*arguments: str) -> list[str]:
        return [image["Name"] for image in openstack.json("image", "list", "--tag", "listed", *arguments)]

    assert names("--sort", "name:desc") == [f"listed {number}" for number in (4, 3, 2, 1, 0)]
    # the newest two: the service is not told the order, the command sorts what it gets
    assert names("--sort", "name:asc", "--limit", "2") == ["listed 3", "listed 4"]
    assert sorted(names("--property", "shelf=1")) == ["listed 1", "listed 3"]
    assert names("--name", "listed 3") == ["listed 3"]
    assert names("--status", "active") == []
    second = openstack.json("image", "list", "--name", "listed 2")[0]["ID"]
    assert sorted(names("--marker", second)) == ["listed 0", "listed 1"]
    openstack.ok("image", "delete", *(f"listed {number}" for number in range(5)))


def test_data_from_standard_input_and_to_standard_output(openstack: Client, disk: Path) -> None:
    ended = openstack.run("image", "create", "-f", "json", "--disk-format", "raw", "piped", stdin=disk.read_bytes())
    assert ended.returncode == 0, ended.stderr
    image_id = json.loads(ended.stdout)["id"]
    shown = openstack.json("image", "show", image_id)
    assert shown["status"] == "active"
    assert shown["properties"]["os_hash_value"] == hashlib.sha512(disk.read_bytes()).hexdigest()
    openstack.ok("image", "delete", image_id)


def test_an_image_without_data_is_queued(openstack: Client, tmp_path: Path) -> None:
    image_id = openstack.json("image", "create", "--disk-format", "raw", "empty")["id"]
    assert openstack.json("image", "show", image_id)["status"] == "queued"
    saved = tmp_path / "nothing"
    openstack.ok("image", "save", "--file", saved, image_id)
    assert saved.read_bytes() == b""
    openstack.ok("image", "delete", image_id)


def test_refusals_are_sentences(openstack: Client, tmp_path: Path) -> None:
    assert NO_IMAGE in openstack.refused("image", "show", NO_IMAGE)
    openstack.refused("image", "delete", NO_IMAGE)
    hostile = tmp_path / "hostile.qcow2"
    hostile.write_bytes(HOSTILE["qcow2-backing-file"].build())
    told = openstack.refused("image", "create", "--disk-format", "qcow2", "--file", hostile, "hostile")
    assert "415" in told, told
    assert "backing" in told, told
    assert [image["Status"] for image in openstack.json("image", "list", "--name", "hostile")] in ([], ["queued"])
    wrong = openstack.refused("image", "create", "--disk-format", "exe", "wrong format")
    assert "exe" in wrong, wrong


def test_users_see_what_is_theirs(as_user, disk: Path, tmp_path: Path) -> None:
    alice, bob, root = as_user("alice"), as_user("bob"), as_user("root")
    image = alice.json("image", "create", "--disk-format", "raw", "--file", disk, "of-alice")
    assert image["owner"] == "physics"
    assert [found["Name"] for found in bob.json("image", "list")] == []
    bob.refused("image", "show", image["id"])
    bob.refused("image", "delete", image["id"])
    bob.refused("image", "set", "--name", "mine", image["id"])
    assert "403" in alice.refused("image", "set", "--public", image["id"])
    root.ok("image", "set", "--public", image["id"])
    assert [found["Name"] for found in bob.json("image", "list")] == ["of-alice"]
    saved = tmp_path / "saved"
    bob.ok("image", "save", "--file", saved, image["id"])
    assert saved.read_bytes() == disk.read_bytes()
    alice.ok("image", "set", "--deactivate", image["id"])
    bob.refused("image", "save", "--file", tmp_path / "again", image["id"])
    alice.ok("image", "set", "--activate", image["id"])
    alice.ok("image", "delete", image["id"])
    assert [found["Name"] for found in root.json("image", "list")] == []


def test_a_wrong_password_is_401(as_user) -> None:
    told = as_user("alice", "wrong").refused("image", "list")
    assert "401" in told, told
