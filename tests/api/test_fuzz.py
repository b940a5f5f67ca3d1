"""schemathesis drives the API from its own OpenAPI document: no 5xx, no answer that the document does not have.

The application runs in this process, every caller is admin (auth ``none``), and the requests are the same in every run.
What is generated rarely names an image that exists, so half of the requests about an image are given one.
"""

from __future__ import annotations

import json
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.core.parameters import ParameterLocation
from schemathesis.engine import events, from_schema

from glimpse.domain.patch import Draft
from glimpse.settings.model import Api, Auth, Settings, Stores, StoreSettings
from glimpse.stores.filesystem.options import FilesystemOptions
from tests.support.wire import Wire, settings_in, wired

# Not among them: negative_data_rejection, which wants a refusal of headers that the document does not name.
CHECKS = (
    "not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance",
    "response_headers_conformance", "unsupported_method", "use_after_free", "ensure_resource_availability",
)  # fmt: skip

#: Answered before versions and routing, whatever the method.
ANY_METHOD = ("/", "/versions", "/healthcheck", "/v2")

#: Examples of each operation: in the default suite, some 20 seconds together, and in the long run.
FEW, MANY = 9, 80

#: Properties of the operator's own, so that not every custom property is text.
CUSTOM = {"cores": {"type": "integer"}, "kernel_id": {"type": ["null", "string"]}, "boot": {"enum": ["bios", "uefi"]}}


@schemathesis.serializer(*(draft.value for draft in Draft))
def _patch_document(_context: object, value: object) -> bytes:
    return json.dumps(value).encode()


@dataclass
class Told:
    """What a run of the engine came to."""

    requests: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    operations: set[str] = field(default_factory=set)
    failures: dict[str, str] = field(default_factory=dict)
    ended: str = "the engine did not end"

    def take(self, event: events.EngineEvent) -> None:
        """Count what an event tells."""
        if isinstance(event, events.ScenarioFinished):
            self._count(event)
        elif isinstance(event, events.NonFatalError):
            self.failures.setdefault(f"error in {event.label}", str(event.value))
        elif isinstance(event, events.FatalError):
            raise event.exception
        elif isinstance(event, events.EngineFinished):
            self.ended = str(event.stop_reason)

    def _count(self, event: events.ScenarioFinished) -> None:
        recorder = event.recorder
        self.requests[event.phase.value] += len(recorder.interactions)
        self.operations.update(case.value.operation.label for case in recorder.cases.values())
        self.statuses.update(one.response.status_code for one in recorder.interactions.values() if one.response)
        for checks in recorder.checks.values():
            for check in checks:
                if check.failure_info is not None:
                    failure = check.failure_info.failure
                    title = f"{check.name} of {failure.operation}: {failure.title}\n{failure.message}"
                    self.failures.setdefault(title, check.failure_info.code_sample)

    def summary(self) -> str:
        """One line."""
        phases = ", ".join(f"{number} {phase}" for phase, number in self.requests.items() if number)
        statuses = " ".join(f"{status}×{number}" for status, number in sorted(self.statuses.items()))
        return (
            f"schemathesis: {len(self.operations)} operations, {sum(self.requests.values())} requests ({phases}), "
            f"{len(self.failures)} failures; {statuses}"
        )


class Images:
    """New images for generated requests, of the kind that a text stands for."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._kinds: tuple[Callable[[], str], ...] = (
            self._queued, self._without_formats, self._active, self._deactivated, self._shared,
        )  # fmt: skip

    def like(self, text: str) -> str | None:
        """The id of a new image, or None for half of all texts."""
        number = zlib.crc32(text.encode("utf-8", "surrogatepass"))
        return self._kinds[number // 2 % len(self._kinds)]() if number % 2 else None

    def _queued(self) -> str:
        return self._wire.create(tags=["a"], os_distro="debian")["id"]

    def _without_formats(self) -> str:
        return self._wire.create(disk_format=None, container_format=None)["id"]

    def _active(self) -> str:
        image_id = self._queued()
        assert self._wire.upload(image_id, b"data").status == 204
        return image_id

    def _deactivated(self) -> str:
        image_id = self._active()
        assert self._wire("POST", f"/v2/images/{image_id}/actions/deactivate").status == 204
        return image_id

    def _shared(self) -> str:
        image_id = self._queued()
        assert self._wire("POST", f"/v2/images/{image_id}/members", json_body={"member": "a"}).status == 200
        return image_id


def run(wire: Wire, examples: int, seed: int) -> Told:
    """Let schemathesis test the service behind ``wire``."""

    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await wire.service.application(scope, receive, send)
            return
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})

    config = SchemathesisConfig.from_dict({
        "seed": seed,
        "generation": {"max-examples": examples, "deterministic": True},
        "checks": {"enabled": False, **{name: {"enabled": True} for name in CHECKS}},
        "operations": [
            {"include-path": path, "checks": {"unsupported_method": {"enabled": False}}} for path in ANY_METHOD
        ],
        "suppress-health-check": ["all"],
        "cache": {"enabled": False},
    })  # fmt: skip
    schema = schemathesis.openapi.from_asgi("/v2/openapi.json", application, config=config)
    images = Images(wire)

    def before_call(_context: object, case: schemathesis.Case, _kwargs: dict[str, Any]) -> None:
        path = case.meta and case.meta.components.get(ParameterLocation.PATH)
        if path and path.mode.is_positive and "image_id" in case.path_parameters:
            case.path_parameters["image_id"] = images.like(repr(case)) or case.path_parameters["image_id"]

    told = Told()
    schemathesis.hook(before_call)
    try:
        for event in from_schema(schema).execute():
            told.take(event)
    finally:
        schemathesis.hooks.unregister(before_call)
    return told


def everything_on(directory: Path) -> Settings:
    """Settings under which as much as possible can be asked for."""
    stores = tuple(
        StoreSettings(id=name, kind="file", options=FilesystemOptions(filesystem_store_datadir=str(directory / name)))
        for name in ("fast", "cheap")
    )
    return settings_in(
        directory,
        auth=Auth(kind="none"),
        stores=Stores(default="fast", stores=stores, named=True),
        api=Api(show_multiple_locations=True, show_image_direct_url=True),
        custom_schema=CUSTOM,
    )


def fuzz(directory: Path, examples: int, seed: int, record_property: Callable[[str, object], None]) -> None:
    """One run on a service of its own, and what it must come to."""
    with wired(everything_on(directory)) as wire:
        told = run(wire, examples, seed)
    print(told.summary())
    record_property("report", told.summary())
    found = "\n\n".join(f"{title}\n{sample}" for title, sample in told.failures.items())
    assert not told.failures, found
    assert told.ended == "completed"
    # the run is worth nothing when hardly anything succeeds
    assert told.statuses[200] > 300
    assert told.statuses[204] > 50
    assert told.statuses[201] > 5


@pytest.mark.timeout(180)
def test_nothing_generated_breaks_the_document(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    fuzz(tmp_path, FEW, 1, record_property)


@pytest.mark.heavy
@pytest.mark.timeout(900)
def test_nothing_generated_in_a_long_run_breaks_the_document(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    fuzz(tmp_path, MANY, 2, record_property)
