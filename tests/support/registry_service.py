"""A real ``glimpse registry``: its own process, its own embedded database, certificates of its own CA."""

from __future__ import annotations

import http.client
import re
import socket
import ssl
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from glimpse.errors import GlimpseError
from glimpse.registry import errors, wire
from glimpse.registry.methods import METHODS
from tests.support.private_ca import Pair, authority, client_context, pair
from tests.support.service import HOST, Options, Service, free_port, script, write_options

VERSIONED = {wire.VERSION_HEADER: str(wire.VERSION)}
SECONDS = 30.0


class RegistryService(Service):
    """One registry; a second one on the same database gets the ``data_dir`` and the ``ca`` of the first."""

    def __init__(
        self,
        place: Path,
        *,
        options: Options | None = None,
        ca: Path | None = None,
        data_dir: Path | None = None,
        workers: int = 1,
        arguments: Sequence[str] = (),
    ) -> None:
        super().__init__(place)
        self.ca = ca or authority(place / "ca")
        self.data_dir = data_dir or self.data_dir
        self.metrics_port = free_port()
        own = {
            "metrics_port": self.metrics_port,
            "registry_server_cert_file": self.ca / "server.crt",
            "registry_server_key_file": self.ca / "server.key",
            "registry_client_ca_file": self.ca / "ca.crt",
        }
        sections: dict[str, Mapping[str, object]] = dict(options or {})
        sections["glimpse"] = {**own, **sections.get("glimpse", {})}
        write_options(self.config_file, sections)
        # clients go on trusting the server when the file that the server reads is changed
        self.trusted = place / "trusted.crt"
        self.trusted.write_bytes((self.ca / "ca.crt").read_bytes())
        self.command = [
            str(script()), "registry", "--config-file", str(self.config_file), "--data-dir", str(self.data_dir),
            "--host", HOST, "--port", str(self.port), "--workers", str(workers), *arguments,
        ]  # fmt: skip

    @property
    def url(self) -> str:
        """As ``[database] connection`` of a node has it."""
        return f"registry+https://{HOST}:{self.port}"

    def node_options(self, name: str = "node", *others: RegistryService) -> dict[str, dict[str, object]]:
        """Options of a node that uses this registry, and ``others`` beside it."""
        own = pair(self.ca, name)
        return {
            "database": {"connection": ",".join([self.url, *(f"{HOST}:{other.port}" for other in others)])},
            "glimpse": {
                "registry_ca_file": self.trusted,
                "registry_cert_file": own.certificate,
                "registry_key_file": own.key,
            },
        }

    def answers(self) -> bool:
        """Whether the health check answers 200, and the endpoint of metrics, which is opened last."""
        try:
            return self.get("/healthcheck") == 200 and bool(self.metrics())
        except (OSError, http.client.HTTPException):
            return False

    def get(self, path: str) -> int:
        """The status of a GET on a connection of its own."""
        connection = self.connect()
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        finally:
            connection.close()

    def metrics(self) -> str:
        """All values, one a line."""
        with urllib.request.urlopen(f"http://{HOST}:{self.metrics_port}/metrics", timeout=SECONDS) as answer:
            return answer.read().decode()

    def running_calls(self) -> int:
        """Calls that run or wait now."""
        found = re.search(r"^glimpse_registry_calls (\S+)$", self.metrics(), re.MULTILINE)
        return int(float(found[1])) if found else 0

    def context(self, own: Pair | None = None) -> ssl.SSLContext:
        """A client's context, with the certificate `node` unless another one is given."""
        return client_context(self.trusted, own or pair(self.ca, "node"))

    def connect(self, own: Pair | None = None, timeout: float = SECONDS) -> http.client.HTTPSConnection:
        """A connection for HTTP."""
        return http.client.HTTPSConnection(HOST, self.port, timeout=timeout, context=self.context(own))

    def private(self, context: ssl.SSLContext | None = None) -> ssl.SSLSocket:
        """A connection for bytes."""
        plain = socket.create_connection((HOST, self.port), timeout=SECONDS)
        try:
            return (context or self.context()).wrap_socket(plain, server_hostname=HOST)
        except BaseException:
            plain.close()
            raise

    def call(self, name: str, own: Pair | None = None, **arguments: Any) -> Any:
        """Call a method on a connection of its own: its result, or the error that it raises."""
        connection = self.connect(own)
        try:
            return call_on(connection, name, **arguments)
        finally:
            connection.close()


def head(name: str, body: bytes) -> bytes:
    """Request line and headers of a call."""
    lines = (f"POST {wire.PREFIX}{name} HTTP/1.1", "Host: registry", f"{wire.VERSION_HEADER}: {wire.VERSION}")
    return "\r\n".join((*lines, f"Content-Length: {len(body)}", "", "")).encode()


def call_on(connection: http.client.HTTPSConnection, name: str, **arguments: Any) -> Any:
    """Call a method on an open connection."""
    method = METHODS[name]
    connection.request("POST", wire.PREFIX + name, method.encode_arguments(arguments), VERSIONED)
    response = connection.getresponse()
    body = response.read()
    if response.status != 200:
        raise errors.decode(response.status, body)
    return method.decode_result(body)


def outcome_of(connection: http.client.HTTPSConnection, name: str, **arguments: Any) -> str:
    """``ok``, or the name of the class of the error."""
    try:
        call_on(connection, name, **arguments)
    except GlimpseError as error:
        return type(error).__name__
    return "ok"
