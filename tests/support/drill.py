"""Mixed operations by several clients on a service whose database dies, and what each of them came to.

Every image belongs to one client, which does one thing after the other with it, so what it must be at the end is known:
what was acknowledged is there, what was refused is not, and of the rest it is one or the other, whole.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import random
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.support.images import noise
from tests.support.raw_http import OCTETS, Answer, Api

#: What was told of a COMMIT whose connection broke.
LOST_COMMIT = "during the COMMIT"
#: Longest time that a request may take, in seconds; nothing may hang.
REQUEST_SECONDS = 60.0
_PART = 64 << 10

ACKNOWLEDGED, REFUSED, UNKNOWN = "acknowledged", "refused", "unknown"


class DrillFailure(AssertionError):
    """The service answered what it must not answer, whatever its database does."""


class Possible:
    """A value that is known, or one of several after an operation of unknown end."""

    def __init__(self, value: Any) -> None:
        self.values = [value]

    def __contains__(self, value: object) -> bool:
        return value in self.values

    @property
    def is_known(self) -> bool:
        return len(self.values) == 1

    def becomes(self, value: Any, end: str) -> None:
        """Take in what an operation that would make it ``value`` came to."""
        if end == ACKNOWLEDGED:
            self.values = [value]
        elif end == UNKNOWN and value not in self.values:
            self.values.append(value)


@dataclass
class DrilledImage:
    """What an image must be."""

    id: str
    project: str
    #: ``None``: not there; else ``True``, or ``"deleted"``
    there: Possible = field(default_factory=lambda: Possible(None))
    name: Possible = field(default_factory=lambda: Possible(None))
    tags: dict[str, Possible] = field(default_factory=dict)
    members: dict[str, Possible] = field(default_factory=dict)
    #: SHA-512 of its data, or None
    data: Possible = field(default_factory=lambda: Possible(None))
    upload_tried: bool = False

    @property
    def is_usable(self) -> bool:
        """Whether it is there for sure."""
        return self.there.values == [True]


class Tally:
    """What came of the operations of all clients."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.tried: Counter[str] = Counter()
        self.ends: Counter[tuple[str, str]] = Counter()
        self.verified: Counter[str] = Counter()
        self.failures: list[str] = []

    def count(self, operation: str, end: str) -> None:
        with self._lock:
            self.tried[operation] += 1
            self.ends[operation, end] += 1

    def total(self, end: str) -> int:
        return sum(count for (_, which), count in self.ends.items() if which == end)

    def table(self, title: str) -> str:
        """Operation, tried, acknowledged, refused, unknown, and verified afterwards."""
        lines = [title, f"{'operation':12}{'tried':>8}{'acked':>8}{'refused':>9}{'unknown':>9}{'verified':>10}"]
        for name in [*sorted(self.tried), "all"]:
            picked = [(one, end) for one, end in self.ends if name in {one, "all"}]
            by_end = Counter[str]()
            for key in picked:
                by_end[key[1]] += self.ends[key]
            verified = self.verified[name] if name != "all" else sum(self.verified.values())
            lines.append(
                f"{name:12}{sum(by_end.values()):>8}{by_end[ACKNOWLEDGED]:>8}{by_end[REFUSED]:>9}"
                f"{by_end[UNKNOWN]:>9}{verified:>10}"
            )
        return "\n".join(lines)


class Client:
    """One caller with a project and images of its own."""

    def __init__(self, number: int, port: int, tally: Tally, *, every_503_is_unknown: bool) -> None:
        """``every_503_is_unknown``: something between service and database may hide how an operation ended."""
        self.project = f"project-{number}"
        self.images: list[DrilledImage] = []
        #: name of a namespace of metadata definitions → whether it is there, and of its tags
        self.namespaces: dict[str, tuple[Possible, dict[str, Possible]]] = {}
        self._chance = random.Random(number)
        self._api = Api(port, identity(self.project))
        self._admin = Api(port, identity("admin", "admin,member,reader"))
        self._tally = tally
        self._vague = every_503_is_unknown
        self._operations: dict[str, tuple[int, Callable[[], None]]] = {
            "create": (5, self._create), "patch": (5, self._patch), "upload": (6, self._upload),
            "tag": (4, self._tag), "share": (4, self._share), "list": (3, self._list), "show": (3, self._show),
            "download": (2, self._download), "delete": (2, self._delete), "metadef": (4, self._metadef),
        }  # fmt: skip

    def run(self, at_least: int, stopped: threading.Event) -> None:
        """Do so many operations, and go on until ``stopped``."""
        names = list(self._operations)
        weights = [weight for weight, _ in self._operations.values()]
        done = 0
        try:
            while done < at_least or not stopped.is_set():
                self._operations[self._chance.choices(names, weights)[0]][1]()
                done += 1
        except Exception as error:  # noqa: BLE001 - told where the test asserts
            self._tally.failures.append(f"{self.project}: {error!r}")

    # ------------------------------------------------------------------------------------------------ operations

    def _create(self) -> None:
        image = DrilledImage(str(uuid.uuid4()), self.project)
        name = f"name of {image.id}"
        document = {"id": image.id, "name": name, "disk_format": "raw", "container_format": "bare", "tags": ["born"]}
        end = self._do("create", self._api, "POST", "/v2/images", json.dumps(document).encode())
        image.there.becomes(True, end)
        image.name = Possible(name)
        image.tags["born"] = Possible(True)
        self.images.append(image)

    def _patch(self) -> None:
        if image := self._pick():
            name = f"name {uuid.uuid4()}"
            body = json.dumps([{"op": "replace", "path": "/name", "value": name}]).encode()
            headers = {"Content-Type": "application/openstack-images-v2.1-json-patch"}
            image.name.becomes(name, self._do("patch", self._api, "PATCH", f"/v2/images/{image.id}", body, headers))

    def _tag(self) -> None:
        if image := self._pick():
            tag = f"tag-{uuid.uuid4().hex[:8]}"
            end = self._do("tag", self._api, "PUT", f"/v2/images/{image.id}/tags/{tag}")
            image.tags.setdefault(tag, Possible(False)).becomes(True, end)

    def _share(self) -> None:
        if image := self._pick():
            member = f"member-{uuid.uuid4().hex[:8]}"
            body = json.dumps({"member": member}).encode()
            end = self._do("share", self._api, "POST", f"/v2/images/{image.id}/members", body)
            image.members.setdefault(member, Possible(False)).becomes(True, end)

    def _upload(self) -> None:
        if image := self._pick(lambda one: not one.upload_tried):
            image.upload_tried = True
            data = noise(self._chance.randrange(50_000, 1_500_000), image.id)
            seconds = self._chance.uniform(0, 1.5)
            # chunks: a broken upload must not be taken for a short one
            body = _slowly(data, seconds) if self._chance.random() < 0.7 else data
            path = f"/v2/images/{image.id}/file"
            end = self._do("upload", self._api, "PUT", path, body, OCTETS, allowed=(409, 410))
            # what a refused upload has begun is undone by recovery or was finished: the end decides
            image.data.becomes(hashlib.sha512(data).hexdigest(), UNKNOWN if end == REFUSED else end)

    def _delete(self) -> None:
        if image := self._pick(lambda one: not one.upload_tried or one.data.is_known):
            end = self._do("delete", self._api, "DELETE", f"/v2/images/{image.id}")
            # a deletion that was begun is carried out by recovery
            image.there.becomes("deleted", UNKNOWN if end == REFUSED else end)

    def _show(self) -> None:
        if image := self._pick():
            answer = self._ask("show", f"/v2/images/{image.id}")
            if answer is not None:
                self._compare(image, answer.json)

    def _list(self) -> None:
        answer = self._ask("list", "/v2/images?limit=1000&visibility=shared")
        if answer is not None:
            shown = {one["id"] for one in answer.json["images"]}
            missing = {one.id for one in self.images if one.is_usable} - shown
            strange = {one.id for one in self.images if one.there.values in ([None], ["deleted"])} & shown
            if missing or strange:
                raise DrillFailure(f"a list lacks {missing} and has {strange}")

    def _download(self) -> None:
        if image := self._pick(lambda one: one.data.is_known and one.data.values != [None]):
            answer = self._ask("download", f"/v2/images/{image.id}/file")
            if answer is not None and hashlib.sha512(answer.body).hexdigest() not in image.data:
                raise DrillFailure(f"image {image.id} came with other data")

    def _metadef(self) -> None:
        names = [name for name, (there, _) in self.namespaces.items() if there.values == [True]]
        if not names or self._chance.random() < 0.3:
            name = f"ns-{uuid.uuid4().hex}"
            body = json.dumps({"namespace": name, "owner": "admin", "tags": [{"name": "born"}]}).encode()
            end = self._do("metadef", self._admin, "POST", "/v2/metadefs/namespaces", body)
            there = Possible(None)
            there.becomes(True, end)
            self.namespaces[name] = (there, {"born": Possible(True)})
            return
        name, tag = self._chance.choice(names), f"tag-{uuid.uuid4().hex[:8]}"
        end = self._do("metadef", self._admin, "POST", f"/v2/metadefs/namespaces/{name}/tags/{tag}")
        self.namespaces[name][1].setdefault(tag, Possible(False)).becomes(True, end)

    # ---------------------------------------------------------------------------------------------------- asking

    def _pick(self, condition: Callable[[DrilledImage], bool] = lambda _: True) -> DrilledImage | None:
        usable = [image for image in self.images if image.is_usable and condition(image)]
        return self._chance.choice(usable) if usable else None

    def _compare(self, image: DrilledImage, document: dict[str, Any]) -> None:
        if document["name"] not in image.name:
            raise DrillFailure(f"image {image.id} is called {document['name']}, not one of {image.name.values}")
        lost = {tag for tag, there in image.tags.items() if there.values == [True]} - set(document["tags"])
        if lost:
            raise DrillFailure(f"image {image.id} has lost the tags {lost}")

    def _ask(self, operation: str, path: str) -> Answer | None:
        answer = self._call(operation, self._api, "GET", path, None, {})
        end = self._end_of(operation, answer, ())
        self._tally.count(operation, end)
        return answer if end == ACKNOWLEDGED else None

    def _do(
        self,
        operation: str,
        api: Api,
        method: str,
        path: str,
        body: Any = None,
        headers: dict[str, str] | None = None,
        *,
        allowed: tuple[int, ...] = (),
    ) -> str:
        end = self._end_of(operation, self._call(operation, api, method, path, body, headers or {}), allowed)
        self._tally.count(operation, end)
        return end

    def _call(
        self, operation: str, api: Api, method: str, path: str, body: Any, headers: dict[str, str]
    ) -> Answer | None:
        try:
            return api.call(method, path, body, headers, timeout=REQUEST_SECONDS)
        except TimeoutError as error:
            raise DrillFailure(f"{operation} had no answer within {REQUEST_SECONDS:g} seconds") from error
        except (OSError, http.client.HTTPException):
            return None

    def _end_of(self, operation: str, answer: Answer | None, allowed: tuple[int, ...]) -> str:
        if answer is None:
            time.sleep(0.2)
            return UNKNOWN
        if answer.status < 300:
            return ACKNOWLEDGED
        if answer.status == 503:
            # without a database there is nothing to do for a while
            time.sleep(self._chance.uniform(0.1, 0.4))
            return UNKNOWN if self._vague or LOST_COMMIT in answer.text else REFUSED
        if answer.status in allowed:
            return REFUSED
        raise DrillFailure(f"{operation} was answered {answer.status}: {answer.text}")


def identity(project: str, roles: str = "member,reader") -> dict[str, str]:
    """Headers of a caller, as an authenticating proxy sends them."""
    return {"X-Identity-Status": "Confirmed", "X-User-Id": "user", "X-Roles": roles, "X-Project-Id": project}


def _slowly(data: bytes, seconds: float) -> Iterator[bytes]:
    parts = range(0, len(data), _PART)
    for begin in parts:
        yield data[begin : begin + _PART]
        time.sleep(seconds / len(parts))
