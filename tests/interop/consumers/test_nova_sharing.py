"""Images of other projects, protected images, and snapshots that an administrator makes."""

from __future__ import annotations

from tests.interop.consumers.cloud import Cloud, Guests
from tests.interop.consumers.conftest import Note


def test_shared(cloud: Cloud, guests: Guests, note: Note) -> None:
    """Without membership, pending, accepted, and withdrawn while the server runs."""
    images, servers, project = cloud.images, cloud.servers, cloud.demo.project_id
    image = images.upload("alts", guests.converted("alpha"), user=cloud.alt, visibility="shared")
    refused = servers.refused("no", image)
    members = f"/images/{image}/members"
    cloud.alt.image("POST", members, json={"member": project}, expect=200)
    pending = servers.boot("pending", image)
    servers.token(pending)
    servers.delete(pending)
    cloud.demo.image("PUT", f"{members}/{project}", json={"status": "accepted"}, expect=200)
    server = servers.boot("accepted", image)
    servers.token(server)
    shown = images.wait(images.add(servers.snapshot(server, f"{cloud.run}-of-shared")))
    servers.wait(server)
    assert (shown["owner"], shown["base_image_ref"]) == (project, image)
    cloud.alt.image("DELETE", f"{members}/{project}", expect=204)
    servers.action(server, reboot={"type": "HARD"})
    servers.wait(server)
    servers.token(server, boots=2)
    servers.delete(server)
    note(f"without membership: {refused}; pending and accepted boot; withdrawn: reboots")


def test_community(cloud: Cloud, guests: Guests, note: Note) -> None:
    """A community image of another project, by its id."""
    image = cloud.images.upload("community", guests.converted("alpha"), user=cloud.alt, visibility="community")
    server = cloud.servers.boot("community", image)
    cloud.servers.token(server)
    cloud.servers.delete(server)
    note("boots")


def test_protected(cloud: Cloud, guests: Guests, note: Note) -> None:
    """A protected image cannot be deleted; the snapshot of its server can."""
    images, servers = cloud.images, cloud.servers
    image = images.upload("protected", guests.converted("alpha"), protected=True)
    server = servers.boot("protected", image)
    servers.token(server)
    images.delete(image, expect=403)
    snapshot = servers.snapshot(server, f"{cloud.run}-of-protected")
    assert images.wait(images.add(snapshot))["protected"] is False
    servers.wait(server)
    images.delete(snapshot)
    servers.delete(server)
    note("boots; delete answers 403; its snapshot can be deleted")


def test_snapshot_of_an_administrator(cloud: Cloud, alpha: str, note: Note) -> None:
    """The administrator owns the image, and Nova makes the project of the server a member."""
    images, servers = cloud.images, cloud.servers
    server = servers.boot("admins", alpha)
    servers.token(server)
    snapshot = images.add(servers.snapshot(server, f"{cloud.run}-by-admin", cloud.admin))
    shown = images.wait(snapshot, user=cloud.admin)
    servers.wait(server)
    members = cloud.admin.image("GET", f"/images/{snapshot}/members", expect=200).json()["members"]
    assert [member["member_id"] for member in members] == [cloud.demo.project_id]
    assert images.status(snapshot) == 200
    assert (shown["owner"], shown["visibility"]) == (cloud.admin.project_id, "shared")
    servers.delete(server)
    note(f"{shown['visibility']}; demo is a member ({members[0]['status']}) and sees it")
