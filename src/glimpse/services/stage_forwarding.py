"""Requests about staged data that another node has are sent on to it (imports-and-stores 2.14).

The URL of the node is a property of the image that only the service writes. Nevertheless it is checked, no redirect is
followed, and a request that was sent on once is not sent on again, so nodes that name each other wrongly form no loop.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from threading import BoundedSemaphore
from urllib.parse import urlsplit

import msgspec

from glimpse.domain.image import Image
from glimpse.domain.properties import HASH_HOST, STAGE_HOST
from glimpse.errors import Busy, NodeFailed, NodeUnreachable
from glimpse.stores.connections import ConnectionFailed, Connections, Limits

LOG = logging.getLogger(__name__)

#: Marks a request that a node has sent on: the node that receives it does the work itself.
MARK = "x-glimpse-forwarded"

#: Seconds to connect to a node, and to wait for its answer: 60 in total, and at most some 10 more for a long body.
LIMITS = Limits(connect=10, silence=50, answer=50, least_rate=8192, rate_window=10)
#: Maximum size in bytes of an answer that is passed on.
_LARGEST_ANSWER = 64 << 10
#: Maximum length of the request id of a node, as that of a job.
_LONGEST_ID = 64


class Passage(msgspec.Struct, frozen=True):
    """What a request takes along to another node: the header ``fields`` with the credentials of its caller.

    ``was_forwarded``: another node has sent it here.
    """

    fields: Mapping[str, str] = {}
    was_forwarded: bool = False


class NodeAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of another node, which becomes the answer to the client."""

    status: int
    body: bytes
    content_type: str | None
    request_id: str | None


class Nodes:
    """The nodes of the service, as this one knows and reaches them. Thread-safe."""

    def __init__(
        self,
        own_url: str | None,
        *,
        at_once: int,
        verify: bool = True,
        ca_file: str | None = None,
        limits: Limits = LIMITS,
    ) -> None:
        """``own_url`` is that of this node. At most ``at_once`` requests wait for other nodes, so that the threads that
        wait for stores are not all taken. ``verify``: check certificates, by those in ``ca_file`` or of the system.
        """
        self.own_url = own_url
        self._at_once = BoundedSemaphore(at_once)
        self._connections = Connections(limits, verify=verify, ca_file=ca_file)

    def holder(self, image: Image, passage: Passage) -> str | None:
        """Return the URL of the node that has the staged data of an image; None: this one has to look for them."""
        return self._other(image.properties.get(STAGE_HOST), passage)

    def busy_with(self, image: Image, passage: Passage) -> str | None:
        """Return the URL of the node that must hear of the deletion of an image; None: no other node.

        It has the staged data of the image, or is a node of Glance that hashes its data.
        """
        named = image.properties.get(STAGE_HOST) or image.properties.get(HASH_HOST)
        return self._other(named, passage)

    def send(
        self,
        method: str,
        node: str,
        path: str,
        passage: Passage,
        *,
        fields: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> NodeAnswer:
        """Send a request on to ``node``, and return its answer, whatever its status.

        ``path`` begins with ``/v2/``; ``fields`` are more header fields.

        :raises NodeUnreachable: the node does not answer within 60 seconds.
        :raises NodeFailed: the answer is not one of an image service, or the URL of the node is not valid.
        :raises Busy: too many requests wait for other nodes.
        """
        headers = {
            **passage.fields, **(fields or {}), MARK: "1", "User-Agent": "glimpse", "Accept-Encoding": "identity",
        }  # fmt: skip
        if body:
            headers["Content-Type"] = "application/json"
        _check(node)
        if not self._at_once.acquire(blocking=False):
            raise Busy("Too many requests wait for other nodes of the service.", retry_seconds=5)
        try:
            return self._ask(method, f"{node}{path}", headers, body)
        except ConnectionFailed as error:
            LOG.warning("Node %s cannot be asked to %s %s: %s", node, method, path, error)
            raise NodeUnreachable(
                f"The node of the service that has the staged data cannot be reached: {error}."
            ) from error
        except NodeFailed as error:
            LOG.warning("Node %s does not answer %s %s as an image service: %s", node, method, path, error)
            raise
        finally:
            self._at_once.release()

    def close(self) -> None:
        """Close the connections."""
        self._connections.close()

    def _other(self, url: str | None, passage: Passage) -> str | None:
        if not url or passage.was_forwarded or url.rstrip("/") == self.own_url:
            return None
        return url.rstrip("/")

    def _ask(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> NodeAnswer:
        with self._connections.open(method, url, headers, body) as stream:
            parts: list[bytes] = []
            size = 0
            while part := stream.read(_LARGEST_ANSWER):
                parts.append(part)
                size += len(part)
                if size > _LARGEST_ANSWER:
                    raise NodeFailed("The node of the service that has the staged data sent too long an answer.")
            found = NodeAnswer(
                status=stream.status,
                body=b"".join(parts),
                content_type=stream.headers.get("content-type"),
                request_id=_usable(stream.headers.get("x-openstack-request-id")),
            )
        # an answer of the service has a request id; a proxy answers 502 to 504 for a node that it cannot reach
        if not (200 <= found.status < 300 or 400 <= found.status < 500 or found.request_id is not None):
            raise NodeFailed(
                f"The node of the service that has the staged data did not answer; its proxy says {found.status}."
            )
        if 300 <= found.status < 400:
            raise NodeFailed("The node of the service that has the staged data redirects the request.")
        return found


def _check(node: str) -> None:
    """:raises NodeFailed: this is not the URL of a node."""
    try:
        parts = urlsplit(node)
        valid = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    else:
        valid = valid and parts.username is None and not parts.query and not parts.fragment
    if not valid:
        LOG.error(
            "%r is not the URL of a node: it must be http://HOST:PORT or https://HOST:PORT, perhaps with a path", node
        )
        raise NodeFailed("The staged data are on a node of the service whose URL is not valid.")


def _usable(request_id: str | None) -> str | None:
    if not request_id or len(request_id) > _LONGEST_ID or not (request_id.isascii() and request_id.isprintable()):
        return None
    return request_id
