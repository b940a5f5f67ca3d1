"""Auth ``keystone`` without a working Keystone: headers, cache, broken responses, invalid options."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from glimpse.auth.all import build
from glimpse.auth.base import AuthSettingsError, Credentials
from glimpse.auth.keystone import KeystoneAuth
from glimpse.auth.keystone_tokens import Authtoken
from glimpse.context import Context
from glimpse.errors import Unauthenticated, Unavailable
from glimpse.settings.model import Auth
from tests.unit.auth.keystone_server import SERVICE, Keystone, keystone_server, sections
from tests.unit.auth.requests import request

CHALLENGE = 'Keystone uri="http://keystone.example.org:5000"'
FORGED = (
    ("X-Identity-Status", "Confirmed"), ("X-User-Id", "eve"), ("X-Project-Id", "p9"), ("X-Tenant-Id", "p9"),
    ("X-Roles", "admin"), ("X-Service-Roles", "service"), ("X-Service-Identity-Status", "Confirmed"),
    ("X-Domain-Id", "d9"), ("OpenStack-System-Scope", "all"), ("X-Is-Admin-Project", "True"),
)  # fmt: skip


@pytest.fixture
def keystone() -> Iterator[Keystone]:
    with keystone_server() as server:
        server.add("good")
        yield server


@pytest.fixture
def auth(keystone: Keystone) -> KeystoneAuth:
    return KeystoneAuth(sections(keystone.url))


def test_a_token_makes_an_identity(auth: KeystoneAuth, keystone: Keystone) -> None:
    asked = request(("X-Auth-Token", " good "))
    assert auth.recall(asked) is None
    identity = auth.verify(asked)
    assert (identity.user_id, identity.project_id, identity.roles) == ("user of good", "p1", {"member"})
    assert (identity.service_roles, identity.domain_id, identity.system_scope) == (frozenset(), None, None)
    assert not identity.read_only
    assert identity.token == "good"
    assert "good'" not in repr(identity).replace("user of good'", "")
    assert auth.recall(asked) == identity
    assert auth.recall(request(("X-Storage-Token", "good"))) == identity
    assert auth.verify(asked) == identity
    assert keystone.asked["good"] == 1
    assert auth.challenge == CHALLENGE


@pytest.mark.parametrize(
    "headers",
    [(), (("X-Auth-Token", ""),), (("X-Auth-Token", "  "),), (("X-Auth-Token", "a b"),), (("X-Auth-Token", "tök"),),
     (("X-Auth-Token", "x" * 16385),), (("X-Service-Token", "good"),), (("Authorization", "Basic eDp5"),)],
)  # fmt: skip
def test_what_cannot_be_a_token_is_refused_without_asking(
    auth: KeystoneAuth, keystone: Keystone, headers: tuple[tuple[str, str], ...]
) -> None:
    for ask in (auth.recall, auth.verify):
        with pytest.raises(Unauthenticated):
            ask(request(*headers))
    assert not keystone.asked


def test_identity_headers_of_clients_mean_nothing(auth: KeystoneAuth, keystone: Keystone) -> None:
    """images-api 5.1."""
    with pytest.raises(Unauthenticated):
        auth.verify(request(*FORGED))
    with pytest.raises(Unauthenticated):
        auth.verify(request(("X-Auth-Token", "forged"), *FORGED))
    identity = auth.verify(request(("X-Auth-Token", "good"), *FORGED))
    assert identity == auth.verify(request(("X-Auth-Token", "good")))
    assert identity.project_id == "p1"
    assert (identity.roles, identity.service_roles, identity.system_scope) == ({"member"}, frozenset(), None)


def test_the_token_goes_along_and_is_never_printed(auth: KeystoneAuth, keystone: Keystone) -> None:
    verified, recalled = (ask(request(("X-Auth-Token", "good"))) for ask in (auth.verify, auth.recall))
    assert recalled == verified
    assert verified.token == "good"
    assert "token='***'" in repr(verified)
    keystone.add("of-nova", roles=("service",))
    assert auth.verify(request(("X-Auth-Token", "good"), ("X-Service-Token", "of-nova"))).token == "good"
    assert "good" not in repr(Context(request_id="r", token=verified.token))


def test_scopes(auth: KeystoneAuth, keystone: Keystone) -> None:
    keystone.add("domain", project=None, domain={"id": "d1", "name": "D"})
    keystone.add("system", project=None, system={"all": True})
    keystone.add("unscoped", project=None, roles=())
    for token in ("domain", "system", "unscoped"):
        keystone.tokens[token].pop("project")
    domain, system, unscoped = (auth.verify(request(("X-Auth-Token", t))) for t in ("domain", "system", "unscoped"))
    assert (domain.domain_id, domain.project_id, domain.system_scope) == ("d1", None, None)
    assert (system.domain_id, system.project_id, system.system_scope) == (None, None, "all")
    assert (unscoped.domain_id, unscoped.project_id, unscoped.system_scope) == (None, None, None)
    assert unscoped.roles == frozenset()


def test_a_service_token_lets_an_expired_token_pass(auth: KeystoneAuth, keystone: Keystone) -> None:
    keystone.add("old", seconds=-60)
    keystone.add("of-nova", roles=("Service", "admin"))
    keystone.add("of-nobody", roles=("member",))
    with pytest.raises(Unauthenticated):
        auth.verify(request(("X-Auth-Token", "old")))
    both = request(("X-Auth-Token", "old"), ("X-Service-Token", "of-nova"))
    with pytest.raises(Unauthenticated):
        # the role is written "service" there, and names of roles are compared as they are
        auth.verify(both)
    keystone.add("of-cinder", roles=("service", "admin"))
    identity = auth.verify(request(("X-Auth-Token", "old"), ("X-Service-Token", "of-cinder")))
    assert identity.user_id == "user of old"
    assert (identity.roles, identity.service_roles) == ({"member"}, {"service", "admin"})
    with pytest.raises(Unauthenticated):
        auth.verify(request(("X-Auth-Token", "old"), ("X-Service-Token", "of-nobody")))


@pytest.mark.parametrize("service", ["forged", "of-nobody", "tök", ""])
def test_an_invalid_service_token_is_left_aside(auth: KeystoneAuth, keystone: Keystone, service: str) -> None:
    """images-api 5.1."""
    keystone.add("of-nobody", roles=("member",))
    identity = auth.verify(request(("X-Auth-Token", "good"), ("X-Service-Token", service)))
    assert identity.user_id == "user of good"
    assert identity.service_roles == frozenset()


class TestAccessRules:
    """Rules of application credentials hold for single requests."""

    @pytest.fixture
    def auth(self, keystone: Keystone) -> KeystoneAuth:
        rules = [{"id": "r", "service": "image", "method": "GET", "path": "/v2/images/*"}]
        credential = {"id": "a", "name": "a", "restricted": True, "access_rules": rules}
        catalog = [{"type": "image", "name": "glance", "id": "i", "endpoints": []}]
        keystone.add("ruled", application_credential=credential, catalog=catalog)
        return KeystoneAuth(sections(keystone.url, service_type="image"))

    def ask(self, auth: KeystoneAuth, method: str, path: str, *headers: tuple[str, str]) -> str | None:
        plain = request(("X-Auth-Token", "ruled"), *headers)
        return auth.verify(Credentials(plain.headers, plain.peer, method, path)).user_id

    def test_they_are_looked_at_each_time(self, auth: KeystoneAuth) -> None:
        for _ in range(2):
            assert self.ask(auth, "GET", "/v2/images/1") == "user of ruled"
            assert auth.recall(request(("X-Auth-Token", "ruled"))) is None
            for method, path in (("DELETE", "/v2/images/1"), ("GET", "/v2/images/1/file"), ("GET", "/v2/images")):
                with pytest.raises(Unauthenticated):
                    self.ask(auth, method, path)

    def test_a_forged_service_token_does_not_lift_them(self, auth: KeystoneAuth, keystone: Keystone) -> None:
        with pytest.raises(Unauthenticated):
            self.ask(auth, "DELETE", "/v2/images/1", ("X-Service-Token", "forged"))
        keystone.add("of-nova", roles=("service",))
        assert self.ask(auth, "DELETE", "/v2/images/1", ("X-Service-Token", "of-nova")) == "user of ruled"
        with pytest.raises(Unauthenticated):
            self.ask(auth, "DELETE", "/v2/images/1")

    def test_without_a_request_to_hold_for_they_refuse(self, auth: KeystoneAuth) -> None:
        with pytest.raises(Unauthenticated):
            auth.verify(request(("X-Auth-Token", "ruled")))

    def test_without_service_type_they_refuse(self, auth: KeystoneAuth, keystone: Keystone) -> None:
        with pytest.raises(Unauthenticated):
            self.ask(KeystoneAuth(sections(keystone.url)), "GET", "/v2/images/1")


class TestMemory:
    def test_no_longer_than_the_token(self, auth: KeystoneAuth, keystone: Keystone) -> None:
        keystone.add("short", seconds=1.5)
        asked = request(("X-Auth-Token", "short"))
        assert auth.verify(asked).user_id == "user of short"
        assert threading.Event().wait(1.6) is False
        assert auth.recall(asked) is None
        with pytest.raises(Unauthenticated):
            auth.verify(asked)

    def test_switched_off(self, keystone: Keystone) -> None:
        """With both caches off, a token that was revoked is refused at once."""
        auth = KeystoneAuth(sections(keystone.url, token_cache_time="-1"), 60)
        asked = request(("X-Auth-Token", "good"))
        assert auth.verify(asked).user_id == "user of good"
        assert auth.recall(asked) is None
        del keystone.tokens["good"]
        with pytest.raises(Unauthenticated):
            auth.verify(asked)

    def test_refusals_are_not_remembered(self, auth: KeystoneAuth, keystone: Keystone) -> None:
        asked = request(("X-Auth-Token", "later"))
        with pytest.raises(Unauthenticated):
            auth.verify(asked)
        keystone.add("later")
        assert auth.verify(asked).user_id == "user of later"

    def test_many_at_once_ask_once(self, auth: KeystoneAuth, keystone: Keystone) -> None:
        auth.verify(request(("X-Auth-Token", "good")))  # the service has logged in
        keystone.add("popular")
        keystone.go.clear()
        asked = request(("X-Auth-Token", "popular"))
        with ThreadPoolExecutor(8) as pool:
            answers = [pool.submit(auth.verify, asked) for _ in range(8)]
            while not keystone.asked["popular"]:
                threading.Event().wait(0.01)
            keystone.go.set()
            assert {answer.result(10).user_id for answer in answers} == {"user of popular"}
        assert keystone.asked["popular"] == 1


class TestTrouble:
    @pytest.mark.parametrize("trouble", ["500", "503", "closes", "html", "no token", "login"])
    def test_is_503_and_ends(self, auth: KeystoneAuth, keystone: Keystone, trouble: str) -> None:
        keystone.trouble = trouble
        asked = request(("X-Auth-Token", "good"))
        with pytest.raises(Unavailable, match="identity service"):
            auth.verify(asked)
        keystone.trouble = None
        assert auth.verify(asked).user_id == "user of good"

    def test_of_the_service_token_is_503_too(self, auth: KeystoneAuth, keystone: Keystone) -> None:
        auth.verify(request(("X-Auth-Token", "good")))
        keystone.trouble = "500"
        with pytest.raises(Unavailable):
            auth.verify(request(("X-Auth-Token", "good"), ("X-Service-Token", SERVICE)))

    def test_nobody_listens(self) -> None:
        with keystone_server() as gone:
            settings = sections(gone.url)
        with pytest.raises(Unavailable):
            KeystoneAuth(settings).verify(request(("X-Auth-Token", "good")))

    def test_no_answer(self, keystone: Keystone) -> None:
        auth = KeystoneAuth(sections(keystone.url, http_connect_timeout="1"))
        keystone.go.clear()
        with pytest.raises(Unavailable):
            auth.verify(request(("X-Auth-Token", "good")))

    def test_what_is_known_goes_on_working(self, auth: KeystoneAuth, keystone: Keystone) -> None:
        asked = request(("X-Auth-Token", "good"))
        identity = auth.verify(asked)
        keystone.trouble = "500"
        assert auth.recall(asked) == identity


class TestOptions:
    def test_the_kind_is_chosen(self, keystone: Keystone) -> None:
        auth = build(Auth(kind="keystone", keystone=sections(keystone.url)))
        assert isinstance(auth, KeystoneAuth)
        assert auth.constant is None

    def test_anonymous_callers_read(self, keystone: Keystone) -> None:
        auth = build(Auth(kind="keystone", keystone=sections(keystone.url), allow_anonymous_access=True))
        anonymous = auth.verify(request())
        assert (anonymous.read_only, anonymous.roles) == (True, frozenset())
        assert not auth.verify(request(("X-Auth-Token", "good"))).read_only
        with pytest.raises(Unauthenticated):
            auth.verify(request(("X-Auth-Token", "wrong")))
        assert auth.challenge == CHALLENGE

    def test_without_a_public_address_clients_are_told_ours(self, keystone: Keystone) -> None:
        texts = sections(keystone.url)
        del texts["keystone_authtoken"]["www_authenticate_uri"]
        assert KeystoneAuth(texts).challenge == f'Keystone uri="{keystone.url}"'

    @pytest.mark.parametrize(
        ("options", "told"),
        [
            ({"auth_type": ""}, "auth_type"),
            ({"auth_type": "magic"}, "auth_type = magic"),
            ({"token_cache_time": "soon"}, "token_cache_time"),
            ({"insecure": "perhaps"}, "insecure"),
            ({"memcache_security_strategy": "ENCRYPT"}, "memcache_secret_key"),
            ({"auth_type": "v3applicationcredential"}, "[keystone_authtoken]"),
            ({"memcache_tls_enabled": "true", "memcache_tls_cafile": "/nowhere"}, "No such file"),
        ],
    )  # fmt: skip
    def test_wrong_ones_are_found_at_start(self, options: dict[str, str], told: str) -> None:
        with pytest.raises(AuthSettingsError) as raised:
            KeystoneAuth(sections("http://127.0.0.1:9/v3", **options))
        assert told in str(raised.value)
        assert "\n" not in str(raised.value)

    def test_former_names(self, keystone: Keystone) -> None:
        texts = sections(keystone.url)
        own = texts["keystone_authtoken"]
        own["auth_plugin"], own["user_name"] = own.pop("auth_type"), own.pop("username")
        assert KeystoneAuth(texts).verify(request(("X-Auth-Token", "good"))).user_id == "user of good"

    def test_credentials_in_a_section_of_their_own(self, keystone: Keystone) -> None:
        login = sections(keystone.url)["keystone_authtoken"]
        texts = {"keystone_authtoken": {"auth_section": "Service_Auth"}, "service_auth": login}
        auth = KeystoneAuth(texts)
        assert auth.challenge == f'Keystone uri="{keystone.url}"'
        assert auth.verify(request(("X-Auth-Token", "good"))).user_id == "user of good"

    def test_a_dollar_in_a_password_is_one(self, keystone: Keystone) -> None:
        options = Authtoken(sections(keystone.url, password="$word$$x"))
        assert options.conf[options.credentials].password == "$word$$x"


def test_no_secret_in_the_log(auth: KeystoneAuth, keystone: Keystone, caplog: pytest.LogCaptureFixture) -> None:
    user = {"id": "u", "name": "u", "domain": {"id": "default", "name": "Default"}}
    keystone.add("s3cr3t-token", user=user)
    keystone.add("s3cr3t-service", user=user, roles=("service",))
    with caplog.at_level(logging.DEBUG):
        auth.verify(request(("X-Auth-Token", "s3cr3t-token"), ("X-Service-Token", "s3cr3t-service")))
        keystone.trouble = "500"
        with pytest.raises(Unavailable):
            auth.verify(request(("X-Auth-Token", "s3cr3t-other")))
    assert caplog.text
    assert "s3cr3t" not in caplog.text
    assert '"word"' not in caplog.text
