"""Auth ``keystone`` against a real Keystone, through the ASGI application (images-api 5.1)."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from starlette.datastructures import Headers

from glimpse.auth.base import Credentials
from glimpse.auth.keystone import KeystoneAuth
from glimpse.errors import Unauthenticated
from glimpse.settings.model import Auth, Secret
from tests.interop.keystone_rig import KeystoneRig, Switch, keystone_rig
from tests.support.needs import unavailable
from tests.support.wire import Answer, Wire, settings_in, wired

with warnings.catch_warnings():
    # WebOb, which keystonemiddleware needs, imports a module that Python 3.11 and 3.12 warn of
    warnings.simplefilter("ignore", DeprecationWarning)
    import webob.compat  # noqa: F401

Start = Callable[..., Wire]
NO_IMAGE = "/v2/images/ac9e5a10-6a5a-4b2f-b8a3-0a5a3a3a3a3a"


@pytest.fixture
def keystone() -> Iterator[KeystoneRig]:
    rig = keystone_rig()
    yield rig
    rig.clean()


def secrets(options: dict[str, str]) -> dict[str, dict[str, Secret]]:
    return {"keystone_authtoken": {name: Secret(text) for name, text in options.items()}}


@pytest.fixture
def start(keystone: KeystoneRig, tmp_path: Path) -> Iterator[Start]:
    """Start a service; keywords are options of ``[keystone_authtoken]``."""
    with ExitStack() as running:

        def service(*, remembered: float = 10.0, anonymous: bool = False, **options: str) -> Wire:
            texts = secrets(keystone.options(**options))
            auth = Auth(
                kind="keystone", keystone=texts, token_cache_time=remembered, allow_anonymous_access=anonymous
            )  # fmt: skip
            return running.enter_context(wired(settings_in(tmp_path, auth=auth)))

        yield service


def ask(service: Wire, token: str, method: str = "GET", target: str = "/v2/images", **headers: str) -> Answer:
    """A request with a token, and with further headers, whose names have underscores for dashes."""
    more = {name.replace("_", "-"): value for name, value in headers.items()}
    body = {"name": "x", "disk_format": "raw", "container_format": "bare"} if method == "POST" else None
    return service(method, target, headers={"X-Auth-Token": token, **more}, json_body=body, identity=False)


def test_users_and_their_projects(start: Start, keystone: KeystoneRig) -> None:
    service = start()
    member, reader = keystone.token("demo", "demo"), keystone.token("reader", "demo")
    other, admin = keystone.token("alt", "alt_demo"), keystone.token("admin", "admin")
    created = ask(service, member, "POST")
    assert created.status == 201, created
    image = created.json
    assert image["owner"] == keystone.project_id("demo")
    target = f"/v2/images/{image['id']}"
    assert [ask(service, token, target=target).status for token in (member, reader, other, admin)] == [
        200, 200, 404, 200,
    ]  # fmt: skip
    assert ask(service, reader, "POST").status == 403
    assert ask(service, reader, "DELETE", target).status in {403, 404}
    assert ask(service, other, "DELETE", target).status == 404
    assert ask(service, admin, "DELETE", target).status == 204


def test_the_header_of_old(start: Start, keystone: KeystoneRig) -> None:
    service = start()
    token = keystone.token("reader", "demo")
    assert service("GET", "/v2/images", headers={"X-Storage-Token": token}, identity=False).status == 200


@pytest.mark.parametrize("path", ["/v2/images", "/v2/nothing", NO_IMAGE])
@pytest.mark.parametrize("token", [None, "", "forged", "gAAAAA" + "x" * 177, "a b"])
def test_without_a_valid_token_401(start: Start, token: str | None, path: str, keystone: KeystoneRig) -> None:
    headers = {
        "X-Identity-Status": "Confirmed", "X-Roles": "admin", "X-User-Id": "eve", "X-Project-Id": "p",
        **({} if token is None else {"X-Auth-Token": token}),
    }  # fmt: skip
    answer = start()("GET", path, headers=headers, identity=False)
    assert answer.status == 401
    assert answer.headers["www-authenticate"] == f'Keystone uri="{keystone.url.removesuffix("/v3")}"'


def test_no_token_for_versions_and_health(start: Start) -> None:
    service = start()
    statuses = [service(method, path, identity=False).status for method, path in (
        ("GET", "/"), ("GET", "/versions"), ("GET", "/healthcheck"), ("OPTIONS", "/v2/images"),
    )]  # fmt: skip
    assert statuses == [300, 200, 200, 200]


def test_anonymous_access(start: Start, keystone: KeystoneRig) -> None:
    service = start(anonymous=True)
    assert service("GET", NO_IMAGE, identity=False).status == 404
    assert service("POST", "/v2/images", json_body={}, identity=False).status == 403
    assert ask(service, "forged").status == 401
    assert ask(service, keystone.token("reader", "demo")).status == 200


class TestEndedTokens:
    def test_revoked_with_no_cache(self, start: Start, keystone: KeystoneRig) -> None:
        service = start(token_cache_time="-1")
        token = keystone.token("reader", "demo")
        assert ask(service, token).status == 200
        keystone.revoke(token)
        assert ask(service, token).status == 401

    def test_revoked_goes_on_for_the_time_of_both_caches(self, start: Start, keystone: KeystoneRig) -> None:
        service = start(remembered=1, token_cache_time="1")
        token = keystone.token("reader", "demo")
        assert ask(service, token).status == 200
        keystone.revoke(token)
        assert ask(service, token).status == 200
        time.sleep(2.1)
        assert ask(service, token).status == 401

    def test_a_disabled_user(self, start: Start, keystone: KeystoneRig) -> None:
        user, project = keystone.new_user(), keystone.new_project()
        keystone.grant(user, "reader", f"/projects/{project['id']}")
        service = start(token_cache_time="-1")
        token = keystone.token(user["name"], project["name"])
        assert ask(service, token).status == 200
        keystone.call("PATCH", f"/users/{user['id']}", {"user": {"enabled": False}})
        assert ask(service, token).status == 401

    def test_expired_counts_with_a_service_token_only(self, start: Start, keystone: KeystoneRig) -> None:
        user, project = keystone.new_user(), keystone.new_project()
        keystone.grant(user, "reader", f"/projects/{project['id']}")
        soon = (datetime.now(UTC) + timedelta(seconds=4)).strftime("%Y-%m-%dT%H:%M:%S")
        token = keystone.new_application_credential(user, project, expires_at=soon).get_token() or ""
        service = start()
        assert ask(service, token).status == 200
        time.sleep(5)
        assert ask(service, token).status == 401
        assert ask(service, token, X_Service_Token=keystone.token("demo", "demo")).status == 401
        assert ask(service, token, X_Service_Token=keystone.token("glance", "service")).status == 200


class TestServiceTokens:
    def verify(self, keystone: KeystoneRig, token: str, service: str, **options: str) -> frozenset[str]:
        auth = KeystoneAuth(secrets(keystone.options(**options)))
        headers = Headers({"x-auth-token": token, "x-service-token": service})
        return auth.verify(Credentials(headers, None, "GET", "/v2/images")).service_roles

    def test_roles(self, keystone: KeystoneRig) -> None:
        token = keystone.token("reader", "demo")
        assert "service" in self.verify(keystone, token, keystone.token("glance", "service"))
        assert self.verify(keystone, token, keystone.token("demo", "demo")) == frozenset()
        assert self.verify(keystone, token, "forged") == frozenset()

    def test_other_roles_may_be_asked_for(self, keystone: KeystoneRig) -> None:
        token, demo = keystone.token("reader", "demo"), keystone.token("demo", "demo")
        assert "member" in self.verify(keystone, token, demo, service_token_roles="nobody,member")
        assert "member" in self.verify(keystone, token, demo, service_token_roles_required="false")
        glance = keystone.token("glance", "service")
        assert self.verify(keystone, token, glance, service_token_roles="nobody") == frozenset()


def test_scopes_other_than_a_project_may_nothing(start: Start, keystone: KeystoneRig) -> None:
    """images-api 8.1."""
    user = keystone.new_user()
    for where in ("/system", "/domains/default"):
        keystone.grant(user, "admin", where)
    service = start()
    for scope in ({"system_scope": "all"}, {"domain_id": "default"}):
        assert ask(service, keystone.token(user["name"], **scope)).status == 403


def test_access_rules_of_application_credentials(keystone: KeystoneRig) -> None:
    user, project = keystone.new_user(), keystone.new_project()
    keystone.grant(user, "member", f"/projects/{project['id']}")
    rules = [{"service": "image", "method": "GET", "path": "/v2/images/**"}]
    token = keystone.new_application_credential(user, project, access_rules=rules).get_token() or ""
    auth = KeystoneAuth(secrets(keystone.options(service_type="image")))

    def allowed(method: str, path: str, **more: str) -> bool:
        headers = Headers({"x-auth-token": token, **more})
        try:
            return auth.verify(Credentials(headers, None, method, path)).project_id == project["id"]
        except Unauthenticated:
            return False

    for _ in range(2):
        assert allowed("GET", "/v2/images/1/file")
        assert not allowed("GET", "/v2/images")
        assert not allowed("DELETE", "/v2/images/1")
        assert not allowed("DELETE", "/v2/images/1", **{"x-service-token": "forged"})


class TestOutage:
    """Keystone stops and comes back."""

    @pytest.mark.timeout(300)
    def test_503_until_it_is_back(self, start: Start, keystone: KeystoneRig) -> None:
        """Glance answers 401, which makes clients log in again and again."""
        service = start(remembered=600)
        known, unknown = keystone.token("reader", "demo"), keystone.token("demo", "demo")
        assert ask(service, known).status == 200
        with Switch() as switch:
            switch.off()
            assert ask(service, unknown).status == 503
            assert "www-authenticate" not in ask(service, unknown).headers
            assert ask(service, "forged").status == 503
            assert ask(service, known).status == 200
            assert service("GET", "/v2/images", identity=False).status == 401
            switch.on()
            assert ask(service, unknown).status == 200
            assert ask(service, "forged").status == 401

    @pytest.mark.filterwarnings("ignore:\\s*Eventlet is deprecated")  # which oslo.cache imports where it is installed
    @pytest.mark.timeout(300)
    def test_memcached_has_what_another_process_asked(self, keystone: KeystoneRig) -> None:
        servers = os.environ.get("GLIMPSE_TEST_MEMCACHED")
        if not servers:
            unavailable("GLIMPSE_TEST_MEMCACHED names no memcached (dev/rigs/cache-up starts one)")
        options = keystone.options(
            memcached_servers=servers, memcache_security_strategy="ENCRYPT", memcache_secret_key=keystone.new_name()
        )
        asked = Credentials(Headers({"x-auth-token": keystone.token("demo", "demo")}), None, "GET", "/v2/images")
        first, second = KeystoneAuth(secrets(options)), KeystoneAuth(secrets(options))
        identity = first.verify(asked)
        with Switch() as switch:
            switch.off()
            assert second.recall(asked) is None
            assert second.verify(asked) == identity
