"""The servers of a registry, and the connections to them that are kept open."""

from __future__ import annotations

import logging
import os
import random
import time
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from glimpse.errors import Unauthenticated
from glimpse.registry import errors
from glimpse.registry.client_tls import ClientTls
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

LOG = logging.getLogger(__name__)

#: Seconds that a server which could not be reached is left alone, as long as there are others.
AVOIDED = 5.0

_SERVER_INFO = msgspec.msgpack.Decoder(ServerInfo)


class WrongVersion(Unreachable):
    """The server speaks a version of the protocol that this node does not understand."""


class Taken(NamedTuple):
    """A connection for one call; ``fresh`` when it was made for it."""

    connection: Connection
    fresh: bool


class Server:
    """One server: its idle connections, the last used on top, and whether to leave it alone for now.

    Threads share it without a lock: the operations of a deque are atomic.
    """

    def __init__(self, address: Address, tls: ClientTls, options: RegistryOptions) -> None:
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
        """An idle connection that is still open, or a new one.

        :raises NotProcessed: the server has too much to do.
        :raises Unreachable: there is none, and no new one can be made.
        """
        if self._process != os.getpid():
            # a fork: the connections are those of the other process
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
        """Keep a connection for the next call, unless there are enough or it is at its end."""
        if not connection.open or self._closed:
            connection.close()
            return
        self._idle.append(connection)
        if len(self._idle) > self._options.pool_size:
            self._drop_oldest()

    def server_info(self, deadline: float) -> ServerInfo:
        """Ask the server on a new connection.

        :raises NotProcessed: the server has too much to do.
        :raises Unreachable: no server that this node can work with.
        """
        connection, info = self._connected(deadline)
        self.give_back(connection)
        return info

    def avoid(self) -> None:
        """Leave the server alone for some seconds."""
        if self.avoided_until == 0.0:
            LOG.warning("The registry server %s is not used for now", self.address)
        self.avoided_until = time.monotonic() + AVOIDED

    def answered(self) -> None:
        """The server is well."""
        if self.avoided_until:
            LOG.info("The registry server %s answers again", self.address)
            self.avoided_until = 0.0

    def close(self) -> None:
        """End the idle connections; those in use end when they are given back."""
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
        """A new connection, and what the server said of itself on it."""
        deadline = min(deadline, time.monotonic() + self._options.connect_timeout)
        connection = Connection(self.address, self._tls.context(), deadline)
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
    """Say why a server refused the first request on a connection.

    :raises NotProcessed: it has too much to do.
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
    """All servers of a registry. Each process begins with one of them by chance, so that they share the load."""

    def __init__(self, addresses: Sequence[Address], tls: ClientTls, options: RegistryOptions) -> None:
        self._servers = [Server(address, tls, options) for address in addresses]
        self._process = 0
        self._begin = 0

    def in_order(self) -> list[Server]:
        """The servers in the order in which to try them: those that are left alone come last, not never."""
        servers = self._servers
        if len(servers) > 1:
            if self._process != os.getpid():
                self._process, self._begin = os.getpid(), random.randrange(len(servers))
            servers = servers[self._begin :] + servers[: self._begin]
            now = time.monotonic()
            servers.sort(key=lambda server: server.avoided_until > now)
        return servers

    def close(self) -> None:
        """End all idle connections."""
        for server in self._servers:
            server.close()
