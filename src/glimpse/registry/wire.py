"""The registry's protocol: paths, headers, versions, roles.

    GET  /v2/server_info       → :class:`ServerInfo`
    POST /v2/<method>    body: the arguments in msgpack; answer 200: the result, any other status: an error

``methods.py`` lists the methods with the forms of their arguments and results, ``errors.py`` the errors. Every request
and every answer carries :data:`VERSION_HEADER`. Two versions understand each other when their major numbers are the
same and their minor numbers are at most one apart: fields that one end does not know are ignored, a method that the
server does not know is answered by :class:`glimpse.registry.errors.UnknownMethod`. All others are refused, version 1
among them: whatever is asked below its ``/v1/`` is answered by :class:`glimpse.registry.errors.VersionRefused`.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import NamedTuple

import msgspec

PREFIX = "/v2/"
SERVER_INFO = PREFIX + "server_info"
#: Paths of version 1 of the protocol.
FORMER_PREFIX = "/v1/"
CONTENT_TYPE = "application/vnd.msgpack"

#: ``MAJOR.MINOR`` of the sender, on each request and answer.
VERSION_HEADER = "Glimpse-Registry-Version"
#: Milliseconds from sending the request to the moment at which its client stops waiting.
DEADLINE_HEADER = "Glimpse-Deadline-Ms"
#: The id of the API request behind the call; for log lines.
REQUEST_ID_HEADER = "X-Openstack-Request-Id"

#: Maximum size of a request or response body, in bytes.
MAX_BODY = 64 << 20

#: Minimum time in seconds that a server keeps an idle connection, and maximum time that a client reuses one: the client
#: closes it first, so that no call is sent on a connection that the server is closing.
SERVER_KEEPS_IDLE = 75.0
CLIENT_KEEPS_IDLE = 45.0

_VERSION = re.compile(r"([0-9]{1,4})\.([0-9]{1,4})")


class Version(NamedTuple):
    """A version of the protocol."""

    major: int
    minor: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"

    def understands(self, other: Version) -> bool:
        """Tell whether these two versions can work together."""
        return self.major == other.major and abs(self.minor - other.minor) <= 1


#: This code's version. A new method, or a new optional field, raises the minor number.
VERSION = Version(2, 0)


def parse_version(text: str | None) -> Version | None:
    """Parse the version in a header; None if it is invalid."""
    match = _VERSION.fullmatch(text) if text is not None else None
    return None if match is None else Version(int(match[1]), int(match[2]))


def version_refusal(client: Version | None, server: Version | None) -> str:
    """Return the message with which one side refuses the other, including what to do."""
    behind = client is None or (server is not None and client < server)
    advice = "Upgrade this node." if behind else "Upgrade the registries first, then the nodes."
    return (
        f"This node uses version {client or '(none)'} of the registry protocol, the registry version "
        f"{server or '(none)'}: they may differ by one minor version. {advice}"
    )


class Role(StrEnum):
    """The role of a client, which decides what it may call. An admin may call everything."""

    API = "api"
    ADMIN = "admin"

    def may_act_as(self, needed: Role) -> bool:
        """Tell whether a client with this role may call methods that need ``needed``."""
        return self is Role.ADMIN or self is needed


class ServerInfo(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to the first request on each connection.

    ``version`` is the server's, ``role`` that of the client's certificate. ``ready`` is false if the schema of the
    registry's database is not the one that its code needs; ``state`` is a sentence about this.
    """

    version: str
    role: Role
    ready: bool = True
    state: str = ""
