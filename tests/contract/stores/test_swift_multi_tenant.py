"""Swift stores in the accounts of the projects, with real tokens of Keystone (store-formats 7.2 and 7.4)."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from glimpse.context import CALLER, Context
from glimpse.errors import AccessDenied, DataNotFound, DeletionDenied, ForeignLocation
from glimpse.settings.model import Secret
from glimpse.stores.base import AccessLists, ability
from glimpse.stores.swift.keystone import Keystone, TokenInfo
from glimpse.stores.swift.multi_tenant import MultiTenantStore
from glimpse.stores.swift.options import SwiftOptions
from tests.contract.stores.rigs import swift
from tests.contract.stores.rigs.base import new_id
from tests.support.images.content import noise
from tests.support.needs import unavailable

CONTENT = noise(40 << 20)

pytestmark = [pytest.mark.interop, pytest.mark.timeout(300)]


class Cloud:
    """A store, and users of Keystone. The service has the role of a reseller admin in Swift."""

    def __init__(self, **changes: object) -> None:
        self.options = swift.keystone_options(
            swift_store_user="service:glance", swift_store_multi_tenant=True, **changes
        )
        self.store = MultiTenantStore("objects", self.options, swift.TUNING)
        self.address = str(self.options.swift_store_auth_address)
        self.keystone = Keystone(self.address, self.store.connections, "test")
        self.key = self.options.swift_store_key

    def login(self, user: str, project: str) -> TokenInfo:
        domain = {"id": "default"}
        identity = {
            "methods": ["password"],
            "password": {"user": {"name": user, "domain": domain, "password": self.key}},
        }
        return self.keystone.authenticate(identity, {"project": {"name": project, "domain": domain}})

    def request(self, method: str, path: str, body: object = None) -> Any:
        token = self.login("admin", "admin").token
        answer = self.keystone._request(method, path, {"X-Auth-Token": token}, body)
        return msgspec.json.decode(answer.body) if answer.body else None

    @contextmanager
    def caller(self, user: str, project: str, *, catalog: bool = True) -> Iterator[TokenInfo]:
        """Calls in the block are made for a user."""
        info = self.login(user, project)
        context = Context(
            request_id="req", user_id=info.user_id, project_id=info.project_id, token=info.token,
            catalog=info.catalog if catalog else None,
        )  # fmt: skip
        before = CALLER.set(context)
        try:
            yield info
        finally:
            CALLER.reset(before)

    def put(self, data: bytes, image_id: str | None = None, size: int | None = None) -> str:
        writer = self.store.writer(image_id or new_id(), len(data) if size is None else size, "a1")
        writer.write(data)
        return writer.commit().url

    def get(self, url: str) -> bytes:
        reader = self.store.reader(url)
        found = b""
        while part := reader.read(1 << 20):
            found += part
        reader.close()
        return found


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    if not os.environ.get(swift.NEEDS):
        unavailable(f"{swift.NEEDS} names no server; dev/rigs starts one")
    made = Cloud(swift_store_container=f"mt-{uuid4().hex[:8]}")
    yield made
    with made.caller("demo", "demo"):
        left = list(made.store.own_containers())
    made.store.close()
    assert left == []


@pytest.fixture
def reseller(cloud: Cloud) -> None:
    """Gives the service the role for the accounts of all projects."""
    roles = cloud.request("GET", "/roles?name=ResellerAdmin")["roles"]
    role = roles[0] if roles else cloud.request("POST", "/roles", {"role": {"name": "ResellerAdmin"}})["role"]
    project = cloud.request("GET", "/projects?name=service")["projects"][0]["id"]
    user = cloud.request("GET", "/users?name=glance")["users"][0]["id"]
    cloud.request("PUT", f"/projects/{project}/users/{user}/roles/{role['id']}")


def _readers(store: MultiTenantStore) -> AccessLists:
    found = ability(store, AccessLists)
    assert found is not None
    return found


@pytest.mark.parametrize("catalog", [True, False])
def test_an_image_is_in_the_account_of_its_project(cloud: Cloud, catalog: bool):
    image_id = new_id()
    with cloud.caller("demo", "demo", catalog=catalog) as demo:
        url = cloud.put(b"data", image_id)
        container = f"{cloud.options.swift_store_container}_{image_id}"
        assert url.endswith(f"/v1/AUTH_{demo.project_id}/{container}/{image_id}")
        assert url.startswith("swift+http://")
        assert cloud.get(url) == b"data"
        assert cloud.store.size(url) == 4
        assert [(one.image_id, one.url) for one in cloud.store.objects()] == [(image_id, url)]
        cloud.store.check_delete(url)
        cloud.store.delete(url)
        with pytest.raises(DataNotFound):
            cloud.store.size(url)


@pytest.mark.usefixtures("reseller")
def test_a_job_writes_into_the_account_of_its_project(cloud: Cloud):
    image_id = new_id()
    with cloud.caller("demo", "demo") as demo:
        pass
    before = CALLER.set(Context(request_id="req", project_id=demo.project_id))
    try:
        url = cloud.put(CONTENT, image_id)
        _readers(cloud.store).set_readers(url, [])
    finally:
        CALLER.reset(before)
    assert f"/v1/AUTH_{demo.project_id}/" in url
    with cloud.caller("demo", "demo"):
        assert cloud.get(url) == CONTENT
        cloud.store.delete(url)


def test_who_may_read_is_what_the_access_list_says(cloud: Cloud):
    with cloud.caller("demo", "demo"):
        url = cloud.put(b"data")
    with cloud.caller("alt", "alt_demo") as alt, pytest.raises(AccessDenied):
        cloud.get(url)
    for readers in ([str(alt.project_id)], None):
        with cloud.caller("demo", "demo"):
            _readers(cloud.store).set_readers(url, readers)
        with cloud.caller("alt", "alt_demo"):
            assert cloud.get(url) == b"data"
    with cloud.caller("demo", "demo"):
        _readers(cloud.store).set_readers(url, [])
    with cloud.caller("alt", "alt_demo"), pytest.raises(AccessDenied):
        cloud.get(url)
    with cloud.caller("demo", "demo"):
        cloud.store.delete(url)


def test_a_failed_upload_leaves_no_container(cloud: Cloud):
    with cloud.caller("demo", "demo"):
        writer = cloud.store.writer(new_id(), None, "a1")
        writer.write(CONTENT)
        writer.abort()
        assert list(cloud.store.own_containers()) == []
        image_id = new_id()
        cloud.store.writer(image_id, None, "dead").write(CONTENT)
        assert cloud.store.sweep(image_id, "dead") is True
        assert cloud.store.sweep(image_id, "dead") is False


def test_the_trust_of_an_upload_is_deleted_at_its_end(cloud: Cloud):
    with cloud.caller("demo", "demo") as demo:
        path = f"/OS-TRUST/trusts?trustor_user_id={demo.user_id}"
        before = {trust["id"] for trust in cloud.request("GET", path)["trusts"]}
        writer = cloud.store.writer(new_id(), None, "a1")
        writer.write(b"data")
        created = {trust["id"] for trust in cloud.request("GET", path)["trusts"]} - before
        cloud.store.delete(writer.commit().url)
        assert len(created) == 1
        assert created.isdisjoint(trust["id"] for trust in cloud.request("GET", path)["trusts"])


def test_an_upload_outlives_the_token_of_its_user(cloud: Cloud):
    """With a trust, which expires by itself if Keystone does not let it be deleted without the user's token."""
    with cloud.caller("demo", "demo") as demo:
        path = f"/OS-TRUST/trusts?trustor_user_id={demo.user_id}"
        before = {trust["id"] for trust in cloud.request("GET", path)["trusts"]}
        writer = cloud.store.writer(new_id(), None, "a1")
        writer.write(CONTENT[: 20 << 20])
        trusts = cloud.request("GET", path)["trusts"]
        assert [bool(trust["expires_at"]) for trust in trusts if trust["id"] not in before] == [True]
        _revoke(cloud, demo.token)
        writer.write(CONTENT[20 << 20 :])
        url = writer.commit().url
    with cloud.caller("demo", "demo"):
        assert cloud.get(url) == CONTENT
        cloud.store.delete(url)


def test_without_trusts_an_upload_ends_with_the_token():
    if not os.environ.get(swift.NEEDS):
        unavailable(f"{swift.NEEDS} names no server; dev/rigs starts one")
    cloud = Cloud(swift_store_container=f"mt-{uuid4().hex[:8]}", swift_store_use_trusts=False)
    image_id = new_id()
    with cloud.caller("demo", "demo") as demo:
        writer = cloud.store.writer(image_id, None, "a1")
        writer.write(CONTENT[: 20 << 20])
        _revoke(cloud, demo.token)

        def rest() -> None:
            writer.write(CONTENT)
            writer.commit()

        with pytest.raises(AccessDenied):
            rest()
        writer.abort()
    with cloud.caller("demo", "demo"):
        assert cloud.store.sweep(image_id, "a1") is True
    cloud.store.close()


@pytest.mark.usefixtures("reseller")
def test_jobs_use_the_account_of_the_service(cloud: Cloud):
    with cloud.caller("demo", "demo") as demo:
        url = cloud.put(b"data")
        image_id = new_id()
        cloud.store.writer(image_id, 4, "dead").write(b"data")
    before = CALLER.set(Context(request_id="req", project_id=demo.project_id))
    try:
        assert cloud.get(url) == b"data"
        assert cloud.store.sweep(image_id, "dead") is True
        cloud.store.delete(url)
    finally:
        CALLER.reset(before)


@pytest.mark.usefixtures("reseller")
def test_the_service_uses_its_account_only_for_the_project_that_it_works_for(cloud: Cloud):
    """A user may have added the location of anything in the cluster."""
    with cloud.caller("demo", "demo") as demo:
        url = cloud.put(b"data")
        account = url.rpartition("/")[0].rpartition("/")[0]
        container, headers = f"{account.removeprefix('swift+')}/private", {"X-Auth-Token": demo.token}
        cloud.store.connections.request("PUT", container, headers)
        cloud.store.connections.request("PUT", f"{container}/x", headers, b"secret")
    private = f"{account}/private/x"
    other = str(cloud.login("alt", "alt_demo").project_id)
    before = CALLER.set(Context(request_id="req", project_id=other))
    try:
        _require_refusals(cloud.store, private)
        with pytest.raises(AccessDenied):
            cloud.store.reader(url)
        with pytest.raises(DeletionDenied):
            _readers(cloud.store).set_readers(private, None)
    finally:
        CALLER.reset(before)
    with cloud.caller("alt", "alt_demo"):
        _require_refusals(cloud.store, private)
    with cloud.caller("demo", "demo"):
        assert cloud.get(private) == b"secret"
        cloud.store.delete(private)
    before = CALLER.set(Context(request_id="req", project_id=other))
    try:
        # an administrator of another project deleted the image, and Swift was down
        cloud.store.delete(url)
    finally:
        CALLER.reset(before)


def _require_refusals(store: MultiTenantStore, url: str) -> None:
    """Require that the store neither reads nor deletes an object."""
    for call in (store.reader, store.size):
        with pytest.raises(AccessDenied):
            call(url)
    for call in (store.delete, store.check_delete):
        with pytest.raises(DeletionDenied):
            call(url)


def test_without_a_caller_and_without_the_role_nothing_is_read(cloud: Cloud):
    with cloud.caller("demo", "demo"):
        url = cloud.put(b"data")
    plain = SwiftOptions(
        swift_store_auth_address=cloud.address, swift_store_multi_tenant=True,
        swift_store_container=cloud.options.swift_store_container,
    )  # fmt: skip
    store = MultiTenantStore("objects", plain, swift.TUNING)
    with pytest.raises(AccessDenied):
        store.size(url)
    with pytest.raises(AccessDenied):
        store.writer(new_id(), None, "a1")
    store.close()
    with cloud.caller("demo", "demo"):
        cloud.store.delete(url)


def test_a_token_is_not_sent_to_another_host(cloud: Cloud):
    with cloud.caller("demo", "demo") as demo:
        for url in (
            f"swift+http://127.0.0.1:9/v1/AUTH_{demo.project_id}/glance_x/x",
            f"swift+https://elsewhere/v1/AUTH_{demo.project_id}/glance_x/x",
            f"swift+http://user:key@127.0.0.1:9/v1/AUTH_{demo.project_id}/glance_x/x",
            "swift+config://ref1/glance/x",
        ):
            with pytest.raises(ForeignLocation):
                cloud.store.reader(url)


def _revoke(cloud: Cloud, token: Secret) -> None:
    """Revoke a token, and let Swift forget that it was valid."""
    headers = {"X-Auth-Token": token, "X-Subject-Token": token}
    cloud.store.connections.request("DELETE", f"{cloud.address.rstrip('/')}/auth/tokens", headers)
    swift.forget_tokens()
    time.sleep(0.1)
