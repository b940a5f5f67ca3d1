"""A real ``glimpse registry`` with real handshakes: refusals, reload, drain, and clients that disconnect or send
garbage.
"""

from __future__ import annotations

import random
import signal
import socket
import sqlite3
import ssl
import struct
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import msgspec
import pytest

from glimpse.errors import NotFound
from glimpse.registry import wire
from glimpse.registry.certs import Issuer, issue_client, new_issuer
from glimpse.registry.methods import METHODS
from glimpse.registry.wire import Role
from tests.contract.db.examples import ADMIN, image
from tests.support.footprint import eventually
from tests.support.private_ca import UNWANTED, pair, unwanted, without_role, written
from tests.support.registry_service import VERSIONED, RegistryService, head, outcome_of
from tests.support.service import HOST

RETRIES = 30.0
#: Calls that a worker runs at the same time, unless it is told otherwise.
THREADS = 16


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryService]:
    """One registry for the tests that leave it as it was."""
    with RegistryService(tmp_path_factory.mktemp("registry")) as running:
        yield running


def alert_of(registry: RegistryService, context: ssl.SSLContext) -> str:
    """What a client that asks for the health check hears in place of an answer."""
    try:
        with registry.private(context) as connection:
            connection.sendall(b"GET /healthcheck HTTP/1.1\r\nHost: registry\r\n\r\n")
            data = connection.recv(4096)
    except ssl.SSLError as error:
        return str(error.reason)
    except OSError:
        return "reset"
    assert data == b""
    return "end of file"


def rows(registry: RegistryService) -> int:
    with closing(sqlite3.connect(registry.database_file)) as database:
        return database.execute("SELECT count(*) FROM images WHERE NOT deleted").fetchone()[0]


@contextmanager
def locked(registry: RegistryService) -> Iterator[None]:
    """Nobody can write into the database while the block runs."""
    with closing(sqlite3.connect(registry.database_file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


def descriptors(registry: RegistryService) -> int:
    """Open files and sockets of the worker."""
    return sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in registry.workers())


def sockets(registry: RegistryService) -> int:
    """Open sockets of the worker: those of its connections, and the few that it always has."""
    links = (path for pid in registry.workers() for path in Path(f"/proc/{pid}/fd").iterdir())
    return sum(name.startswith("socket:") for name in map(read_link, links))


def read_link(path: Path) -> str:
    """What a descriptor is; nothing when it was closed meanwhile."""
    try:
        return str(path.readlink())
    except FileNotFoundError:
        return ""


def threads(registry: RegistryService) -> int:
    return sum(len(list(Path(f"/proc/{pid}/task").iterdir())) for pid in registry.workers())


def test_a_node_calls_what_its_role_allows(registry: RegistryService) -> None:
    with closing(registry.connect()) as node, closing(registry.connect(pair(registry.ca, "operator"))) as operator:
        node.request("GET", wire.SERVER_INFO)
        info = msgspec.msgpack.decode(node.getresponse().read(), type=wire.ServerInfo)
        assert (info.role, info.ready, info.version) == (Role.API, True, str(wire.VERSION))
        assert outcome_of(node, "count_jobs") == "ok"
        assert outcome_of(node, "export_namespaces", names=[]) == "ok"
        assert outcome_of(node, "unload_namespaces") == "RoleRefused"
        assert outcome_of(operator, "unload_namespaces") == "ok"
        # the refusal left the connection usable
        assert outcome_of(node, "count_jobs") == "ok"


def test_a_certificate_without_a_role_may_ask_for_the_health_and_nothing_else(registry: RegistryService) -> None:
    with closing(registry.connect(without_role(registry.ca))) as connection:
        assert outcome_of(connection, "count_jobs") == "RoleRefused"
        connection.request("GET", "/healthcheck")
        assert connection.getresponse().read() == b"OK"


@pytest.mark.parametrize("kind", UNWANTED)
def test_a_certificate_that_is_not_good_gets_no_answer_but_the_reason(registry: RegistryService, kind: str) -> None:
    alert = alert_of(registry, registry.context(unwanted(registry.ca, kind)))
    assert "ALERT" in alert, alert
    assert eventually(lambda: UNWANTED[kind] in registry.log, RETRIES)
    assert registry.answers()


def test_a_client_without_a_certificate_gets_no_answer_but_the_reason(registry: RegistryService) -> None:
    context = ssl.create_default_context(cafile=registry.trusted)
    assert alert_of(registry, context) == "TLSV13_ALERT_CERTIFICATE_REQUIRED"
    assert eventually(lambda: "peer did not return a certificate" in registry.log, RETRIES)


def test_a_client_that_speaks_no_tls_gets_nothing(registry: RegistryService) -> None:
    with socket.create_connection((HOST, registry.port), timeout=RETRIES) as plain:
        plain.sendall(b"GET /healthcheck HTTP/1.1\r\nHost: registry\r\n\r\n")
        answer = plain.recv(4096)
    assert b"HTTP" not in answer
    assert registry.answers()


def test_a_client_that_speaks_tls_1_2_gets_nothing(registry: RegistryService) -> None:
    context = registry.context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    assert "PROTOCOL_VERSION" in alert_of(registry, context)


def test_connections_are_not_kept_by_clients_that_go_away_in_the_handshake(registry: RegistryService) -> None:
    assert registry.answers()
    before = descriptors(registry)
    for number in range(20):
        with socket.create_connection((HOST, registry.port), timeout=RETRIES) as plain:
            if number % 2:
                plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            if number % 4 > 1:
                plain.sendall(b"\x16\x03\x01\x02\x00\x01\x00")
    assert eventually(lambda: descriptors(registry) <= before, RETRIES), (before, descriptors(registry))


def test_random_bytes_instead_of_requests_end_that_connection_only(registry: RegistryService) -> None:
    rot(registry, seed=7, times=10)


@pytest.mark.heavy
@pytest.mark.timeout(600)
def test_very_many_random_bytes_harm_nobody(registry: RegistryService) -> None:
    assert registry.answers()
    before = sockets(registry), descriptors(registry), threads(registry)
    for seed in range(20):
        rot(registry, seed=seed, times=25)
    assert eventually(lambda: sockets(registry) <= before[0], RETRIES), (before, sockets(registry))
    # threads for calls are made when they are first needed, each may open the database's three files; and metrics' two
    assert threads(registry) <= before[2] + THREADS
    assert descriptors(registry) <= before[1] + 3 * THREADS + 2
    assert len(registry.workers()) == 1


def rot(registry: RegistryService, *, seed: int, times: int) -> None:
    """Random bytes at the levels of TLS, HTTP and msgpack; the registry goes on answering."""
    chance = random.Random(seed)
    with closing(registry.connect()) as steady:
        for _ in range(times):
            garbage = chance.randbytes(chance.randrange(1, 2000))
            talk(socket.create_connection((HOST, registry.port), timeout=RETRIES), garbage)
            request = bytearray(head("count_jobs", b"\x80") + b"\x80")
            for _ in range(chance.randrange(1, 8)):
                request[chance.randrange(len(request))] = chance.randrange(256)
            talk(registry.private(), bytes(request))
            talk(registry.private(), garbage)
            name = chance.choice(sorted(METHODS))
            steady.request("POST", wire.PREFIX + name, garbage, VERSIONED)
            response = steady.getresponse()
            response.read()
            assert response.status in {403, 422}, (name, response.status)
        assert outcome_of(steady, "count_jobs") == "ok"


def talk(connection: socket.socket, data: bytes) -> None:
    """Send, say that nothing more comes, and read what may come."""
    with connection, suppress(OSError):
        connection.sendall(data)
        if isinstance(connection, ssl.SSLSocket):
            connection.settimeout(0.05)
        else:
            connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):
            pass


def test_a_head_that_never_ends_is_refused(registry: RegistryService) -> None:
    answer = b""
    # a connection that ends while there is still something to send may take the answer along; a time-out is a failure
    with registry.private() as connection, suppress(ConnectionError, ssl.SSLError):
        connection.sendall(b"POST /v2/count_jobs HTTP/1.1\r\nHost: registry\r\n")
        for _ in range(2000):
            connection.sendall(b"X-Padding: " + b"x" * 8000 + b"\r\n")
        answer = connection.recv(4096)
    assert answer.startswith(b"HTTP/1.1 400") or answer == b""
    assert registry.answers()


def test_a_write_whose_client_goes_away_is_finished(registry: RegistryService) -> None:
    made = image()
    body = METHODS["create_image"].encode_arguments({"image": made})
    before = descriptors(registry)
    with locked(registry):
        connection = registry.private()
        connection.sendall(head("create_image", body) + body)
        assert eventually(lambda: registry.running_calls() == 1, RETRIES)
        # a reset: not even the end of TLS is said
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
    assert eventually(lambda: has(registry, made.id), RETRIES)
    assert eventually(lambda: descriptors(registry) <= before + 2, RETRIES)
    assert registry.answers()


def has(registry: RegistryService, image_id: str) -> bool:
    try:
        registry.call("get_image", image_id=image_id, viewer=ADMIN)
    except NotFound:
        return False
    return True


@pytest.mark.heavy
def test_two_workers_answer(tmp_path: Path) -> None:
    with RegistryService(tmp_path, workers=2) as registry:
        assert len(registry.workers()) == 2
        connections = [registry.connect() for _ in range(8)]
        assert [outcome_of(connection, "count_jobs") for connection in connections] == ["ok"] * 8
        for connection in connections:
            connection.close()


def test_sigterm_lets_a_running_call_end(tmp_path: Path) -> None:
    made = image()
    body = METHODS["create_image"].encode_arguments({"image": made})
    registry = RegistryService(tmp_path)
    registry.start()
    try:
        with closing(registry.connect()) as idle, registry.private() as connection:
            assert outcome_of(idle, "count_jobs") == "ok"
            with locked(registry):
                connection.sendall(head("create_image", body) + body)
                assert eventually(lambda: registry.running_calls() == 1, RETRIES)
                registry.signal(signal.SIGTERM)
                assert eventually(lambda: not accepts(registry.port), RETRIES)
            answer = connection.recv(4096)
            assert answer.startswith(b"HTTP/1.1 200"), answer
            assert b"connection: close" in answer.lower()
        registry.wait()
    finally:
        registry.kill_group()
    assert rows(registry) == 1
    assert "Traceback" not in registry.log


def accepts(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(5)
        return probe.connect_ex((HOST, port)) == 0


def test_new_certificates_are_followed_and_a_removed_ca_is_out(tmp_path: Path) -> None:
    with RegistryService(tmp_path) as registry:
        old, other = pair(registry.ca, "node"), new_issuer("another CA", days=1)
        new = written(registry.ca, "new-node", issue_client(other, "new-node", Role.API, days=1))
        first_ca = (registry.ca / "ca.crt").read_bytes()
        with closing(registry.connect(old)) as open_before:
            assert outcome_of(open_before, "count_jobs") == "ok"
            assert "UNKNOWN_CA" in alert_of(registry, registry.context(new))
            # both: the way to change a CA without an interruption
            replace(registry.ca / "ca.crt", first_ca + pem_of(other, registry.ca))
            assert registry.call("count_jobs", new) == {}
            assert registry.call("count_jobs", old) == {}
            assert outcome_of(open_before, "count_jobs") == "ok"
            # the new one alone
            replace(registry.ca / "ca.crt", pem_of(other, registry.ca))
            assert registry.call("count_jobs", new) == {}
            assert "UNKNOWN_CA" in alert_of(registry, registry.context(old))
            assert outcome_of(open_before, "count_jobs") == "NotProcessed"
            # and that connection was its last
            assert open_before.sock is None
        replace(registry.ca / "ca.crt", first_ca)
        assert registry.call("count_jobs", old) == {}
        assert "The TLS files have changed; the new ones are in force" in registry.log


def pem_of(issuer: Issuer, place: Path) -> bytes:
    return written(place, "other-ca", issuer).certificate.read_bytes()


def replace(file: Path, content: bytes) -> None:
    """As tools do that renew certificates: at once."""
    fresh = file.with_name("fresh")
    fresh.write_bytes(content)
    fresh.rename(file)


def test_the_metrics_count_calls_and_refusals(registry: RegistryService) -> None:
    registry.call("count_jobs")
    alert_of(registry, registry.context(unwanted(registry.ca, "expired")))
    wanted = (
        'glimpse_requests_total{method="POST",route="/v2/count_jobs",status="200"} ',
        'glimpse_request_seconds_count{method="POST",route="/v2/count_jobs"} ',
        "glimpse_registry_refused_connections_total ",
        "glimpse_registry_calls 0.0",
    )
    assert eventually(lambda: all(line in registry.metrics() for line in wanted), RETRIES), registry.metrics()
