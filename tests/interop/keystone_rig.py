"""A real Keystone for tests: its users, tokens, rules and limits.

``GLIMPSE_TEST_KEYSTONE_URL`` (``…/v3``) names it, ``GLIMPSE_TEST_KEYSTONE_PASSWORD`` is the password of its users:
those of dev/rigs/README.md. ``GLIMPSE_TEST_RIGS`` has ``keystone-down`` and ``keystone-up``, where tests may stop it.
"""

from __future__ import annotations

import os
import subprocess
import uuid
from pathlib import Path
from typing import Any

from keystoneauth1.identity import v3
from keystoneauth1.session import Session

from tests.support.needs import unavailable


class KeystoneRig:
    """What tests do with the Keystone; ``new_*`` make things that are removed by :meth:`clean`."""

    def __init__(self, url: str, password: str) -> None:
        self.url = url
        self.password = password
        self.admin = self._session("admin", system_scope="all")
        self._made: list[str] = []

    def _session(self, user: str, password: str | None = None, **scope: Any) -> Session:
        return Session(
            v3.Password(
                auth_url=self.url, username=user, user_domain_id="default", password=password or self.password, **scope
            )
        )

    def token(self, user: str, project: str | None = None, password: str | None = None, **scope: Any) -> str:
        """A new token, for a project by name or another scope."""
        if project is not None:
            scope = {"project_name": project, "project_domain_id": "default"}
        return self._session(user, password, **scope).get_token() or ""

    def call(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        """A call of the administrator of the system."""
        answer = self.admin.request(self.url + path, method, json=body, **more)
        return answer.json() if answer.content else None

    def revoke(self, token: str) -> None:
        """End a token before its time."""
        self.call("DELETE", "/auth/tokens", headers={"X-Subject-Token": token})

    def project_id(self, name: str) -> str:
        """The id of a project."""
        (found,) = self.call("GET", f"/projects?name={name}")["projects"]
        return found["id"]

    def new(self, kind: str, single: str, **fields: Any) -> dict[str, Any]:
        """A new thing of Keystone's, ``users`` and ``user`` for instance."""
        made: dict[str, Any] = self.call("POST", f"/{kind}", {single: fields})[single]
        self._made.append(f"/{kind}/{made['id']}")
        return made

    def new_name(self) -> str:
        """A name that nobody has."""
        return f"test-{uuid.uuid4().hex[:12]}"

    def new_user(self) -> dict[str, Any]:
        """A new user with the password of all."""
        return self.new("users", "user", name=self.new_name(), domain_id="default", password=self.password)

    def new_project(self) -> dict[str, Any]:
        """A new project without users."""
        return self.new("projects", "project", name=self.new_name(), domain_id="default")

    def grant(self, user: dict[str, Any], role: str, where: str) -> None:
        """Give a role; ``where`` is ``/system``, ``/projects/ID`` or ``/domains/ID``."""
        (found,) = self.call("GET", f"/roles?name={role}")["roles"]
        self.call("PUT", f"{where}/users/{user['id']}/roles/{found['id']}")

    def new_application_credential(self, user: dict[str, Any], project: dict[str, Any], **fields: Any) -> Session:
        """A session with a new application credential of a user; a session makes its first token when asked."""
        owner = self._session(user["name"], project_id=project["id"])
        body = {"application_credential": {"name": self.new_name(), **fields}}
        answer = owner.post(f"{self.url}/users/{user['id']}/application_credentials", json=body)
        made = answer.json()["application_credential"]
        return Session(
            v3.ApplicationCredential(
                auth_url=self.url, application_credential_id=made["id"], application_credential_secret=made["secret"]
            )
        )

    def remove_at_end(self, path: str) -> None:
        """Have :meth:`clean` delete it."""
        self._made.append(path)

    def clean(self) -> None:
        """Remove what tests made, the newest first."""
        while self._made:
            self.admin.delete(self.url + self._made.pop(), raise_exc=False)

    def options(self, **more: str) -> dict[str, str]:
        """``[keystone_authtoken]`` of a service."""
        return {
            "www_authenticate_uri": self.url.removesuffix("/v3"),
            "auth_type": "password",
            "auth_url": self.url,
            "username": "glance",
            "password": self.password,
            "project_name": "service",
            "user_domain_id": "default",
            "project_domain_id": "default",
            "http_request_max_retries": "0",
            **more,
        }


class Switch:
    """Stops the Keystone and starts it again; at the end of ``with`` it runs."""

    def __init__(self) -> None:
        rigs = os.environ.get("GLIMPSE_TEST_RIGS")
        if not rigs:
            unavailable("GLIMPSE_TEST_RIGS names no directory with keystone-down and keystone-up")
        self._rigs = Path(rigs)

    def off(self) -> None:
        """Stop it; returns when it has ended."""
        self._run("keystone-down")

    def on(self) -> None:
        """Start it; returns when it answers."""
        self._run("keystone-up")

    def __enter__(self) -> Switch:
        return self

    def __exit__(self, *_: object) -> None:
        self.on()

    def _run(self, name: str) -> None:
        ended = subprocess.run([str(self._rigs / name)], capture_output=True, text=True, timeout=120, check=False)
        assert ended.returncode == 0, ended.stderr


def keystone_rig() -> KeystoneRig:
    """The Keystone; without one the test ends here."""
    url = os.environ.get("GLIMPSE_TEST_KEYSTONE_URL")
    if not url:
        unavailable("GLIMPSE_TEST_KEYSTONE_URL names no Keystone (dev/rigs/keystone-up starts one)")
    return KeystoneRig(url.rstrip("/"), os.environ.get("GLIMPSE_TEST_KEYSTONE_PASSWORD") or "secret")
