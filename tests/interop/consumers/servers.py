"""Servers of Nova as the tests boot, look at and delete them, and what their guests say on the console."""

from __future__ import annotations

import re
import subprocess
import time
from dataclasses import dataclass
from typing import Any

from requests import Response

from tests.interop.consumers.user import User

FLAVOR = "rig.tiny"


@dataclass(frozen=True)
class Token:
    """What a guest says of the disk that it booted from."""

    disk: str
    boots: int
    history: list[str]


class Servers:
    """The servers of a run. All of them are deleted by :meth:`clean`."""

    def __init__(self, run: str, demo: User, admin: User, libvirt: str) -> None:
        self.run = run
        self.demo = demo
        self.admin = admin
        self._libvirt = libvirt
        self._made: list[str] = []
        self._flavor = ""

    @property
    def flavor(self) -> str:
        """A flavor of 128 MiB, with a disk of 1 GiB."""
        if not self._flavor:
            found = self.admin.compute("GET", "/flavors", expect=200).json()["flavors"]
            fields = {"name": FLAVOR, "ram": 128, "disk": 1, "vcpus": 1}
            self._flavor = (
                next((flavor["id"] for flavor in found if flavor["name"] == FLAVOR), "")
                or (self.admin.compute("POST", "/flavors", json={"flavor": fields}, expect=200).json()["flavor"]["id"])
            )
        return self._flavor

    def create(self, name: str, image_id: str, **fields: Any) -> Response:
        """Ask for a server without a network; returns the answer."""
        server = {"name": f"{self.run}-{name}", "flavorRef": self.flavor, "networks": "none", **fields}
        if image_id:
            server["imageRef"] = image_id
        answer = self.demo.compute("POST", "/servers", json={"server": server})
        if answer.status_code == 202:
            self._made.append(answer.json()["server"]["id"])
        return answer

    def refused(self, name: str, image_id: str, **fields: Any) -> str:
        """Ask for a server that Nova's API refuses; returns why."""
        answer = self.create(name, image_id, **fields)
        assert answer.status_code in {400, 403, 404, 409}, f"{answer.status_code} {answer.text[:300]}"
        return f"{answer.status_code} {next(iter(answer.json().values()))['message'][:160]}"

    def start(self, name: str, image_id: str, **fields: Any) -> str:
        """Ask for a server, and do not wait; returns its id."""
        answer = self.create(name, image_id, **fields)
        assert answer.status_code == 202, f"{answer.status_code} {answer.text[:300]}"
        return answer.json()["server"]["id"]

    def boot(self, name: str, image_id: str, **fields: Any) -> str:
        """A server that is ACTIVE; returns its id."""
        server = self.start(name, image_id, **fields)
        self.wait(server)
        return server

    def show(self, server_id: str) -> dict[str, Any]:
        """Its document, as the administrator sees it."""
        return self.admin.compute("GET", f"/servers/{server_id}", expect=200).json()["server"]

    def wait(self, server_id: str, status: str = "ACTIVE", limit: float = 300) -> dict[str, Any]:
        """Wait until the server has the status and nothing is under way; returns its document."""
        end = time.monotonic() + limit
        while True:
            server = self.show(server_id)
            task = server["OS-EXT-STS:task_state"]
            if server["status"] == status and task is None:
                return server
            assert server["status"] != "ERROR" or status == "ERROR", f"the server is in ERROR: {fault(server)}"
            assert status != "ERROR" or server["status"] != "ACTIVE" or task, "the server is ACTIVE instead of ERROR"
            assert time.monotonic() < end, f"the server is {server['status']} ({task}) instead of {status}"
            time.sleep(1)

    def fails(self, server_id: str) -> str:
        """Wait until the server is in ERROR, delete it; returns why."""
        text = fault(self.wait(server_id, "ERROR"))
        self.delete(server_id)
        return text

    def action(self, server_id: str, expect: int = 202, user: User | None = None, /, **body: Any) -> Response:
        """An action of Nova's API, such as ``rescue={...}``."""
        return (user or self.demo).compute("POST", f"/servers/{server_id}/action", json=body, expect=expect)

    def snapshot(self, server_id: str, name: str, user: User | None = None) -> str:
        """Ask for a snapshot, and do not wait; returns the id of the image."""
        answer = self.action(server_id, 202, user, createImage={"name": name})
        return answer.json()["image_id"]

    def console(self, server_id: str) -> str:
        """What the guest wrote to its serial console."""
        body = {"os-getConsoleOutput": {}}
        answer = self.admin.compute("POST", f"/servers/{server_id}/action", json=body, expect=200)
        return answer.json()["output"] or ""

    def wait_console(self, server_id: str, pattern: str, limit: float = 180) -> tuple[str, ...]:
        """Wait until the guest is ready and wrote this; returns the groups of the last match."""
        end = time.monotonic() + limit
        while True:
            text = self.console(server_id)
            found = list(re.finditer(pattern, text))
            if found and "GUEST-READY" in text:
                return found[-1].groups()
            last = (text.strip().splitlines() or [""])[-1][:200]
            assert time.monotonic() < end, f"no {pattern} on the console; its last line: {last}"
            time.sleep(1.5)

    def token(self, server_id: str, name: str = "alpha", boots: int | None = None) -> Token:
        """Wait until the guest has booted from a disk of this name; ``boots`` if the console may have an older boot."""
        count = r"\d+" if boots is None else boots
        pattern = rf"GUEST-TOKEN name={name} uuid={server_id} disk=(\S+) boots=({count}) history=(\S*)"
        disk, boots, history = self.wait_console(server_id, pattern)
        return Token(disk, int(boots), history.strip(",").split(","))

    def delete(self, server_id: str) -> None:
        """Delete a server and wait until it is gone."""
        self.admin.compute("DELETE", f"/servers/{server_id}")
        self.wait_gone(server_id)

    def wait_gone(self, server_id: str, limit: float = 120) -> None:
        """Wait until the server is deleted."""
        end = time.monotonic() + limit
        while (answer := self.admin.compute("GET", f"/servers/{server_id}")).status_code != 404:
            assert time.monotonic() < end, f"the server is still there: {answer.text[:300]}"
            time.sleep(1)
        if server_id in self._made:
            self._made.remove(server_id)

    def domain(self, server_id: str) -> str:
        """What libvirt knows of the server, as XML."""
        command = ["virsh", "-q", "-c", self._libvirt, "dumpxml", server_id]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    def clean(self) -> None:
        """Delete the servers that are left."""
        for server in list(self._made):
            self.delete(server)


def fault(server: dict[str, Any]) -> str:
    """Why a server is in ERROR."""
    return (server.get("fault") or {}).get("message", "no fault")[:160]
