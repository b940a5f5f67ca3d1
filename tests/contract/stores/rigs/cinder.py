"""Volumes of a real Cinder with Keystone; each process of tests has a project and a user of its own.

``GLIMPSE_TEST_CINDER_RUN`` has the pid files of ``api`` and ``volume``. Volumes are of the type ``rbd``; those of the
types ``loop`` and ``nfs`` have their tests in ``test_cinder.py``.
"""

import atexit
import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import Any, ClassVar
from uuid import uuid4

from glimpse.settings.model import Secret
from glimpse.stores.base import Store
from glimpse.stores.cinder.locations import ATTEMPT
from glimpse.stores.cinder.options import CinderOptions
from glimpse.stores.cinder.store import CinderStore
from tests.contract.stores.rigs.base import Faults, Rig
from tests.support.daemons import Daemon
from tests.support.needs import unavailable

NEEDS = "GLIMPSE_TEST_CINDER_URL"
EXPIRING = True

#: Seconds of the timeout of the stores in the tests: several processes of tests wait for each other in Cinder.
DEADLINE = 20 if "PYTEST_XDIST_WORKER" in os.environ else 8


class Cloud:
    """Keystone and Cinder, as their administrator."""

    _session: ClassVar[Any] = None

    def __init__(self) -> None:
        self.cinder = os.environ["GLIMPSE_TEST_CINDER_URL"].rstrip("/")
        self.keystone = os.environ.get("GLIMPSE_TEST_KEYSTONE_URL", "")
        if not self.keystone:
            unavailable("GLIMPSE_TEST_KEYSTONE_URL names no Keystone; Cinder must use it")
        if Cloud._session is None:
            from keystoneauth1.identity import v3
            from keystoneauth1.session import Session

            login = v3.Password(
                auth_url=self.keystone, username="admin", password=os.environ["GLIMPSE_TEST_KEYSTONE_PASSWORD"],
                project_name="admin", user_domain_id="default", project_domain_id="default",
            )  # fmt: skip
            Cloud._session = Session(login)

    def call(self, method: str, path: str, body: object = None, *, raises: bool = True) -> dict[str, Any]:
        """Ask Keystone, or Cinder where ``path`` is a URL."""
        url = path if "://" in path else f"{self.keystone}{path}"
        headers = {"OpenStack-API-Version": "volume 3.54"}
        found = self._session.request(url, method, json=body, headers=headers, raise_exc=raises)
        return found.json() if found.content else {}

    @property
    def admin_cinder(self) -> str:
        return f"{self.cinder}/{self._session.get_project_id()}"


@dataclass
class Project:
    """A project in Keystone with a user who is a member of it, and no administrator."""

    cloud: Cloud
    name: str = field(default_factory=lambda: f"glimpse-{uuid4().hex}")
    password: str = field(default_factory=lambda: uuid4().hex)

    def __post_init__(self) -> None:
        call = self.cloud.call
        project = {"name": self.name, "domain_id": "default"}
        self.id: str = call("POST", "/projects", {"project": project})["project"]["id"]
        user = {"name": self.name, "domain_id": "default", "password": self.password}
        self.user: str = call("POST", "/users", {"user": user})["user"]["id"]
        role = call("GET", "/roles?name=member")["roles"][0]["id"]
        call("PUT", f"/projects/{self.id}/users/{self.user}/roles/{role}")

    def options(self, base: Path, kind: str, **more: Any) -> CinderOptions:
        values: dict[str, Any] = {
            "cinder_store_auth_address": self.cloud.keystone,
            "cinder_store_user_name": self.name,
            "cinder_store_password": Secret(self.password),
            "cinder_store_project_name": self.name,
            "cinder_endpoint_template": f"{self.cloud.cinder}/%(project_id)s",
            "cinder_volume_type": kind,
            "cinder_mount_point_base": str(base),
            "rootwrap_config": os.environ["GLIMPSE_TEST_CINDER_ROOT_HELPER"],
            "cinder_store_timeout": DEADLINE,
            "cinder_state_transition_timeout": 60,
        }
        return CinderOptions(**values | more)

    def volumes(self) -> list[dict[str, Any]]:
        """All volumes, after those that are being deleted are gone."""
        url = f"{self.cloud.admin_cinder}/volumes/detail?all_tenants=1&project_id={self.id}"
        end = time.monotonic() + 30
        while True:
            found = self.cloud.call("GET", url)["volumes"]
            if not any(one["status"] == "deleting" for one in found) or time.monotonic() > end:
                return found
            time.sleep(0.5)

    def clear(self) -> None:
        """Remove all volumes."""
        for volume in self.volumes():
            for attachment in volume["attachments"]:
                url = f"{self.cloud.admin_cinder}/attachments/{attachment['attachment_id']}"
                self.cloud.call("DELETE", url, raises=False)
            url = f"{self.cloud.admin_cinder}/volumes/{volume['id']}"
            self.cloud.call("DELETE", f"{url}?cascade=true", raises=False)
        for volume in self.volumes():
            # whatever its status says
            url = f"{self.cloud.admin_cinder}/volumes/{volume['id']}/action"
            self.cloud.call("POST", url, {"os-force_delete": {}}, raises=False)
        self.volumes()

    def remove(self) -> None:
        """Remove the project with all its volumes."""
        self.clear()
        self.cloud.call("DELETE", f"/users/{self.user}")
        self.cloud.call("DELETE", f"/projects/{self.id}")

    def set_quota(self, gigabytes: int) -> None:
        url = f"{self.cloud.admin_cinder}/os-quota-sets/{self.id}"
        self.cloud.call("PUT", url, {"quota_set": {"gigabytes": gigabytes}})


@cache
def _project() -> Project:
    """The project of this process: making one takes seconds."""
    found = Project(Cloud())
    atexit.register(found.remove)
    return found


@dataclass
class CinderRig(Rig):
    """Locations have the id of the volume, which is not that of the image."""

    project: Project = field(default_factory=_project)

    def url(self, name: str) -> str:
        for volume in self.project.volumes():
            if volume["metadata"].get("glance_image_id") == name:
                return f"{self.prefix}{volume['id']}"
        return f"{self.prefix}{uuid4()}"


def image_of(volume: dict[str, Any]) -> str:
    found = volume["metadata"].get("glance_image_id", volume["id"])
    return f"{found} of {volume['metadata'].get(ATTEMPT)}" if "glimpse_state" in volume["metadata"] else found


def attaching_processes(store: CinderStore) -> list[int]:
    """The attaching process of a store, if it runs."""
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError, NotADirectoryError):
            if entry.name.isdigit() and store._host.process.name.encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
    return found


def kill_attaching(store: CinderStore) -> None:
    for pid in attaching_processes(store):
        os.kill(pid, signal.SIGKILL)


@cache
def _base() -> Path:
    """The directory of all stores of this process, which so have one attaching process."""
    found = Path(mkdtemp(prefix="glimpse-cinder-"))
    atexit.register(rmtree, found, ignore_errors=True)
    return found


def of_type(kind: str) -> CinderRig:
    """A rig whose volumes are of one type."""
    base = _base()
    project = _project()
    options = project.options(base, kind)
    store = CinderStore("vol", options)

    def leftovers() -> list[str]:
        volumes = project.volumes()
        attached = [f"attachment of {image_of(one)}" for one in volumes if one["attachments"]]
        return attached + [image_of(one) for one in volumes]

    foreign = (
        f"cinder://other/{uuid4()}",
        f"cinder://vol/sub/{uuid4()}",
        f"cinder://vol/{uuid4().hex}",
        f"cinder://vol/{str(uuid4()).upper()}A",
        "cinder://vol/",
        "cinder://vol",
        f"cinder:///{uuid4()}",
    )
    return CinderRig(
        store, leftovers, "cinder://vol/", foreign, remove=project.clear, project=project,
        faults=_faults(base, project, options, store), slow=True, readers_protect=True, unit=1 << 30,
        settles=60.0,
    )  # fmt: skip


def cinder(_: Path) -> Rig:
    return of_type("rbd")


RIGS = (cinder,)


def _faults(base: Path, project: Project, options: CinderOptions, store: CinderStore) -> Faults:
    run = Path(os.environ.get("GLIMPSE_TEST_CINDER_RUN", "/nowhere"))
    daemons = [Daemon(run / "api.pid"), Daemon(run / "volume.pid")]

    @contextmanager
    def hanging() -> Iterator[None]:
        # the store speaks to the API alone; how Cinder's other services recover is not what is tested
        with daemons[0].stopped():
            yield

    @contextmanager
    def down() -> Iterator[None]:
        with ExitStack() as stack:
            for daemon in daemons:
                stack.enter_context(daemon.killed())
            kill_attaching(store)
            yield
        _until_it_answers(project)

    @contextmanager
    def full() -> Iterator[Store]:
        project.set_quota(0)
        try:
            yield CinderStore("vol", options)
        finally:
            project.set_quota(-1)

    def wrong_credentials() -> Store:
        return CinderStore("vol", project.options(base, "rbd", cinder_store_password=Secret("wrong")))

    return Faults(
        new_store=lambda: CinderStore("vol", options),
        hanging=hanging,
        deadline=DEADLINE,
        down=down,
        full=full,
        wrong_credentials=wrong_credentials,
        expire=lambda store: _expire(project, store),
    )


def _expire(project: Project, store: Store) -> None:
    """Give the store a token that was revoked before Cinder saw it: Cinder caches those that it has seen."""
    assert isinstance(store, CinderStore)
    login, session = store._credentials._login, store._credentials._session
    login.invalidate()
    token = login.get_token(session)
    headers = {"X-Subject-Token": token, "X-Auth-Token": token}
    session.delete(f"{project.cloud.keystone}/auth/tokens", headers=headers, authenticated=False)


def _until_it_answers(project: Project) -> None:
    end = time.monotonic() + 60
    while True:
        try:
            project.volumes()
        except Exception:
            if time.monotonic() > end:
                raise
            time.sleep(0.5)
        else:
            return
