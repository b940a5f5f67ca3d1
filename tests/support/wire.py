"""Requests to the ASGI application without a server: the transcript of each is what tests compare."""

from __future__ import annotations

import asyncio
import atexit
import json
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection

from glimpse.app import Service, build_service
from glimpse.db.schema import sync
from glimpse.db.sql.engine import connect
from glimpse.settings.model import (
    Api,
    Auth,
    DatabaseSettings,
    Formats,
    Leases,
    Limits,
    Listen,
    Logging,
    Metrics,
    PolicySettings,
    Secret,
    Settings,
    Stores,
    StoreSettings,
)
from glimpse.stores.filesystem.options import FilesystemOptions
from tests.support.registry import Registry, asked_for, through_registry

PATCH = "application/openstack-images-v2.1-json-patch"
PATCH_20 = "application/openstack-images-v2.0-json-patch"


def settings_in(directory: Path, **parts: Any) -> Settings:
    """Settings of a service whose database and images are in ``directory``; ``parts`` replace whole sections."""
    options = FilesystemOptions(filesystem_store_datadir=str(directory / "images"))
    sections: dict[str, Any] = {
        "data_dir": directory,
        "listen": Listen(body_timeout=5),
        "metrics": Metrics(),
        "logging": Logging(),
        "database": DatabaseSettings(connection=Secret(f"sqlite:///{directory}/glimpse.sqlite")),
        "auth": Auth(kind="headers"),
        "policy": PolicySettings(),
        "stores": Stores(default="default", stores=(StoreSettings(id="default", kind="file", options=options),)),
        "limits": Limits(),
        "formats": Formats(),
        "api": Api(),
        "leases": Leases(),
    }
    return Settings(**{**sections, **parts})


@dataclass
class Answer:
    """What came back. ``complete`` is false when the answer ended without its last part."""

    status: int
    headers: dict[str, str]
    body: bytes
    complete: bool

    @property
    def json(self) -> Any:
        """The decoded body."""
        return json.loads(self.body)


@dataclass
class Caller:
    """Identity headers of one caller."""

    project: str | None = "p1"
    roles: str = "member,reader"
    user: str = "u1"

    def headers(self) -> dict[str, str]:
        """As an authenticating proxy sends them."""
        fields = {"X-Identity-Status": "Confirmed", "X-User-Id": self.user, "X-Roles": self.roles}
        return fields if self.project is None else {**fields, "X-Project-Id": self.project}


MEMBER = Caller()
READER = Caller(roles="reader", user="u2")
OTHER = Caller(project="p2", user="u3")
ADMIN = Caller(project="admin", roles="admin,member,reader", user="u0")


@dataclass
class Wire:
    """A service in this process and its callers."""

    service: Service
    loop: asyncio.AbstractEventLoop
    settings: Settings
    caller: Caller = field(default_factory=lambda: MEMBER)

    def as_(self, caller: Caller) -> Wire:
        """The same service for another caller."""
        return Wire(self.service, self.loop, self.settings, caller)

    def __call__(
        self,
        method: str,
        target: str,
        body: bytes | Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        json_body: object = None,
        cut: bool = False,
        identity: bool = True,
    ) -> Answer:
        """One request. ``target`` is path and query; an iterable body is chunked; ``cut`` ends it by a disconnect."""
        asked = self.ask(method, target, body, headers, json_body=json_body, cut=cut, identity=identity)
        return self.loop.run_until_complete(asked)

    async def ask(
        self,
        method: str,
        target: str,
        body: bytes | Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        json_body: object = None,
        cut: bool = False,
        identity: bool = True,
    ) -> Answer:
        """The same in the loop of the service, where several requests run side by side."""
        fields = {**(self.caller.headers() if identity else {}), "Host": "img.example.net", **(headers or {})}
        if json_body is not None:
            body = json.dumps(json_body).encode()
            fields.setdefault("Content-Type", "application/json")
        parts = [body] if isinstance(body, bytes) else list(body or ())
        if isinstance(body, bytes):
            fields.setdefault("Content-Length", str(len(body)))
        elif body is not None:
            fields.setdefault("Transfer-Encoding", "chunked")
        return await self._run(method, target, fields, parts, cut=cut)

    async def _run(self, method: str, target: str, fields: dict[str, str], parts: list[bytes], *, cut: bool) -> Answer:
        path, _, query = target.partition("?")
        messages: list[dict[str, Any]] = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
        messages.append({"type": "http.disconnect"} if cut else {"type": "http.request", "body": b""})
        started: dict[str, Any] = {}
        answer = Answer(0, {}, b"", complete=False)

        async def receive() -> dict[str, Any]:
            if messages:
                return messages.pop(0)
            await asyncio.Event().wait()
            raise AssertionError

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                started.update(message)
            else:
                answer.body += message.get("body", b"")
                answer.complete = not message.get("more_body", False)

        scope: dict[str, Any] = {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": quote(path, safe="/%").encode(),
            "query_string": query.encode("latin-1"),
            "root_path": "",
            "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in fields.items()],
            "client": ("127.0.0.1", 50000),
            "server": ("127.0.0.1", 9292),
        }
        await self.service.application(scope, receive, send)
        answer.status = started["status"]
        answer.headers = {name.decode(): value.decode("latin-1") for name, value in started["headers"]}
        return answer

    def create(self, **attributes: object) -> dict[str, Any]:
        """A new image, formats raw and bare unless told otherwise."""
        document = {"disk_format": "raw", "container_format": "bare", **attributes}
        answer = self("POST", "/v2/images", json_body=document)
        assert answer.status == 201, answer
        created: dict[str, Any] = answer.json
        return created

    def upload(self, image_id: str, data: bytes, headers: Mapping[str, str] | None = None) -> Answer:
        """The data of an image."""
        fields = {"Content-Type": "application/octet-stream", **(headers or {})}
        return self("PUT", f"/v2/images/{image_id}/file", data, fields)

    def patch(self, image_id: str, *operations: object, media_type: str = PATCH) -> Answer:
        """A PATCH of the 2.1 media type."""
        return self("PATCH", f"/v2/images/{image_id}", json.dumps(operations).encode(), {"Content-Type": media_type})

    @contextmanager
    def rows(self) -> Iterator[Connection]:
        """A connection to the rows themselves, past the service; each statement is committed at once."""
        engine = connect(self.settings.database)
        try:
            with engine.connect() as connection:
                yield connection
        finally:
            engine.dispose()

    def stored(self) -> list[str]:
        """Names of all files in the store, hidden ones too."""
        return sorted(path.name for path in (self.settings.data_dir / "images").rglob("*"))


def make_database(settings: Settings) -> None:
    """A database with all tables, empty unless it is there already; new SQLite files are copies of one template."""
    url = str.__str__(settings.database.connection)
    if not url.startswith("sqlite:///"):
        create_tables(url)
        return
    file = Path(url.removeprefix("sqlite:///"))
    if not file.exists():
        shutil.copyfile(template(), file)


@cache
def template() -> Path:
    """An SQLite file with all tables and no rows."""
    directory = Path(tempfile.mkdtemp(prefix="glimpse-template-"))
    atexit.register(shutil.rmtree, directory)
    path = directory / "glimpse.sqlite"
    create_tables(f"sqlite:///{path}")
    return path


def create_tables(url: str) -> None:
    """Bring the schema up in an empty database."""
    engine = connect(DatabaseSettings(connection=Secret(url)))
    sync(engine)
    engine.dispose()


@contextmanager
def wired(settings: Settings) -> Iterator[Wire]:
    """A service with an empty database, shut down at the end."""
    if asked_for():
        with wired_through_registry(settings) as (wire, _):
            yield wire
    else:
        make_database(settings)
        with _wire(settings, settings) as wire:
            yield wire


@contextmanager
def wired_through_registry(settings: Settings) -> Iterator[tuple[Wire, Registry]]:
    """The same with a registry between the service and its database."""
    make_database(settings)
    with through_registry(settings) as (effective, registry), _wire(effective, settings) as wire:
        yield wire, registry


@contextmanager
def _wire(effective: Settings, settings: Settings) -> Iterator[Wire]:
    loop = asyncio.new_event_loop()
    service = build_service(effective)
    try:
        yield Wire(service, loop, settings)
    finally:
        service.close()
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
