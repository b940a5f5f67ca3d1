"""Swift stores: by tempauth, and by Keystone with several containers and small segments."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from urllib.parse import quote, urlsplit
from uuid import uuid4

from glimpse.settings.model import Secret
from glimpse.stores.connections import Limits
from glimpse.stores.swift.locations import attempt_of
from glimpse.stores.swift.options import SwiftOptions
from glimpse.stores.swift.single_tenant import SingleTenantStore
from glimpse.stores.swift.store import SwiftStore, Tuning
from tests.contract.stores.rigs.base import Faults, Rig
from tests.support.daemons import Daemon
from tests.support.needs import unavailable

NEEDS = "GLIMPSE_TEST_SWIFT_AUTH_URL"
EXPIRING = True

#: Seconds that the stores of the tests wait for an answer.
DEADLINE = 10.0
TUNING = Tuning(limits=Limits(connect=DEADLINE, silence=DEADLINE, answer=DEADLINE))


def options(**changes: object) -> SwiftOptions:
    """Options with an account of tempauth, and a container that does not exist yet."""
    values: dict[str, object] = {
        "swift_store_auth_address": os.environ[NEEDS],
        "swift_store_auth_version": "1",
        "swift_store_user": "test:tester",
        "swift_store_key": Secret("testing"),
        "swift_store_container": f"glance-{uuid4().hex[:12]}",
        "swift_store_create_container_on_put": True,
    }
    return SwiftOptions(**values | changes)  # pyright: ignore[reportArgumentType]


def keystone_options(**changes: object) -> SwiftOptions:
    """Options with the project ``demo`` of Keystone."""
    url = os.environ.get("GLIMPSE_TEST_KEYSTONE_URL")
    if not url:
        unavailable("GLIMPSE_TEST_KEYSTONE_URL names no Keystone; dev/rigs starts one")
    key = Secret(os.environ.get("GLIMPSE_TEST_KEYSTONE_PASSWORD", "secret"))
    values: dict[str, object] = {
        "swift_store_auth_address": url,
        "swift_store_auth_version": "3",
        "swift_store_user": "demo:demo",
        "swift_store_key": key,
    }
    return options(**values | changes)


def build(chosen: SwiftOptions, tuning: Tuning = TUNING) -> Rig:
    """A store with a container, or containers, of its own."""
    store = SingleTenantStore("objects", chosen, tuning)
    # what looks behind the store has its own connections
    behind = SingleTenantStore("behind", chosen, tuning)

    def containers() -> Iterator[str]:
        account = behind._account(behind._own)
        seed = chosen.swift_store_multiple_containers_seed
        container = chosen.swift_store_container
        yield from account.containers(f"{container}_" if seed else container)

    def names() -> Iterator[tuple[str, str]]:
        account = behind._account(behind._own)
        for container in containers():
            for entry in account.listing(container):
                yield container, entry.name

    def leftovers() -> list[str]:
        """Objects without the segments of images that are there."""
        account = behind._account(behind._own)
        found: list[str] = []
        for container, name in names():
            segment = attempt_of(name)
            if segment is not None:
                headers = account.head(f"/{quote(container)}/{quote(segment[0])}") or {}
                if headers.get("x-object-meta-glimpse-attempt") == segment[1] and not name.endswith(".00000"):
                    continue
            found.append(name)
        return found

    def remove() -> None:
        account = behind._account(behind._own)
        for container, name in names():
            account.persist("DELETE", f"/{quote(container)}/{quote(name)}")
        for container in containers():
            account.persist("DELETE", f"/{quote(container)}")
        behind.close()

    container = chosen.swift_store_container
    base = store.url_prefixes[0].removesuffix(f"{container}/").removesuffix(f"{container}_")
    foreign = (
        "swift+https://elsewhere/v3/container/image",
        "swift+http://test:tester@127.0.0.1/v3/container/image",
        f"{base}{container}",
        f"{base}/image",
        "swift+config://nowhere/container/image",
        "swift://image",
    )
    return SwiftRig(
        store,
        leftovers,
        f"{base}{container}/",
        foreign,
        faults=_faults(chosen, tuning),
        remove=remove,
        buffers=True,
        slow=True,
        # a list of a container may be late: a busy server of containers is told of objects later
        settles=60.0,
    )


class SwiftRig(Rig):
    """Locations of several containers depend on the image."""

    def url(self, name: str) -> str:
        assert isinstance(self.store, SingleTenantStore)
        return self.store.slot(name, None).url


def swift_tempauth(_base: Path) -> Rig:
    return build(options())


def swift_keystone(_base: Path) -> Rig:
    """Several containers; every image above 1,024,000 bytes has segments."""
    return build(
        keystone_options(
            swift_store_multiple_containers_seed=2,
            swift_store_large_object_size=1,
            swift_store_large_object_chunk_size=1,
        )
    )


RIGS = (swift_tempauth, swift_keystone)


# ------------------------------------------------------------------------------------------------------ faults


def _faults(chosen: SwiftOptions, tuning: Tuning) -> Faults:
    def new_store() -> SwiftStore:
        return SingleTenantStore("objects", chosen, tuning)

    def wrong_credentials() -> SwiftStore:
        wrong = _changed(chosen, swift_store_key=Secret("wrong"))
        return _Borrowing(wrong, chosen, tuning)

    @contextmanager
    def full() -> Iterator[SwiftStore]:
        small = _changed(chosen, swift_store_container=f"{chosen.swift_store_container}-full",
                         swift_store_multiple_containers_seed=0)  # fmt: skip
        store = SingleTenantStore("small", small, tuning)
        account = store._account(store._own)
        path = f"/{small.swift_store_container}"
        account.request("PUT", path, {"X-Container-Meta-Quota-Bytes": str(500_000)})
        try:
            yield store
        finally:
            behind = SingleTenantStore("small", small, tuning)
            behind._account(behind._own).request("DELETE", path)
            behind.close()

    return Faults(new_store, hanging, DEADLINE, down, full, wrong_credentials, expire)


class _Borrowing(SingleTenantStore):
    """A store whose credentials are wrong, but which is asked for locations of one with the right ones."""

    def __init__(self, wrong: SwiftOptions, right: SwiftOptions, tuning: Tuning) -> None:
        super().__init__("wrong", wrong, tuning)
        self._right = SingleTenantStore("right", right, tuning).url_prefixes[0]

    def locate(self, url: str, *, deleting: bool = False):
        if url.startswith(self._right):
            url = self.url_prefixes[0] + url.removeprefix(self._right)
        return super().locate(url, deleting=deleting)


def _changed(chosen: SwiftOptions, **changes: object) -> SwiftOptions:
    values = {name: getattr(chosen, name) for name in SwiftOptions.__struct_fields__}
    return SwiftOptions(**values | changes)


def _run_directory() -> Path:
    directory = os.environ.get("GLIMPSE_TEST_SWIFT_RUN")
    if not directory:
        unavailable("GLIMPSE_TEST_SWIFT_RUN names no directory of pid files; dev/rigs sets it")
    return Path(directory)


def _daemon(name: str) -> Daemon:
    return Daemon(_run_directory() / f"{name}.pid")


def hanging() -> AbstractContextManager[None]:
    """The proxy takes connections and does not answer."""
    return _daemon("proxy").stopped()


@contextmanager
def down() -> Iterator[None]:
    """The proxy and the object server are killed."""
    rigs = os.environ.get("GLIMPSE_TEST_RIGS")
    if not rigs:
        unavailable("GLIMPSE_TEST_RIGS names no directory with swift-up")
    for name in ("proxy", "object"):
        os.kill(_daemon(name).pid, signal.SIGKILL)
    _wait(lambda: not _listening(os.environ[NEEDS]))
    try:
        yield
    finally:
        auth = "keystone" if os.environ.get("GLIMPSE_TEST_KEYSTONE_URL") else "tempauth"
        subprocess.run(
            [Path(rigs) / "swift-up"],
            env={"RIG_SWIFT_AUTH": auth, **os.environ},
            check=True, capture_output=True, timeout=120,
        )  # fmt: skip


def expire(store: SwiftStore) -> None:
    """Revoke the tokens that the store holds, and let Swift forget what it knows of tokens."""
    assert isinstance(store, SingleTenantStore)
    for account in store._accounts.values():
        url = store.options.swift_store_auth_address or ""
        if store.options.swift_store_auth_version == "3":
            token = account.grant().token
            headers = {"X-Auth-Token": token, "X-Subject-Token": token}
            store.connections.request("DELETE", f"{url.rstrip('/')}/auth/tokens", headers)
    forget_tokens()


def forget_tokens() -> None:
    """Let Swift forget all tokens that it has issued or seen."""
    command = Path(f"/proc/{_daemon('memcached').pid}/cmdline").read_bytes().split(b"\0")
    with socket.create_connection(("127.0.0.1", int(command[command.index(b"-p") + 1])), 5) as cache:
        cache.sendall(b"flush_all\r\n")
        assert cache.recv(100).startswith(b"OK")


def _listening(url: str) -> bool:
    parts = urlsplit(url)
    try:
        with socket.create_connection((parts.hostname or "", parts.port or 80), 1):
            return True
    except OSError:
        return False


def _wait(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)
