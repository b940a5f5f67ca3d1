"""What consumers asked of the image service, from the access lines of its log."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import parse_qsl

from tests.interop.consumers.user import REQUEST_PREFIX

LINE = re.compile(
    r"^\S+ \S+ \d+ INFO glimpse\.access \[(?P<ids>.*?)\] \S+ "
    r'"(?P<method>\S+) (?P<path>\S+)" (?P<status>\d+) in (?P<received>\d+) out (?P<sent>\d+) '
)
#: The same of Glance under uWSGI, which does not tell whose request it was.
UWSGI_LINE = re.compile(
    r"^\[pid: .*\] (?P<method>[A-Z]+) (?P<path>\S+) => generated (?P<sent>\d+) bytes in \d+ msecs "
    r"\(HTTP/\S+ (?P<status>\d+)\)"
)
UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True)
class Call:
    """One request of a consumer; ``received`` and ``sent`` are bytes of the bodies."""

    method: str
    path: str
    status: int
    received: int
    sent: int

    @property
    def route(self) -> str:
        """Method and path without what differs from image to image."""
        path, _, query = self.path.partition("?")
        names = "&".join(sorted({name for name, _ in parse_qsl(query, keep_blank_values=True)}))
        return f"{self.method} {UUID.sub('{id}', path)}{'?' if names else ''}{names}"


class Logged(Protocol):
    """An image service with a log."""

    @property
    def log(self) -> str:
        """The whole log."""
        ...


class Traffic:
    """The requests since the last call of :meth:`news`, without those of the tests."""

    def __init__(self, service: Logged) -> None:
        self._service = service
        self._lines = len(service.log.splitlines())

    def news(self) -> list[Call]:
        """What was answered meanwhile, in this order."""
        lines = self._service.log.splitlines()
        new, self._lines = lines[self._lines :], len(lines)
        calls: list[Call] = []
        for line in new:
            found = LINE.match(line) or UWSGI_LINE.match(line)
            fields = found.groupdict() if found else {}
            if fields and REQUEST_PREFIX not in fields.get("ids", ""):
                numbers = (int(fields.get(name, 0)) for name in ("status", "received", "sent"))
                calls.append(Call(fields["method"], fields["path"], *numbers))
        return calls


def data_calls(calls: list[Call], image_id: str) -> list[Call]:
    """Those that moved data of the image."""
    return [call for call in calls if call.path.startswith(f"/v2/images/{image_id}/file")]


def routes(calls: list[Call]) -> str:
    """The calls counted by route and status, as text."""
    counted = Counter(f"{call.route} {call.status}" for call in calls)
    return ", ".join(f"{count} x {route}" for route, count in sorted(counted.items()))
