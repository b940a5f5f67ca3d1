"""The servers of a registry, with their idle connections."""

from __future__ import annotations

import logging
import os
import random
import ssl
import time
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from glimpse.errors import Unauthenticated
from glimpse.registry import errors
from glimpse.registry.connection import (
    Answer,
    AnswerLost,
    Connection,
    NotSent,
    NotTrusted,
    Unreachable,
    raise_unreachable,
)
from glimpse.registry.errors import NotProcessed, RegistryDefect, RoleRefused, VersionRefused
from glimpse.registry.wire import (
    CLIENT_KEEPS_IDLE,
    SERVER_INFO,
    VERSION,
    VERSION_HEADER,
    ServerInfo,
    parse_version,
    version_refusal,
)
from glimpse.settings.database_url import Address
from glimpse.settings.model import RegistryOptions
from glimpse.tls_files import FollowedFiles

LOG = logging.getLogger(__name__)

#: Seconds for which an unreachable server is not used, as long as there are others.
AVOIDED = 5.0

_SERVER_INFO = msgspec.msgpack.Decoder(ServerInfo)


class WrongVersion(Unreachable):
    """The server uses a protocol version that this node does not support."""


class Taken(NamedTuple):
    """A connection for one call; ``fresh`` if it was made for this call."""

    connection: Connection
    fresh: bool


class Server:
    """One server: its idle connections, last used first, and whether it is avoided for now.

    Thread-safe without a lock, because the operations of a deque are atomic.
    """

    def __init__(self, address: Address, tls: FollowedFiles[ssl.SSLContext], options: RegistryOptions) -> None:
        self.address = address
        self.avoided_until = 0.0
        self._tls = tls
        self._options = options
        self._idle: deque[Connection] = deque()
        self._process = os.getpid()
        self._closed = False
        self._info_head = (
            f"GET {SERVER_INFO} HTTP/1.1\r\nHost: {address}\r\n{VERSION_HEADER}: {VERSION}\r\n\r\n".encode()
        )

    def take(self, deadline: float) -> Taken:
        """Return an idle connection that is still open, or a new one.

        :raises NotProcessed: the server is overloaded.
        :raises Unreachable: there is no idle connection, and a new one cannot be made.
        """
        if self._process != os.getpid():
            # after a fork: the connections belong to the other process
            self._idle, self._process = deque(), os.getpid()
        oldest = time.monotonic() - CLIENT_KEEPS_IDLE
        while self._idle:
            try:
                connection = self._idle.pop()
            except IndexError:
                break
            if connection.used > oldest and not connection.is_stale():
                return Taken(connection, fresh=False)
            connection.close()
        return Taken(self._connected(deadline)[0], fresh=True)

    def give_back(self, connection: Connection) -> None:
        """Keep a connection for the next call, unless there are enough or it cannot be reused."""
        if not connection.open or self._closed:
            connection.close()
            return
        self._idle.append(connection)
        if len(self._idle) > self._options.pool_size:
            self._drop_oldest()

    def server_info(self, deadline: float) -> ServerInfo:
        """Ask the server on a new connection.

        :raises NotProcessed: the server is overloaded.
        :raises Unreachable: no server that this node can work with.
        """
        connection, info = self._connected(deadline)
        self.give_back(connection)
        return info

    def avoid(self) -> None:
        """Do not use the server for some seconds."""
        if self.avoided_until == 0.0:
            LOG.warning("The registry server %s is not used for now", self.address)
        self.avoided_until = time.monotonic() + AVOIDED

    def answered(self) -> None:
        """Record that the server answers."""
        if self.avoided_until:
            LOG.info("The registry server %s answers again", self.address)
            self.avoided_until = 0.0

    def close(self) -> None:
        """Close the idle connections; those in use are closed when they are given back."""
        self._closed = True
        if self._process != os.getpid():
            return
        while self._idle:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        try:
            self._idle.popleft().close()
        except IndexError:
            # another thread took it
            return

    def _connected(self, deadline: float) -> tuple[Connection, ServerInfo]:
        """Make a new connection, and return it with the server's information."""
        deadline = min(deadline, time.monotonic() + self._options.connect_timeout)
        connection = Connection(self.address, self._tls.current(), deadline)
        try:
            return connection, self._server_info(connection, deadline)
        except BaseException as error:
            connection.close()
            if isinstance(error, NotSent | AnswerLost):
                raise_unreachable(error.__cause__)
            raise

    def _server_info(self, connection: Connection, deadline: float) -> ServerInfo:
        answer = connection.exchange(self._info_head, b"", deadline)
        version = parse_version(answer.header(VERSION_HEADER))
        if version is None:
            raise Unreachable("The server at the registry's address is not a registry.")
        if not VERSION.understands(version):
            raise WrongVersion(version_refusal(VERSION, version))
        if answer.status != 200:
            _refused(answer)
        try:
            return _SERVER_INFO.decode(answer.body)
        except ValueError:
            raise Unreachable("The registry's first response cannot be decoded.") from None


def _refused(answer: Answer) -> None:
    """Raise the reason why a server refused the first request on a connection.

    :raises NotProcessed: it is overloaded.
    :raises Unreachable: anything else.
    """
    try:
        error: Exception = errors.decode(answer.status, answer.body)
    except RegistryDefect as defect:
        error = defect
    if isinstance(error, VersionRefused):
        raise WrongVersion(str(error)) from error
    if isinstance(error, NotProcessed):
        raise error
    if isinstance(error, RoleRefused | Unauthenticated):
        raise NotTrusted(str(error)) from error
    raise Unreachable(str(error)) from error


class Pool:
    """All servers of a registry. Each process starts with a random one, so that they share the load."""

    def __init__(
        self, addresses: Sequence[Address], tls: FollowedFiles[ssl.SSLContext], options: RegistryOptions
    ) -> None:
        self._servers = [Server(address, tls, options) for address in addresses]
        self._process = 0
        self._begin = 0

    def in_order(self) -> list[Server]:
        """Return the servers in the order to try them; avoided ones come last."""
        servers = self._servers
        if len(servers) > 1:
            if self._process != os.getpid():
                self._process, self._begin = os.getpid(), random.randrange(len(servers))
            servers = servers[self._begin :] + servers[: self._begin]
            now = time.monotonic()
            servers.sort(key=lambda server: server.avoided_until > now)
        return servers

    def close(self) -> None:
        """Close all idle connections."""
        for server in self._servers:
            server.close()
