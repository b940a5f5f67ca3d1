"""Limits registered in a real Keystone (images-api 6.3; imports-and-stores 7.2)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import oslo_limit.limit
import pytest

from glimpse.errors import LimitExceeded, Unavailable
from glimpse.quota.base import IMAGE_COUNT_TOTAL, IMAGE_COUNT_UPLOADING, IMAGE_SIZE_TOTAL, Limited, ProjectUsage
from glimpse.quota.keystone_limits import KeystoneLimits, LimitsUnusable
from glimpse.settings.model import Secret
from tests.interop.keystone_rig import KeystoneRig, Switch, keystone_rig

#: what openstacksdk says of itself
pytestmark = pytest.mark.filterwarnings("ignore::openstack.warnings.RemovedInSDK50Warning")

MIB = 1 << 20
REGION = "RegionOne"

Limits = Callable[..., KeystoneLimits]


class Registered:
    """An image service of its own in Keystone's catalog, with limits."""

    def __init__(self, keystone: KeystoneRig) -> None:
        self._keystone = keystone
        self.service = keystone.new("services", "service", type=keystone.new_name(), name=keystone.new_name())
        self.endpoint = keystone.new(
            "endpoints", "endpoint", service_id=self.service["id"], interface="public", region_id=REGION,
            url="http://127.0.0.1:1",
        )  # fmt: skip

    def limit(self, **defaults: int) -> dict[str, str]:
        """Register limits; returns the ids by name."""
        place = {"service_id": self.service["id"], "region_id": REGION}
        wanted = [{**place, "resource_name": name, "default_limit": limit} for name, limit in defaults.items()]
        made = self._keystone.call("POST", "/registered_limits", {"registered_limits": wanted})["registered_limits"]
        for one in made:
            self._keystone.remove_at_end(f"/registered_limits/{one['id']}")
        return {one["resource_name"]: one["id"] for one in made if one["resource_name"] in defaults}

    def limit_project(self, project_id: str, name: str, limit: int) -> None:
        """A limit of one project."""
        place = {"service_id": self.service["id"], "region_id": REGION, "project_id": project_id}
        wanted = {"limits": [{**place, "resource_name": name, "resource_limit": limit}]}
        for one in self._keystone.call("POST", "/limits", wanted)["limits"]:
            self._keystone.remove_at_end(f"/limits/{one['id']}")


@pytest.fixture
def keystone(monkeypatch: pytest.MonkeyPatch) -> Iterator[KeystoneRig]:
    rig = keystone_rig()
    # oslo.limit keeps one connection in a process; tests have several kinds of credentials
    monkeypatch.setattr(oslo_limit.limit, "_SDK_CONNECTION", None)
    yield rig
    rig.clean()


@pytest.fixture
def registered(keystone: KeystoneRig) -> Registered:
    return Registered(keystone)


@pytest.fixture
def usage() -> dict[str, ProjectUsage]:
    """What the database would say, by project."""
    return {}


@pytest.fixture
def limits(keystone: KeystoneRig, registered: Registered, usage: dict[str, ProjectUsage]) -> Limits:
    """The limits as a service with these options of ``[oslo_limit]`` sees them."""

    def make(**options: str) -> KeystoneLimits:
        texts = {
            "auth_type": "password", "auth_url": keystone.url, "username": "admin", "password": keystone.password,
            "user_domain_id": "default", "system_scope": "all", "endpoint_id": registered.endpoint["id"], **options,
        }  # fmt: skip
        own = {name: Secret(text) for name, text in texts.items() if text}
        return KeystoneLimits({"oslo_limit": own}, lambda project_id: usage.get(project_id or "", ProjectUsage()))

    return make


def test_limits_are_enforced(
    limits: Limits, registered: Registered, keystone: KeystoneRig, usage: dict[str, ProjectUsage]
) -> None:
    project = keystone.new_project()["id"]
    registered.limit(image_count_total=3, image_size_total=10, image_count_uploading=1)
    asked = limits()
    usage[project] = ProjectUsage(count_total=2, size_total=10 * MIB + 5, count_uploading=1)
    asked.enforce(project, {IMAGE_COUNT_TOTAL: 1})
    with pytest.raises(
        LimitExceeded, match="Resource image_count_total is over limit of 3 due to current usage 2 and delta 2"
    ):
        asked.enforce(project, {IMAGE_COUNT_TOTAL: 2})
    # a delta of 0 lets pass who is not over the limit
    asked.enforce(project, {IMAGE_SIZE_TOTAL: 0})
    asked.enforce(project, {IMAGE_COUNT_UPLOADING: 0})
    with pytest.raises(LimitExceeded, match="image_size_total"):
        asked.enforce(project, {IMAGE_SIZE_TOTAL: 1, IMAGE_COUNT_TOTAL: 1})
    usage[project] = ProjectUsage(size_total=11 * MIB)
    with pytest.raises(LimitExceeded, match="image_size_total"):
        asked.enforce(project, {IMAGE_SIZE_TOTAL: 0})


def test_a_changed_limit_counts_at_once(
    limits: Limits, registered: Registered, keystone: KeystoneRig, usage: dict[str, ProjectUsage]
) -> None:
    """imports-and-stores 15."""
    one, other = keystone.new_project()["id"], keystone.new_project()["id"]
    ids = registered.limit(image_count_total=1)
    usage[one] = usage[other] = ProjectUsage(count_total=1)
    asked = limits()
    with pytest.raises(LimitExceeded):
        asked.enforce(one, {IMAGE_COUNT_TOTAL: 1})
    change = {"registered_limit": {"default_limit": -1}}
    keystone.call("PATCH", f"/registered_limits/{ids['image_count_total']}", change)
    asked.enforce(one, {IMAGE_COUNT_TOTAL: 1000})
    registered.limit_project(one, "image_count_total", 5)
    asked.enforce(one, {IMAGE_COUNT_TOTAL: 4})
    with pytest.raises(LimitExceeded):
        asked.enforce(one, {IMAGE_COUNT_TOTAL: 5})
    asked.enforce(other, {IMAGE_COUNT_TOTAL: 1000})


def test_usage_and_what_is_not_registered(
    limits: Limits, registered: Registered, keystone: KeystoneRig, usage: dict[str, ProjectUsage]
) -> None:
    """imports-and-stores 1.5."""
    project = keystone.new_project()["id"]
    registered.limit(image_size_total=1000, image_count_total=100)
    registered.limit_project(project, "image_count_total", 7)
    usage[project] = ProjectUsage(size_total=12 * MIB, count_total=3, count_uploading=1)
    asked = limits()
    assert asked.usage(project) == {
        "image_size_total": Limited(12, 1000),
        "image_stage_total": Limited(0, 0),
        "image_count_total": Limited(3, 7),
        "image_count_uploading": Limited(1, 0),
    }
    assert asked.usage(None)["image_count_total"] == Limited(0, 100)
    with pytest.raises(LimitExceeded):
        asked.enforce(project, {"image_stage_total": 1})


def test_the_endpoint_can_be_described(limits: Limits, registered: Registered, keystone: KeystoneRig) -> None:
    registered.limit(image_count_total=1)
    asked = limits(
        endpoint_id="", endpoint_service_type=registered.service["type"], endpoint_region_name=REGION,
        endpoint_interface="publicURL",
    )  # fmt: skip
    asked.enforce(keystone.new_project()["id"], {IMAGE_COUNT_TOTAL: 1})


def test_a_reader_of_the_system_is_enough(limits: Limits, registered: Registered, keystone: KeystoneRig) -> None:
    user = keystone.new_user()
    keystone.grant(user, "reader", "/system")
    registered.limit(image_count_total=1)
    limits(username=user["name"]).enforce(keystone.new_project()["id"], {IMAGE_COUNT_TOTAL: 1})


@pytest.mark.parametrize(
    "options",
    [
        {"endpoint_id": "nowhere"},
        {"endpoint_id": "", "endpoint_service_type": "nothing"},
        {"password": "wrong"},
        {"username": "demo", "system_scope": "", "project_name": "demo", "project_domain_id": "default"},
    ],
)
def test_what_cannot_work_is_told(limits: Limits, options: dict[str, str], caplog: pytest.LogCaptureFixture) -> None:
    asked = limits(**options)
    for _ in range(2):
        with pytest.raises(LimitsUnusable):
            asked.enforce("p", {IMAGE_COUNT_TOTAL: 1})
    with pytest.raises(LimitsUnusable):
        asked.usage("p")
    assert "[oslo_limit]" in caplog.text


def test_a_mistake_of_today_is_none_tomorrow(limits: Limits, keystone: KeystoneRig) -> None:
    """The service is registered after the first question, without a restart."""
    kind = keystone.new_name()
    asked = limits(endpoint_id="", endpoint_service_type=kind)
    with pytest.raises(LimitsUnusable):
        asked.usage("p")
    service = keystone.new("services", "service", type=kind, name=kind)
    keystone.new("endpoints", "endpoint", service_id=service["id"], interface="public", url="http://127.0.0.1:1")
    assert asked.usage("p")[IMAGE_COUNT_TOTAL] == Limited(0, 0)


@pytest.mark.timeout(300)
def test_an_outage(limits: Limits, registered: Registered, keystone: KeystoneRig) -> None:
    registered.limit(image_count_total=1)
    early, late = limits(), limits()
    early.enforce("p", {IMAGE_COUNT_TOTAL: 1})
    with Switch() as switch:
        switch.off()
        for asked in (early, late):
            with pytest.raises(Unavailable):
                asked.enforce("p", {IMAGE_COUNT_TOTAL: 1})
        switch.on()
        for asked in (early, late):
            asked.enforce("p", {IMAGE_COUNT_TOTAL: 1})
