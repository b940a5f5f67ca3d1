"""Nova and Cinder with Glimpse as their image service. The modules of this directory start what they need of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.interop.consumers.ceph import Ceph
from tests.interop.consumers.cloud import Cloud, Guests, make_cloud
from tests.interop.consumers.glimpse_service import FILES, ImageService, serve
from tests.interop.consumers.rigs import rig_dir, rig_environment, rig_runs, run_rig
from tests.interop.consumers.traffic import routes
from tests.interop.consumers.volumes import Volumes

HERE = Path(__file__).parent
Note = Callable[[str], None]


@dataclass
class Story:
    """The ids of what earlier tests of a module made; empty until then."""

    server: str = ""
    second: str = ""
    snapshot: str = ""
    volume: str = ""
    image: str = ""
    image_volume: str = ""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Booting servers without KVM takes its time."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.timeout(900))


@pytest.fixture(scope="session")
def guests() -> Guests:
    """Disks to boot from."""
    return Guests(rig_dir() / "guest-disks")


@pytest.fixture(scope="session")
def nova_rig() -> Iterator[Callable[..., str]]:
    """Starts Nova with these options and returns the URI of its libvirt; stops it unless it was running before."""
    was_running = rig_runs("nova")

    def start(*arguments: str) -> str:
        run_rig("nova/nova-up", *arguments)
        return rig_environment("nova")["RIG_NOVA_LIBVIRT"]

    yield start
    if not was_running:
        run_rig("nova/nova-down")


@pytest.fixture(scope="session")
def cinder_rig() -> Iterator[Callable[..., None]]:
    """Starts Cinder on the image service of this URL, with these lines of cinder.conf; stops it as Nova is stopped."""
    was_running = rig_runs("cinder")
    options = rig_dir() / "cinder-options"

    def start(url: str, lines: str = "") -> None:
        options.write_text(lines)
        run_rig("cinder-up", environment={"RIG_IMAGE_URL": url, "RIG_CINDER_OPTIONS": str(options)})

    yield start
    if not was_running:
        run_rig("cinder-down")


@pytest.fixture(scope="module")
def story() -> Story:
    """What the tests of the module hand on."""
    return Story()


@pytest.fixture(scope="session")
def ceph() -> Ceph:
    """The Ceph of the rigs, running."""
    run_rig("ceph-up")
    return Ceph()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ImageService]:
    """Glimpse on two filesystem stores. Modules with other stores have a fixture of this name."""
    with serve(tmp_path_factory.mktemp("glimpse"), FILES) as running:
        yield running


@pytest.fixture(scope="module")
def nova(nova_rig: Callable[..., str], service: ImageService) -> str:
    """Nova with disks in files on this service; the URI of libvirt."""
    return nova_rig("--image-url", service.url)


@pytest.fixture(scope="module")
def cloud(service: ImageService, nova: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """Users, images and servers."""
    made = make_cloud(service, tmp_path_factory.mktemp("cloud"), nova)
    yield made
    made.clean()


@pytest.fixture(scope="module")
def cinder_lines() -> str:
    """More lines of cinder.conf. Modules that need some have a fixture of this name."""
    return ""


@pytest.fixture(scope="module")
def cinder_cloud(
    service: ImageService,
    cinder_rig: Callable[..., None],
    cinder_lines: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Cloud]:
    """Users and images of a module that uses Cinder and no Nova; its fixture ``cloud`` returns this one."""
    cinder_rig(service.url, cinder_lines)
    made = make_cloud(service, tmp_path_factory.mktemp("cloud"))
    yield made
    made.clean()


@pytest.fixture(scope="module")
def volumes(cloud: Cloud) -> Iterator[Volumes]:
    """Volumes of Cinder."""
    made = Volumes(cloud.run, cloud.demo, cloud.admin)
    yield made
    made.clean()


@pytest.fixture(scope="module")
def alpha(cloud: Cloud, guests: Guests) -> str:
    """A qcow2 image that boots."""
    return cloud.images.upload("alpha", guests.converted("alpha"))


@pytest.fixture(scope="module")
def beta(cloud: Cloud, guests: Guests) -> str:
    """A raw image that boots."""
    return cloud.images.upload("beta", guests.raw("beta"), "raw")


@pytest.fixture
def note(
    cloud: Cloud, request: pytest.FixtureRequest, record_property: Callable[[str, object], None]
) -> Iterator[Note]:
    """Takes what the test found out; the report has it with the requests that Nova and Cinder made meanwhile."""
    cloud.traffic.news()
    began = time.monotonic()
    notes: list[str] = []
    yield notes.append
    calls = cloud.traffic.news()
    title = request.node.name.removeprefix("test_")
    record_property(
        "report",
        f"{title}: {' '.join('; '.join(notes).split())} ({time.monotonic() - began:.0f} s, {len(calls)} requests)",
    )
    print(title, routes(calls))
    failed = [call for call in calls if call.status >= 500]
    assert not failed, f"errors of the image service: {failed}"
