"""``make demo``: a service starts, a bootable disk goes in and comes out again, and everything is removed."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.support.images import MESSAGE, bootable_disk, qcow2  # noqa: E402

HOST = "127.0.0.1"
JSON_PATCH = "application/openstack-images-v2.1-json-patch"
START_SECONDS = 30
COLOUR = sys.stdout.isatty() and "NO_COLOR" not in os.environ


class Mismatch(Exception):
    """The service did not do what the demo says it does."""


def paint(code: str, text: str) -> str:
    return f"\033[{code}m{text}\033[0m" if COLOUR else text


def title(text: str) -> None:
    print(f"\n{paint('1', text)}")


def said(text: str) -> None:
    print(f"  {text}")


def human(size: int) -> str:
    return f"{size / (1 << 20):.1f} MiB" if size >= 1 << 20 else f"{size:,} bytes"


def expect(what: str, found: object, wanted: object) -> None:
    """Compare, and say so."""
    if found != wanted:
        raise Mismatch(f"{what}: expected {wanted!r}, found {found!r}")
    said(f"{paint('32', 'ok')}    {what}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


class Service:
    """``glimpse serve`` in a directory of its own."""

    def __init__(self, directory: Path, port: int) -> None:
        self.url = f"http://{HOST}:{port}"
        self._port = port
        self._log = directory / "service.log"
        self._command = ["serve", "--data-dir", str(directory / "data"), "--host", HOST, "--port", str(port)]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> float:
        """Start and wait for the first answer; returns the seconds that took."""
        started = time.perf_counter()
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("GLIMPSE_", "OS_"))}
        with self._log.open("wb") as log:
            program = Path(sys.executable).with_name("glimpse")
            # a session of its own: Ctrl-C reaches the demo alone, which then stops the service in order
            self._process = subprocess.Popen(
                [str(program), *self._command], stdout=log, stderr=log, env=kept, start_new_session=True
            )
        while not self._answers():
            if self._process.poll() is not None:
                raise Mismatch(f"the service did not start:\n{self._log.read_text(errors='replace')}")
            if time.perf_counter() - started > START_SECONDS:
                raise Mismatch(f"the service did not answer within {START_SECONDS} seconds")
            time.sleep(0.02)
        return time.perf_counter() - started

    def stop(self) -> int:
        """SIGTERM, and SIGKILL for one that does not listen; returns the exit code."""
        if self._process is None:
            return 0
        self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            return self._process.wait()

    def call(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[http.client.HTTPResponse, bytes]:
        """One request, printed with the status of its answer."""
        connection = http.client.HTTPConnection(HOST, self._port, timeout=60)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            content = response.read()
        finally:
            connection.close()
        shown = path if len(path) <= 70 else path[:69] + "…"
        extra = "".join(f"  {name}: {value}" for name, value in (headers or {}).items() if name in ("Range",))
        status = paint("36", f"{response.status} {response.reason}")
        said(f"{method:7}{shown}{extra}  →  {status}")
        return response, content

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection(HOST, self._port, timeout=5)
        try:
            connection.request("GET", "/healthcheck")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()


def create(service: Service, **fields: object) -> str:
    response, content = service.call("POST", "/v2/images", json.dumps(fields).encode())
    if response.status != 201:
        raise Mismatch(f"the image was not created: {content.decode(errors='replace')}")
    return json.loads(content)["id"]


def upload(service: Service, image_id: str, data: bytes) -> tuple[int, bytes]:
    headers = {"Content-Type": "application/octet-stream", "Accept": "application/json"}
    response, content = service.call("PUT", f"/v2/images/{image_id}/file", data, headers)
    return response.status, content


def show(service: Service, image_id: str) -> dict[str, object]:
    return json.loads(service.call("GET", f"/v2/images/{image_id}")[1])


def put_in(service: Service, name: str, disk_format: str, data: bytes, virtual_size: int) -> str:
    """Create an image, upload its data, and check what the service found out about them."""
    image_id = create(service, name=name, disk_format=disk_format, container_format="bare")
    expect("the upload is accepted", upload(service, image_id, data)[0], 204)
    image = show(service, image_id)
    expect(
        f"active, {human(len(data))}, a disk of {human(virtual_size)} inside",
        (image["status"], image["size"], image["virtual_size"]),
        ("active", len(data), virtual_size),
    )
    return image_id


def take_out(service: Service, image_id: str, data: bytes) -> None:
    """Download an image, whole and in part, and compare."""
    image = show(service, image_id)
    path = f"/v2/images/{image_id}/file"
    received = service.call("GET", path)[1]
    expect("the same bytes", received == data, wanted=True)
    expect(
        f"SHA-512 is os_hash_value {str(image['os_hash_value'])[:16]}…",
        hashlib.sha512(received).hexdigest(),
        image["os_hash_value"],
    )
    response, part = service.call("GET", path, headers={"Range": "bytes=510-511"})
    expect(
        f"a part alone: the boot signature {part.hex(' ')}, {response.headers['Content-Range']}",
        (response.status, part),
        (206, b"\x55\xaa"),
    )


def describe(service: Service, image_id: str) -> None:
    """Change a property and a tag."""
    operations = [
        {"op": "replace", "path": "/name", "value": "hello"},
        {"op": "add", "path": "/os_distro", "value": "none"},
    ]
    body = json.dumps(operations).encode()
    status = service.call("PATCH", f"/v2/images/{image_id}", body, {"Content-Type": JSON_PATCH})[0].status
    expect("name and property are changed", status, 200)
    expect("a tag is added", service.call("PUT", f"/v2/images/{image_id}/tags/demo")[0].status, 204)
    found = json.loads(service.call("GET", "/v2/images?os_distro=none&tag=demo")[1])["images"]
    expect(
        "the list finds it by property and tag",
        [(image["id"], image["name"]) for image in found],
        [(image_id, "hello")],
    )


def refuse(service: Service) -> str:
    """Offer a disk that would make a hypervisor read a file of its host."""
    hostile = qcow2(bytes(1 << 20), backing_file=b"/etc/shadow")
    image_id = create(service, name="trojan", disk_format="qcow2", container_format="bare")
    status, content = upload(service, image_id, hostile)
    expect("it is refused", status, 415)
    summary, _, detail = json.loads(content)["message"].partition("<br /><br />")
    said(f"      {paint('33', detail.strip() or summary)}")
    expect("nothing of it stays: the image is queued", show(service, image_id)["status"], "queued")
    return image_id


def clean_up(service: Service, directory: Path, image_ids: list[str]) -> None:
    for image_id in image_ids:
        service.call("DELETE", f"/v2/images/{image_id}")
    expect("no image is left", json.loads(service.call("GET", "/v2/images")[1])["images"], [])
    left = [
        path.name
        for path in (directory / "data" / "images").rglob("*")
        if path.is_file() and path.name != ".glimpse-store"
    ]
    expect("no data are left in the store", left, [])


def go_on() -> None:
    title("Go on")
    print(
        """  make run                                    serves on http://127.0.0.1:9292

  make clients                                then, in another terminal:
  export OS_AUTH_TYPE=none OS_ENDPOINT=http://127.0.0.1:9292
  truncate -s 64M disk.raw                    an empty disk; or take one of yours
  .venv-clients/bin/openstack image create --file disk.raw --disk-format raw my-disk
  .venv-clients/bin/openstack image list

  docs/user/first-image.md goes through it step by step."""
    )


@contextlib.contextmanager
def running_service() -> Iterator[tuple[Service, Path]]:
    """A service in a temporary directory; both are gone afterwards, whatever happens."""
    with tempfile.TemporaryDirectory(prefix="glimpse-demo-") as place:
        directory = Path(place)
        service = Service(directory, free_port())
        try:
            yield service, directory
        finally:
            code = service.stop()
    said(f"the service ended with {code}; {directory} is removed")
    if code != 0:
        raise Mismatch(f"the service ended with {code}")


def demo() -> None:
    title("A disk that a PC boots")
    disk = bootable_disk()
    packed = qcow2(disk)
    said(f"raw {human(len(disk))}, as qcow2 {human(len(packed))}; it says “{MESSAGE}” and halts")
    with running_service() as (service, directory):
        title("The service")
        said(f"glimpse serve  →  {service.url} after {service.start():.1f} s; SQLite and files in {directory}")
        title("Images in")
        raw_id = put_in(service, "boot-disk", "raw", disk, len(disk))
        qcow2_id = put_in(service, "boot-disk as qcow2", "qcow2", packed, len(disk))
        title("Described and found")
        describe(service, raw_id)
        title("Images out")
        take_out(service, raw_id, disk)
        expect("the qcow2 comes back too", service.call("GET", f"/v2/images/{qcow2_id}/file")[1] == packed, wanted=True)
        title("A qcow2 that names /etc/shadow as its backing file")
        hostile_id = refuse(service)
        title("Deleted")
        clean_up(service, directory, [raw_id, qcow2_id, hostile_id])
    go_on()


def leave(*_: object) -> NoReturn:
    """SIGTERM ends the demo as Ctrl-C does, so that nothing stays."""
    raise KeyboardInterrupt


def main() -> int:
    signal.signal(signal.SIGTERM, leave)
    try:
        demo()
    except Mismatch as error:
        print(f"\n{paint('31', 'FAILED')}  {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
