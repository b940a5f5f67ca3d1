"""A real Glance and Glimpse on the same stores, configuration and database.

What one of them uploads, the other one shows, serves and deletes, and nothing remains in the storage system.
Each system is tested as the only store (``[glance_store] stores``) and as one of several (``enabled_backends``). The
report is a table of what each service did with the images of the other one.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from glimpse.stores.all import DRIVERS
from tests.interop.stores.backends import BACKENDS, Backend, session
from tests.support.glance_rig import Installation, installation
from tests.support.needs import unavailable
from tests.support.raw_http import OCTETS, Answer, Api

#: More than two parts of S3, and whole segments of Swift: with a last segment that is not full, and a size that it
#: knows, an upload to Glance 33 fails.
SIZE = 11 * 1_024_000
#: Name → size, and whether the service is told the size before the data.
KINDS = {"small": (300_001, True), "large": (SIZE, True), "unknown": (SIZE + 1, False)}
RANGES = ((0, 1), (1000, 70_000), (300_000, 1))
#: Seconds that a request may take: Cinder creates and attaches a volume.
PATIENCE = 240.0
WAYS = ("show", "download", "range", "delete", "leftovers")
#: Names of stores.
SETUPS = {
    **{f"only-{name}": (name,) for name in ("file", "rbd", "s3", "swift-direct", "swift-tenants", "cinder-rbd")},
    "several": ("file", "rbd", "s3", "swift", "cinder-rbd", "cinder-loop", "cinder-nfs"),
    "several-swift": ("swift", "swift-direct", "swift-tenants"),
}


@dataclass
class Row:
    """What one service did with the images that the other one uploaded to a store: way → what went wrong."""

    backend: str
    mode: str
    direction: str
    wrong: dict[str, list[str]] = field(default_factory=dict)
    done: set[str] = field(default_factory=set)
    notes: dict[str, str] = field(default_factory=dict)

    def check(self, way: str, image: Image, true: object, told: object) -> None:
        """Note whether something is as it must be."""
        self.done.add(way)
        if not true:
            self.wrong.setdefault(way, []).append(
                f"{self.backend}, {self.mode}, {self.direction}, {image.kind}: {told}"
            )

    def cell(self, way: str) -> str:
        if way not in self.done:
            return "-"
        return "WRONG" if way in self.wrong else self.notes.get(way, "ok")


@dataclass(frozen=True)
class Image:
    """An uploaded image. ``content`` is what was sent."""

    image_id: str
    kind: str
    backend: Backend
    content: bytes


ROWS: list[Row] = []


def read(api: Api, image: Image, headers: dict[str, str] | None = None) -> Answer:
    return api.call("GET", f"/v2/images/{image.image_id}/file", None, headers, timeout=PATIENCE)


def upload(api: Api, backend: Backend, kind: str, *, named: bool) -> Image:
    """Create an image and send its data, to the store by its name if there are several."""
    size, known = KINDS[kind]
    content = os.urandom(size)
    image_id = api.new(name=f"{backend.name} {kind}")
    body = content if known else (content[start : start + 262_144] for start in range(0, size, 262_144))
    headers = {**OCTETS, **({"X-Image-Meta-Store": backend.name} if named else {})}
    answer = api.call("PUT", f"/v2/images/{image_id}/file", body, headers, timeout=PATIENCE)
    assert answer.status == 204, (backend.name, kind, answer.status, answer.text)
    return Image(image_id, kind, backend, content)


def use(api: Api, image: Image, data: Path, row: Row, *, serves_ranges: bool) -> None:
    """Show, download and delete an image of the other service, and look for what remains of it."""
    answer = api.call("GET", f"/v2/images/{image.image_id}", timeout=PATIENCE)
    shown = answer.json if answer.status == 200 else {}
    expected = {
        "status": "active",
        "size": len(image.content),
        "checksum": hashlib.md5(image.content).hexdigest(),
        "os_hash_value": hashlib.sha512(image.content).hexdigest(),
    }
    row.check("show", image, shown == {**shown, **expected}, answer.text)

    answer = read(api, image)
    told = f"{answer.status}, {len(answer.body)} bytes {answer.body[:200]!r}"
    row.check("download", image, (answer.status, answer.body) == (200, image.content), told)

    for offset, length in RANGES:
        answer = read(api, image, {"Range": f"bytes={offset}-{offset + length - 1}"})
        if serves_ranges:
            expected_part = (206, image.content[offset : offset + length])
            told = f"{answer.status}, {len(answer.body)} bytes {answer.body[:200]!r}"
            row.check("range", image, (answer.status, answer.body) == expected_part, told)
        else:
            row.check("range", image, answer.status == 400, answer.status)
            row.notes["range"] = "refused"

    row.check("leftovers", image, image.backend.found(data, image.image_id), "nothing was found before the deletion")
    answer = api.call("DELETE", f"/v2/images/{image.image_id}", timeout=PATIENCE)
    row.check("delete", image, answer.status == 204, f"{answer.status} {answer.text}")
    end = time.monotonic() + 30
    while (left := image.backend.found(data, image.image_id)) and time.monotonic() < end:
        time.sleep(1)
    row.check("leftovers", image, not left, left)


def use_all(api: Api, images: list[Image], data: Path, mode: str, direction: str, *, by_glance: bool) -> None:
    for image in images:
        row = next(
            (row for row in ROWS if (row.backend, row.mode, row.direction) == (image.backend.name, mode, direction)),
            None,
        )
        if row is None:
            row = Row(image.backend.name, mode, direction)
            ROWS.append(row)
        use(api, image, data, row, serves_ranges=image.backend.ranges or not by_glance)


def lines(section: str, options: dict[str, object]) -> str:
    return "\n".join([f"[{section}]", *(f"{name} = {value}" for name, value in options.items())]) + "\n"


def sections(backends: list[Backend], data: Path, *, several: bool) -> str:
    """The configuration of the stores."""
    if not several:
        (only,) = backends
        return lines("glance_store", {"stores": only.kind, "default_store": only.kind, **only.options(data)})
    enabled = ",".join(f"{backend.name}:{backend.kind}" for backend in backends)
    text = lines("DEFAULT", {"enabled_backends": enabled}) + lines(
        "glance_store", {"default_backend": backends[0].name}
    )
    text += "".join(lines(backend.name, dict(backend.options(data))) for backend in backends)
    for reserved in ("os_glance_staging_store", "os_glance_tasks_store"):
        (data / reserved).mkdir()
        text += lines(reserved, {"filesystem_store_datadir": data / reserved})
    return text


def take_turns(place: Installation, backends: list[Backend], tmp_path: Path, mode: str) -> None:
    several = mode == "several"
    data = tmp_path / "stores"

    def uploaded(api: Api) -> list[Image]:
        return [upload(api, backend, kind, named=several) for backend in backends for kind in KINDS]

    helpers = f"{os.environ.get('RIG_DIR')}/cinder/bin:{os.environ.get('RIG_DIR')}/venv/glance/bin"
    environment = {"PATH": f"{helpers}:{os.environ['PATH']}"}
    place.make_tables()
    with place.glance() as glance:
        of_glance = uploaded(glance)
    place.ok("db", "sync")
    with place.glimpse(tmp_path / "glimpse", environment) as glimpse:
        use_all(glimpse, of_glance, data, mode, "Glance -> Glimpse", by_glance=False)
        of_glimpse = uploaded(glimpse)
    with place.glance() as glance:
        use_all(glance, of_glimpse, data, mode, "Glimpse -> Glance", by_glance=True)


def table(rows: list[Row]) -> str:
    lines = [f"{'store':15}{'mode':9}{'direction':19}" + "".join(f"{way:>11}" for way in WAYS)]
    for row in rows:
        cells = "".join(f"{row.cell(way):>11}" for way in WAYS)
        lines.append(f"{row.backend:15}{row.mode:9}{row.direction:19}{cells}")
    return "\n".join(lines)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("setup", SETUPS)
def test_each_serves_what_the_other_one_stored(setup: str, tmp_path: Path) -> None:
    backends = [BACKENDS[name] for name in SETUPS[setup]]
    for backend in backends:
        backend.available()
        if backend.kind not in DRIVERS:
            unavailable(f"there is no driver for {backend.kind}")
    mode = setup.partition("-")[0]
    data = tmp_path / "stores"
    data.mkdir()
    stores = tmp_path / "stores.conf"
    stores.write_text(sections(backends, data, several=mode == "several"))
    token = session("demo", "demo").get_token()
    begin = len(ROWS)
    try:
        with installation("sqlite", ("--stores", str(stores)), token=token) as place:
            take_turns(place, backends, tmp_path, mode)
    finally:
        print(f"\n{table(ROWS[begin:])}")
    assert [text for row in ROWS[begin:] for texts in row.wrong.values() for text in texts] == []


def test_all_systems_were_tried(record_property: Callable[[str, object], None]) -> None:
    """The last test of the module: it reports what the others did."""
    record_property("report", table(ROWS))
    assert {row.backend for row in ROWS} == set(BACKENDS)
