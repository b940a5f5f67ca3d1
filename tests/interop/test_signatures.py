"""Signed images with certificates from a real Barbican, asked with a real Keystone token (imports-and-stores 8.1).

First through a running service, then what its verifiers make of certificates and of a Barbican that is away.

``GLIMPSE_TEST_BARBICAN_URL`` and ``GLIMPSE_TEST_KEYSTONE_URL`` (``…/v3``) name them. User ``demo`` of project ``demo``
may create secrets (role ``creator``), user ``alt`` of ``alt_demo`` is somebody else; ``GLIMPSE_TEST_KEYSTONE_PASSWORD``
is the password of both.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from glimpse.errors import Invalid, Unavailable
from glimpse.settings.model import SignatureOptions
from glimpse.signature.all import LazyVerifiers
from glimpse.signature.base import KeyManagerCaller
from tests.support.needs import unavailable
from tests.support.service import Service, free_port
from tests.support.signing import Signer, new_signer

DATA = b"the data of an image" * 10_000
Store = Callable[..., str]
PASSWORD = os.environ.get("GLIMPSE_TEST_KEYSTONE_PASSWORD") or "secret"


class Cloud:
    """The addresses, and what its users can do there."""

    def __init__(self, barbican: str, keystone: str) -> None:
        self.barbican = barbican
        self.keystone = keystone

    def session(self, user: str) -> Any:
        from keystoneauth1 import session
        from keystoneauth1.identity import v3

        project = {"demo": "demo", "alt": "alt_demo"}[user]
        auth = v3.Password(
            auth_url=self.keystone, username=user, password=PASSWORD, project_name=project,
            user_domain_id="default", project_domain_id="default",
        )  # fmt: skip
        return session.Session(auth=auth)

    def caller(self, user: str) -> KeyManagerCaller:
        """A caller as the identity ``keystone`` establishes it."""
        found = self.session(user)
        return KeyManagerCaller(token=found.get_token(), project_id=found.get_project_id(), user_id=found.get_user_id())

    def verifiers(self, **barbican: str) -> LazyVerifiers:
        options = {"barbican_endpoint": self.barbican, "auth_endpoint": self.keystone, **barbican}
        library = {"barbican": options}
        return LazyVerifiers(SignatureOptions(library=library))


@pytest.fixture(scope="module")
def cloud() -> Cloud:
    barbican, keystone = (os.environ.get(f"GLIMPSE_TEST_{name}_URL") for name in ("BARBICAN", "KEYSTONE"))
    if not barbican or not keystone:
        unavailable("GLIMPSE_TEST_BARBICAN_URL and GLIMPSE_TEST_KEYSTONE_URL are not set")
    return Cloud(barbican, keystone)


@pytest.fixture(scope="module")
def store(cloud: Cloud) -> Store:
    """Put the certificate of a signer into Barbican as ``demo``; returns its id."""

    def put(signer: Signer, *, as_text: bool = False) -> str:
        from barbicanclient.client import Client

        client: Any = Client(session=cloud.session("demo"), endpoint=cloud.barbican)
        pem = signer.certificate.public_bytes(Encoding.PEM)
        payload = pem.decode() if as_text else pem
        secret = client.secrets.create(name="signer", payload=payload, secret_type="certificate")
        return secret.store().rpartition("/")[2]

    return put


class Uploader:
    """A user of a running service."""

    def __init__(self, cloud: Cloud, service: Service, user: str) -> None:
        self.token: str = cloud.session(user).get_token()
        self._url = f"{service.url}/v2/images"

    def ask(self, method: str, path: str = "", **more: Any) -> httpx2.Response:
        headers = {"X-Auth-Token": self.token, **more.pop("headers", {})}
        return httpx2.request(method, self._url + path, headers=headers, **more)

    def create(self, properties: dict[str, str | None]) -> str:
        document = {"name": "signed", "disk_format": "raw", "container_format": "bare", **properties}
        answer = self.ask("POST", json=document)
        assert answer.status_code == 201, answer.text
        return answer.json()["id"]

    def upload(self, image_id: str, data: bytes) -> httpx2.Response:
        return self.ask("PUT", f"/{image_id}/file", content=data, headers={"Content-Type": "application/octet-stream"})

    def show(self, image_id: str) -> Any:
        return self.ask("GET", f"/{image_id}").json()


@contextmanager
def running(cloud: Cloud, place: Path, barbican: str) -> Iterator[Service]:
    """A service with that Keystone and a Barbican, all of its log lines on; no token may be in them."""
    login = {
        "www_authenticate_uri": cloud.keystone, "auth_url": cloud.keystone, "auth_type": "password",
        "username": "glance", "password": PASSWORD, "project_name": "service", "user_domain_id": "default",
        "project_domain_id": "default",
    }  # fmt: skip
    options = {
        "DEFAULT": {"debug": True},
        "glimpse": {"auth": "keystone"},
        "keystone_authtoken": login,
        "barbican": {"barbican_endpoint": barbican, "auth_endpoint": cloud.keystone},
    }
    with Service(place, options=options) as service:
        yield service
    assert "gAAAA" not in service.log, "a token"


def assert_clean(user: Uploader, service: Service, image_id: str) -> None:
    shown = user.show(image_id)
    assert (shown["status"], shown["size"], shown["checksum"], shown["os_hash_value"]) == ("queued", None, None, None)
    assert [path.name for path in service.images_dir.rglob("*") if path.is_file()] == [".glimpse-store"]


def test_uploads_of_signed_images(cloud: Cloud, store: Store, tmp_path: Path) -> None:
    signer = new_signer("RSA-PSS")
    signed = signer.properties(DATA, store(signer))
    unknown = {**signed, "img_signature_certificate_uuid": "11111111-2222-3333-4444-555555555555"}
    with running(cloud, tmp_path, cloud.barbican) as service:
        demo, alt = Uploader(cloud, service, "demo"), Uploader(cloud, service, "alt")

        wrong = demo.create(signed)
        refused = demo.upload(wrong, DATA[1:])
        assert (refused.status_code, "does not match" in refused.text) == (400, True)
        assert_clean(demo, service, wrong)

        missing = demo.create(unknown)
        refused = demo.upload(missing, DATA)
        assert (refused.status_code, "cannot be read" in refused.text) == (400, True)
        assert_clean(demo, service, missing)

        foreign = alt.create(signed)
        refused = alt.upload(foreign, DATA)
        assert (refused.status_code, "cannot be read" in refused.text) == (400, True)
        assert_clean(alt, service, foreign)

        right = demo.create(signed)
        for image_id in (right, wrong):
            assert demo.upload(image_id, DATA).status_code == 204
            assert demo.show(image_id)["status"] == "active"
        log = service.log
    assert not [token for token in (demo.token, alt.token) if token in log]


def test_a_barbican_that_is_down(cloud: Cloud, store: Store, tmp_path: Path) -> None:
    signer = new_signer("RSA-PSS")
    signed = signer.properties(DATA, store(signer))
    with running(cloud, tmp_path, f"http://127.0.0.1:{free_port()}") as service:
        demo = Uploader(cloud, service, "demo")
        image_id = demo.create(signed)
        assert demo.upload(image_id, DATA).status_code == 503
        assert_clean(demo, service, image_id)


@pytest.mark.parametrize("key_type", ["RSA-PSS", "DSA", "ECC_SECP384R1", "ECC_SECP521R1"])
def test_a_signature_is_verified_with_the_certificate_of_barbican(cloud: Cloud, store: Store, key_type: str) -> None:
    signer = new_signer(key_type)
    properties = signer.properties(DATA, store(signer))
    verifiers, caller = cloud.verifiers(), cloud.caller("demo")

    right = verifiers.open(properties, caller)
    right.update(DATA)
    right.verify()

    wrong = verifiers.open(properties, caller)
    wrong.update(DATA[1:])
    with pytest.raises(Invalid, match="does not match"):
        wrong.verify()


def test_the_endpoint_comes_from_the_catalog_too(cloud: Cloud, store: Store) -> None:
    signer = new_signer("RSA-PSS")
    library = {"barbican": {"auth_endpoint": cloud.keystone}}
    verifiers = LazyVerifiers(SignatureOptions(library=library))
    verifiers.open(signer.properties(DATA, store(signer)), cloud.caller("demo"))


@pytest.mark.parametrize("certificate_id", ["11111111-2222-3333-4444-555555555555", "no id at all", ""])
def test_an_unknown_certificate_is_refused(cloud: Cloud, certificate_id: str) -> None:
    properties = new_signer("RSA-PSS").properties(DATA, certificate_id)
    with pytest.raises(Invalid):
        cloud.verifiers().open(properties, cloud.caller("demo"))


def test_a_certificate_that_the_library_cannot_read_is_refused(cloud: Cloud, store: Store) -> None:
    signer = new_signer("RSA-PSS")
    properties = signer.properties(DATA, store(signer, as_text=True))
    with pytest.raises(Invalid, match="cannot be used"):
        cloud.verifiers().open(properties, cloud.caller("demo"))


def test_a_certificate_of_somebody_else_is_refused(cloud: Cloud, store: Store) -> None:
    signer = new_signer("RSA-PSS")
    properties = signer.properties(DATA, store(signer))
    with pytest.raises(Invalid, match="cannot be read"):
        cloud.verifiers().open(properties, cloud.caller("alt"))


def test_a_forged_token_gets_nothing(cloud: Cloud, store: Store) -> None:
    signer = new_signer("RSA-PSS")
    properties = signer.properties(DATA, store(signer))
    with pytest.raises(Invalid, match="cannot be read"):
        cloud.verifiers().open(properties, KeyManagerCaller(token="forged", project_id="demo"))


@pytest.mark.parametrize("missing", ["barbican_endpoint", "auth_endpoint"])
def test_a_key_manager_or_keystone_that_is_down_is_unavailable(cloud: Cloud, store: Store, missing: str) -> None:
    signer = new_signer("RSA-PSS")
    properties = signer.properties(DATA, store(signer))
    path = "/v3" if missing == "auth_endpoint" else ""
    verifiers = cloud.verifiers(**{missing: f"http://127.0.0.1:{free_port()}{path}"})
    with pytest.raises(Unavailable):
        verifiers.open(properties, cloud.caller("demo"))
