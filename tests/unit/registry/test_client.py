"""The registry client, with real servers on this machine: failures that it survives, and its error messages."""

from __future__ import annotations

import logging
import os
import shutil
import socket
import ssl
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import msgspec
import pytest

from glimpse.db.base import Database
from glimpse.db.sql.database import SqlDatabase
from glimpse.db.sql.engine import connect
from glimpse.domain.listing import ListQuery
from glimpse.errors import DatabaseUnavailable, Duplicate, NotFound
from glimpse.registry import pool
from glimpse.registry.client import RegistryDatabase
from glimpse.registry.errors import RegistryDefect, RoleRefused
from glimpse.registry.wire import VERSION, Role, ServerInfo
from glimpse.settings.database_url import Address
from glimpse.settings.model import DatabaseSettings, RegistryOptions, Secret
from glimpse.tls_files import TlsFileError
from tests.contract.db.examples import OWNER, image
from tests.support.private_ca import Pair, authority, unwanted, without_role
from tests.support.registry import HOST, Registry, certificates, client_options
from tests.support.wire import template


class Held(SqlDatabase):
    """A database whose ``get_job`` (read) and ``delete_without_data`` (write) wait to be let go."""

    def __init__(self, path: Path) -> None:
        shutil.copyfile(template(), path)
        super().__init__(connect(DatabaseSettings(connection=Secret(f"sqlite:///{path}"), sqlite_synchronous=False)))
        self.entered = threading.Semaphore(0)
        self.go_on = threading.Event()
        self.times = 0

    def _hold(self) -> None:
        self.times += 1
        self.entered.release()
        assert self.go_on.wait(60)

    def get_job(self, job_id: str) -> object:  # type: ignore[override]
        self._hold()
        return super().get_job(job_id)

    def delete_without_data(self, image_id: str) -> object:  # type: ignore[override]
        self._hold()
        return super().delete_without_data(image_id)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return certificates(tmp_path_factory.mktemp("ca") / "certificates")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Held]:
    opened = Held(tmp_path / "db.sqlite")
    yield opened
    opened.go_on.set()
    opened.close()


@contextmanager
def serving(place: Path, database: Database, **options: object) -> Iterator[Registry]:
    registry = Registry(place, **options)  # type: ignore[arg-type]
    try:
        with registry.in_front_of(database):
            yield registry
    finally:
        registry.close()


@pytest.fixture
def registry(place: Path, database: Held) -> Iterator[Registry]:
    with serving(place, database) as made:
        yield made


@pytest.fixture
def client(registry: Registry) -> Iterator[RegistryDatabase]:
    made = registry.client()
    yield made
    made.close()


@contextmanager
def of(options: RegistryOptions, *addresses: Address) -> Iterator[RegistryDatabase]:
    made = RegistryDatabase(addresses, options)
    try:
        yield made
    finally:
        made.close()


def test_calls_return_and_raise_as_the_database_does(client: RegistryDatabase, database: Held) -> None:
    stored = image(properties={"a": "1", "b": None}, tags=("t",))
    client.create_image(stored)
    assert client.get_image(stored.id, OWNER) == database.get_image(stored.id, OWNER)
    with pytest.raises(Duplicate, match=stored.id):
        client.create_image(stored)
    with pytest.raises(NotFound):
        client.get_image(image().id, OWNER)


def test_one_call_is_one_request_and_the_first_one_asks_for_the_server_info(
    client: RegistryDatabase, registry: Registry
) -> None:
    stored = image()
    client.create_image(stored)
    client.get_image(stored.id, OWNER)
    client.list_images(ListQuery(), OWNER)
    assert [request.path.removeprefix("/v2/") for request in registry.requests] == [
        "server_info", "create_image", "get_image", "list_images",
    ]  # fmt: skip


def test_the_server_info_says_who_this_node_is(registry: Registry, client: RegistryDatabase, database: Held) -> None:
    assert client.server_info() == ServerInfo(version=str(VERSION), role=Role.ADMIN)
    with (
        registry.in_front_of(database, problem="No tables."),
        of(client_options(registry.directory, "node"), registry.address) as node,
    ):
        assert node.server_info() == ServerInfo(version=str(VERSION), role=Role.API, ready=False, state="No tables.")


def test_wrong_numbers_of_arguments_are_noticed_here(client: RegistryDatabase) -> None:
    with pytest.raises(TypeError, match="get_job"):
        client.get_job("a", "b")  # type: ignore[call-arg]


def test_threads_share_connections(client: RegistryDatabase, registry: Registry) -> None:
    stored = [image() for _ in range(8)]

    def work(number: int) -> None:
        client.create_image(stored[number])
        for _ in range(20):
            assert client.get_image(stored[number].id, OWNER).id == stored[number].id

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, range(8)))
    assert len(client.list_images(ListQuery(), OWNER)) == 8
    assert sum(request.path == "/v2/server_info" for request in registry.requests) <= 8


def test_as_many_idle_connections_are_kept_as_the_settings_say(registry: Registry, database: Held) -> None:
    with of(client_options(registry.directory, pool_size=2), registry.address) as client:
        with ThreadPoolExecutor(6) as threads:
            waiting = [threads.submit(client.get_job, "none") for _ in range(6)]
            for _ in waiting:
                assert database.entered.acquire(timeout=60)
            database.go_on.set()
            assert all(isinstance(each.exception(60), NotFound) for each in waiting)
        [server] = client._pool._servers
        assert len(server._idle) == 2


def test_a_long_answer(client: RegistryDatabase) -> None:
    texts: dict[str, str | None] = {f"p{number}": "ä" * 20_000 for number in range(10)}
    stored = image(properties=texts)
    client.create_image(stored)
    assert client.get_image(stored.id, OWNER).properties == texts


# ------------------------------------------------------------------------------------------- broken connections


def test_an_idle_connection_that_the_server_ended_is_not_used(client: RegistryDatabase, registry: Registry) -> None:
    for _ in range(3):
        client.create_image(image())
        registry.abort()
    assert len(client.list_images(ListQuery(), OWNER)) == 3


def test_a_server_that_was_started_again_is_found(place: Path, database: Held) -> None:
    with ExitStack() as stack:
        with serving(place, database) as first:
            client = stack.enter_context(of(client_options(place), first.address))
            client.create_image(image())
        with pytest.raises(DatabaseUnavailable, match=r"^The registry cannot be reached\.$"):
            client.create_image(image())
        with serving(place, database, port=first.address.port):
            client.create_image(image())
            assert len(client.list_images(ListQuery(), OWNER)) == 2


def lost(registry: Registry, database: Held, call: Callable[[], object]) -> BaseException | None:
    """Break the connection while the server works on a call, and let the database go on; what the call raised."""
    with ThreadPoolExecutor(1) as thread:
        running = thread.submit(call)
        assert database.entered.acquire(timeout=60)
        registry.abort()
        database.go_on.set()
        return running.exception(60)


def test_a_read_whose_answer_is_lost_is_done_again(
    client: RegistryDatabase, registry: Registry, database: Held
) -> None:
    assert isinstance(lost(registry, database, lambda: client.get_job("none")), NotFound)
    assert database.times == 2


def test_a_write_whose_answer_is_lost_is_not_done_again(
    client: RegistryDatabase, registry: Registry, database: Held
) -> None:
    stored = image()
    client.create_image(stored)
    error = lost(registry, database, lambda: client.delete_without_data(stored.id))
    assert isinstance(error, DatabaseUnavailable)
    assert str(error) == "The connection to the registry was lost. Whether the change was made is not known."
    assert database.times == 1


@pytest.mark.parametrize("write", [False, True])
def test_a_call_ends_at_its_deadline(client: RegistryDatabase, registry: Registry, database: Held, write: bool) -> None:
    client.count_jobs()
    client._options = msgspec.structs.replace(client._options, timeout=0.3)
    with pytest.raises(DatabaseUnavailable, match=r"^The registry did not answer in time"):
        client.delete_without_data(image().id) if write else client.get_job("none")
    assert database.times == 1
    assert 0 < int(registry.requests[-1].headers["glimpse-deadline-ms"]) <= 300
    database.go_on.set()


def test_a_forked_process_makes_connections_of_its_own(client: RegistryDatabase, registry: Registry) -> None:
    stored = image()
    client.create_image(stored)
    with warnings.catch_warnings():
        # Python 3.12 dislikes forks of processes with threads; the service forks before it has any
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        fine = False
        with suppress(BaseException):
            fine = client.get_image(stored.id, OWNER).id == stored.id
        os._exit(0 if fine else 1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert client.get_image(stored.id, OWNER).id == stored.id
    assert [request.path for request in registry.requests].count("/v2/server_info") == 2


def test_a_defect_of_the_server_is_no_error_for_users(place: Path, tmp_path: Path) -> None:
    class Broken(Held):
        def get_job(self, job_id: str) -> object:  # type: ignore[override]
            raise ZeroDivisionError

    broken = Broken(tmp_path / "broken.sqlite")
    with serving(place, broken) as registry, of(client_options(place), registry.address) as client:
        with pytest.raises(RegistryDefect):
            client.get_job("x")
        assert client.count_jobs() == {}
    broken.close()


def test_calls_carry_the_id_of_the_request_they_work_for(registry: Registry) -> None:
    said: list[str | None] = ["req-1", None, "no\r\nheader: x", "ümlaut"]
    client = RegistryDatabase((registry.address,), client_options(registry.directory), request_id=lambda: said.pop(0))
    for _ in range(4):
        client.count_jobs()
    client.close()
    ids = [request.headers.get("x-openstack-request-id") for request in registry.requests[1:]]
    assert ids == ["req-1", None, None, None]


# ------------------------------------------------------------------------------------------------ several servers


class Refusing:
    """A server that ends every connection at once, and counts them."""

    def __init__(self) -> None:
        self._listener = socket.create_server((HOST, 0))
        self.address = Address(*self._listener.getsockname()[:2])
        self.times = 0
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        with suppress(OSError):
            while True:
                self._listener.accept()[0].close()
                self.times += 1

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(30)


@pytest.fixture
def refusing() -> Iterator[Refusing]:
    made = Refusing()
    yield made
    made.close()


@pytest.fixture
def first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every process begins with the first server of the URL."""
    monkeypatch.setattr(pool.random, "randrange", lambda _count: 0)


def test_a_dead_server_is_left_alone_for_a_while(
    place: Path,
    database: Held,
    refusing: Refusing,
    first: None,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(pool, "AVOIDED", 3600.0)
    with ExitStack() as stack:
        with serving(place, database) as registry:
            client = stack.enter_context(of(client_options(place), refusing.address, registry.address))
            for _ in range(10):
                client.create_image(image())
            assert refusing.times == 1
            said = [record.getMessage() for record in caplog.records if record.name == pool.LOG.name]
            assert said == [f"The registry server {refusing.address} is not used for now"]
        with pytest.raises(DatabaseUnavailable):
            client.count_jobs()
        # before a call fails, everybody is tried
        assert refusing.times == 2


def test_a_dead_server_is_tried_again_later(
    registry: Registry, refusing: Refusing, first: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "AVOIDED", 0.0)
    with of(client_options(registry.directory), refusing.address, registry.address) as client:
        for _ in range(5):
            client.create_image(image())
    assert refusing.times == 5


def test_a_read_goes_to_the_other_server_when_one_dies(place: Path, database: Held, first: None) -> None:
    with (
        serving(place, database) as one,
        serving(place, database) as other,
        of(client_options(place), one.address, other.address) as client,
    ):
        assert isinstance(lost(one, database, lambda: client.get_job("none")), NotFound)
        assert (one.calls, other.calls) == (["get_job"], ["get_job"])


def test_a_server_that_has_too_much_to_do_is_passed_over(place: Path, database: Held, first: None) -> None:
    """It says that it has done nothing, so that a write may go to another one."""
    with (
        serving(place, database) as one,
        serving(place, database) as other,
        one.in_front_of(database, threads=1, queue=0),
        of(client_options(place), one.address, other.address) as client,
        ThreadPoolExecutor(1) as thread,
    ):
        client.count_jobs()
        running = thread.submit(client.get_job, "none")
        assert database.entered.acquire(timeout=60)
        client.create_image(image())
        assert (one.calls, other.calls) == (["count_jobs", "get_job"], ["create_image"])
        database.go_on.set()
        assert isinstance(running.exception(60), NotFound)


def test_processes_begin_with_different_servers(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    addresses = tuple(Address("192.0.2.1", port) for port in (1, 2, 3))
    for number in range(3):
        monkeypatch.setattr(pool.random, "randrange", lambda _count, number=number: number)
        with of(client_options(place), *addresses) as client:
            ports = [server.address.port for server in client._pool.in_order()]
            assert ports == [number + 1, (number + 1) % 3 + 1, (number + 2) % 3 + 1]


# ------------------------------------------------------------------------------------------------ trust, versions


def with_pair(options: RegistryOptions, own: Pair) -> RegistryOptions:
    return msgspec.structs.replace(options, cert_file=own.certificate, key_file=own.key)


def test_a_node_may_not_do_what_is_for_admins(registry: Registry) -> None:
    with of(client_options(registry.directory, "node"), registry.address) as node:
        with pytest.raises(RoleRefused):
            node.unload_namespaces()
        assert node.count_jobs() == {}


@pytest.mark.parametrize("kind", ["expired", "self-signed", "other-ca"])
def test_a_certificate_that_the_registry_does_not_accept(registry: Registry, tmp_path: Path, kind: str) -> None:
    own = tmp_path / "ca"
    shutil.copytree(registry.directory, own)
    with (
        of(with_pair(client_options(registry.directory), unwanted(own, kind)), registry.address) as client,
        pytest.raises(DatabaseUnavailable, match=r"^The registry does not accept this node's certificate\.$"),
    ):
        client.count_jobs()


def test_a_certificate_without_a_role(registry: Registry, tmp_path: Path) -> None:
    own = tmp_path / "ca"
    shutil.copytree(registry.directory, own)
    with (
        of(with_pair(client_options(registry.directory), without_role(own)), registry.address) as client,
        pytest.raises(DatabaseUnavailable, match=r"^This node's certificate has no role in the registry\.$"),
    ):
        client.count_jobs()


def test_a_registry_of_another_ca_gets_no_call(registry: Registry, tmp_path: Path) -> None:
    other = authority(tmp_path / "other")
    with (
        of(client_options(other), registry.address) as client,
        pytest.raises(DatabaseUnavailable, match=r"^The registry's certificate is not accepted: .+[.]$"),
    ):
        client.create_image(image())
    assert registry.requests == []


def test_a_registry_of_another_name_gets_no_call(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    address = Address("127.0.0.2", registry.address.port)
    plain = socket.create_connection
    monkeypatch.setattr(socket, "create_connection", lambda _address, **options: plain(registry.address, **options))
    with (
        of(client_options(registry.directory), address) as client,
        pytest.raises(DatabaseUnavailable, match=r"not accepted: .*127\.0\.0\.2"),
    ):
        client.create_image(image())
    assert registry.requests == []


@pytest.mark.parametrize("version", ["3.0", f"{VERSION.major}.{VERSION.minor + 2}"])
def test_a_version_that_is_too_far_away(place: Path, database: Held, version: str) -> None:
    with (
        serving(place, database, version=version) as registry,
        of(client_options(place), registry.address) as client,
    ):
        with pytest.raises(DatabaseUnavailable, match=f"uses version {VERSION} .* version {version}"):
            client.create_image(image())
        assert registry.calls == []


def test_a_registry_of_version_1_is_refused_with_what_to_do(place: Path, database: Held) -> None:
    with (
        serving(place, database, version="1.1") as registry,
        of(client_options(place), registry.address) as client,
    ):
        with pytest.raises(DatabaseUnavailable, match=r"version 2\.0 .* version 1\.1: .* Upgrade the registries first"):
            client.create_image(image())
        assert registry.calls == []


def test_one_minor_version_more_is_fine(place: Path, database: Held) -> None:
    with (
        serving(place, database, version=f"{VERSION.major}.{VERSION.minor + 1}") as registry,
        of(client_options(place), registry.address) as client,
    ):
        client.create_image(image())


def test_a_version_is_told_rather_than_that_another_server_is_away(
    place: Path, database: Held, refusing: Refusing
) -> None:
    with (
        serving(place, database, version="3.0") as registry,
        of(client_options(place), registry.address, refusing.address) as client,
        pytest.raises(DatabaseUnavailable, match=r"version 3\.0"),
    ):
        client.server_info()


def test_new_certificates_are_used_for_new_connections(
    registry: Registry, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    own = tmp_path / "own"
    shutil.copytree(registry.directory, own)
    with of(client_options(own, "node"), registry.address) as client:
        assert client.server_info().role is Role.API
        for ending in ("crt", "key"):
            (own / f"operator.{ending}").replace(own / f"node.{ending}")
        registry.abort()
        assert client.server_info().role is Role.ADMIN
        (own / "node.crt").write_text("half of a file")
        registry.abort()
        assert client.server_info().role is Role.ADMIN
    assert [record.levelname for record in caplog.records if "TLS files" in record.message] == ["INFO", "WARNING"]


def test_files_that_cannot_be_used_are_named(place: Path, tmp_path: Path) -> None:
    good = client_options(place)
    half = tmp_path / "half.crt"
    half.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n")
    for changes, words in (
        ({"ca_file": None, "key_file": None}, "needs [glimpse] registry_ca_file, registry_key_file."),
        ({"ca_file": tmp_path / "none"}, f"The registry's CA file {tmp_path / 'none'} cannot be read"),
        ({"ca_file": half}, f"The registry's CA file {half} contains no PEM certificate"),
        ({"cert_file": half}, f"The certificate {half} and the key"),
        ({"key_file": place / "node.key"}, "does not belong to the certificate"),
        ({"key_file": tmp_path}, f"The key for the registry {tmp_path} cannot be read"),
    ):
        with pytest.raises(TlsFileError) as raised:
            RegistryDatabase((Address(HOST, 1),), msgspec.structs.replace(good, **changes))
        assert words in str(raised.value)


# ------------------------------------------------------------------------------------------- servers that are none


class Talking:
    """A server with the right certificate that gives one answer after the other, whatever it is asked."""

    def __init__(self, place: Path, answers: list[bytes]) -> None:
        self._answers = answers
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(place / "server.crt", place / "server.key")
        self._listener = socket.create_server((HOST, 0))
        self.address = Address(*self._listener.getsockname()[:2])
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                plain, _ = self._listener.accept()
            except OSError:
                return
            with suppress(OSError), plain, self._context.wrap_socket(plain, server_side=True) as private:
                for answer in self._answers:
                    private.recv(65536)
                    private.sendall(answer)

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(30)


def answer(status: int, body: bytes, *fields: str) -> bytes:
    lines = (f"HTTP/1.1 {status} X", f"Glimpse-Registry-Version: {VERSION}", f"Content-Length: {len(body)}", *fields)
    return "\r\n".join((*lines, "", "")).encode() + body


SERVER_INFO = answer(200, msgspec.msgpack.encode(ServerInfo(version=str(VERSION), role=Role.API)))
NO_ANSWERS = {
    "of another protocol": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "of another version of HTTP": b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    "without a length": b"HTTP/1.1 200 OK\r\n\r\n",
    "with a length that is none": b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    "that is too long": b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
    "that ends early": b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
    "that goes on": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nabc",
    "without an end of its head": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 10_000,
    "that is no result": answer(200, b"\xc1"),
    "that is no error": answer(422, b"<html>"),
    "that is nothing": b"",
}


@pytest.mark.parametrize("what", NO_ANSWERS)
@pytest.mark.parametrize("after_server_info", [False, True])
def test_an_answer(place: Path, what: str, after_server_info: bool) -> None:
    """Whatever a server says, the caller hears that the database is away."""
    server = Talking(place, [SERVER_INFO, NO_ANSWERS[what]] if after_server_info else [NO_ANSWERS[what]])
    try:
        with of(client_options(place, timeout=20.0), server.address) as client, pytest.raises(DatabaseUnavailable):
            client.count_jobs()
    finally:
        server.close()
