"""Locations of RBD images, and the cluster's id in ceph.conf."""

from pathlib import Path

import pytest

from glimpse.errors import ForeignLocation
from glimpse.stores.rbd.ceph_conf import cluster_id
from glimpse.stores.rbd.options import RbdOptions, details, object_order, url_prefixes
from glimpse.stores.rbd.uri import RbdLocation, location_url, parsed, unfinished_name, unfinished_parts

FSID = "ce8c2c21-370f-4394-aab6-0f3a52de241a"


@pytest.mark.parametrize(
    ("url", "location"),
    [
        (f"rbd://{FSID}/images/a1/snap", RbdLocation("a1", FSID, "images", "snap")),
        (f"  rbd://{FSID}/images/a1/snap\n", RbdLocation("a1", FSID, "images", "snap")),
        (f"RBD://{FSID}/images/a1/snap", RbdLocation("a1", FSID, "images", "snap")),
        (f"rbd://{FSID}/my%2Fpool/a%20b/snap%251", RbdLocation("a b", FSID, "my/pool", "snap%1")),
        (f"rbd://{FSID}/p%C3%B6%C3%B6l/a1/snap", RbdLocation("a1", FSID, "pööl", "snap")),
        ("rbd://a1", RbdLocation("a1")),
        ("rbd://a%2Fb", RbdLocation("a/b")),
    ],
)
def test_both_forms_are_read(url: str, location: RbdLocation):
    assert parsed(url, "ceph") == location


@pytest.mark.parametrize(
    "url",
    [
        "rbd://",
        "rbd:///",
        "rbd://pool/a1",
        f"rbd://{FSID}/images/a1",
        f"rbd://{FSID}/images/a1/",
        f"rbd://{FSID}//a1/snap",
        f"rbd://{FSID}/images/a1/snap/",
        f"rbd://{FSID}/images/.a1.b2.partial/snap",
        f"rbd://{FSID}/images/%2Ea1.b2.partial/snap",
        "rbd://.a1.b2.partial",
        "rbd://a%00b",
        "rbd://a%0Ab",
        "rbd://%ff",
        "rbd://a\udc80",
        f"file://{FSID}/images/a1/snap",
        "a1",
        "",
    ],
)
def test_other_locations_are_refused(url: str):
    with pytest.raises(ForeignLocation):
        parsed(url, "ceph")


def test_a_location_that_is_written_is_read_again():
    url = location_url(FSID, "my/pool", "a1")
    assert url == f"rbd://{FSID}/my%2Fpool/a1/snap"
    assert parsed(url, "ceph") == RbdLocation("a1", FSID, "my/pool", "snap")


def test_unfinished_names():
    assert unfinished_parts(unfinished_name("a.b-1", "c2")) == ("a.b-1", "c2")
    for name in ("a1", ".a1.partial", ".a1.b2.partial2", "x.a1.b2.partial", ".a1.b-2.partial"):
        assert unfinished_parts(name) is None


@pytest.mark.parametrize(
    "text",
    [
        f"[global]\nfsid = {FSID}\n",
        f"fsid={FSID}\n",
        f'[global]\n  FSID = "{FSID}" ; the cluster\n[client]\nfsid = other\n',
        f"# fsid = other\n[client.glance]\nkeyring = /x\n[global]\nmon host = a\nfsid = {FSID} # here\n",
        f"[osd]\nfsid = other\n[global]\nfsid = former\nfsid = {FSID}\n",
    ],
)
def test_the_id_of_a_cluster(tmp_path: Path, text: str):
    file = tmp_path / "ceph.conf"
    file.write_text(text, encoding="utf-8")
    assert cluster_id(str(file)) == FSID
    options = RbdOptions(rbd_store_ceph_conf=str(file), rbd_store_pool="my pool")
    assert url_prefixes("ceph", options) == (f"rbd://{FSID}/my%20pool/",)
    assert details(options) == {
        "chunk_size": 8 << 20, "pool": "my pool", "thin_provisioning": False, "fsid": FSID,
    }  # fmt: skip


@pytest.mark.parametrize("text", ["", "[global]\nmon host = a\n", "[client]\nfsid = x\n", "[global]\nfsid =\n", None])
def test_a_cluster_without_an_id(tmp_path: Path, text: str | None):
    file = tmp_path / "ceph.conf"
    if text is not None:
        file.write_text(text, encoding="utf-8")
    assert cluster_id(str(file)) is None
    assert url_prefixes("ceph", RbdOptions(rbd_store_ceph_conf=str(file))) == ()


def test_the_configuration_file_in_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = tmp_path / "mine.conf"
    file.write_text(f"[global]\nfsid = {FSID}\n", encoding="utf-8")
    monkeypatch.setenv("CEPH_CONF", str(file))
    assert cluster_id("") == FSID


@pytest.mark.parametrize(("size", "order"), [(1, 20), (4, 22), (7, 22), (8, 23), (32, 25)])
def test_the_size_of_objects_is_a_power_of_two(size: int, order: int):
    assert object_order(RbdOptions(rbd_store_chunk_size=size)) == order
