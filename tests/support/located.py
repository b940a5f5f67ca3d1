"""A service with several stores and a web server beside it, for tests of locations."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from glimpse.settings.model import Api, DataSources, Stores, StoreSettings, UriFilter
from glimpse.stores.http import HttpOptions
from glimpse.stores.memory import MemoryOptions
from tests.support.images.content import noise
from tests.support.jobs import run_due
from tests.support.web_server import WebServer, serving
from tests.support.wire import Answer, Caller, Wire, settings_in, wired

DATA = noise(70_000)

#: A user whose token has the role of services, as Nova's and Cinder's own users have.
SERVICE = Caller(project="service", roles="service,member,reader", user="nova")


@dataclass
class Located:
    """``wire`` asks as a member of p1; ``web`` serves :data:`DATA` as the file ``a``."""

    wire: Wire
    web: WebServer

    @property
    def url(self) -> str:
        """Where :data:`DATA` are on the web server."""
        return self.web.url("files", "a")

    def another(self, data: bytes = DATA) -> str:
        """A new address on the web server."""
        name = uuid4().hex
        self.web.files[name] = data
        return self.web.url("files", name)

    def in_memory(self, name: str | None = None, data: bytes = DATA, store_id: str = "ram") -> str:
        """A new address in a store that can be written."""
        writer = self.wire.service.deps.stores.by_id(store_id).writer(name or uuid4().hex, len(data), "attempt")
        writer.write(data)
        return writer.commit().url

    def holds(self, url: str, store_id: str = "ram") -> bool:
        """Whether a store has data at an address."""
        from glimpse.errors import DataNotFound

        try:
            self.wire.service.deps.stores.by_id(store_id).size(url)
        except DataNotFound:
            return False
        return True

    def show(self, image_id: str) -> dict[str, Any]:
        """The image as its owner sees it."""
        answer = self.wire("GET", f"/v2/images/{image_id}")
        assert answer.status == 200, answer
        shown: dict[str, Any] = answer.json
        return shown

    def add(self, image_id: str, url: str, **more: object) -> Answer:
        """PATCH: one more location."""
        value = {"url": url, "metadata": {}, **more}
        return self.wire.patch(image_id, {"op": "add", "path": "/locations/-", "value": value})

    def with_locations(self, *urls: str, **attributes: object) -> str:
        """The id of a new active image."""
        image_id: str = self.wire.create(**attributes)["id"]
        for url in urls:
            assert self.add(image_id, url).status == 200
        return image_id

    def post(self, image_id: str, url: str, **more: object) -> Answer:
        """POST: a location for a queued image."""
        return self.wire("POST", f"/v2/images/{image_id}/locations", json_body={"url": url, **more})

    def run_jobs(self) -> int:
        """Do what is due, here and now."""
        return run_due(self.wire.service.jobs)

    def as_(self, caller: Caller) -> Located:
        """The same for another caller."""
        return Located(self.wire.as_(caller), self.web)


@contextmanager
def located(directory: Path, *, named: bool = True, **parts: Any) -> Iterator[Located]:
    """``parts`` replace sections of the settings."""
    uri_filter = UriFilter(allowed_hosts=("localhost",), allowed_ports=())
    entries = (
        StoreSettings(id="ram", kind="memory", options=MemoryOptions(), weight=10),
        StoreSettings(id="web", kind="http", options=HttpOptions(), weight=50),
        StoreSettings(id="spare", kind="memory", options=MemoryOptions()),
    )
    sections: dict[str, Any] = {
        "stores": Stores(
            default="ram",
            stores=entries,
            named=named,
            uri_filter=uri_filter,
            data_sources=parts.get("data_sources", DataSources()),
        ),
        "uri_filter": uri_filter,
        "api": Api(show_multiple_locations=True, show_image_direct_url=True),
    }
    with serving() as web, wired(settings_in(directory, **{**sections, **parts})) as wire:
        web.files["a"] = DATA
        yield Located(wire, web)
