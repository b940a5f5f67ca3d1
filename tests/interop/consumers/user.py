"""One user of a project at all services of the cloud: Keystone's token, and the endpoints of image, compute, volume."""

from __future__ import annotations

import uuid
from typing import Any

from keystoneauth1.identity import v3
from keystoneauth1.session import Session
from requests import Response

#: Request ids of the tests begin like this, which tells their access lines from those of consumers.
REQUEST_PREFIX = "req-7e577e57-"
COMPUTE_VERSION = "compute 2.90"
VOLUME_VERSION = "volume 3.70"
PATCH = "application/openstack-images-v2.1-json-patch"


def own_request_id() -> str:
    """For requests to the image service only: Nova and Cinder hand an id that they get on to it."""
    return REQUEST_PREFIX + str(uuid.uuid4())[9:]


class User:
    """Requests of one user. ``expect`` is the status that the answer must have."""

    def __init__(self, keystone: str, password: str, name: str, project: str, image_url: str) -> None:
        self.name = name
        self._image_url = image_url
        self._session = Session(
            v3.Password(
                auth_url=keystone, username=name, password=password, project_name=project,
                user_domain_id="default", project_domain_id="default",
            )
        )  # fmt: skip

    @property
    def project_id(self) -> str:
        """The id of the project."""
        return self._session.get_project_id() or ""

    @property
    def user_id(self) -> str:
        """The id of the user."""
        return self._session.get_user_id() or ""

    def image(self, method: str, path: str, *, expect: int | None = None, **more: Any) -> Response:
        """A request to the image service; ``path`` follows ``/v2``."""
        return self._request(method, f"{self._image_url}/v2{path}", expect, more)

    def compute(
        self, method: str, path: str, *, expect: int | None = None, version: str = COMPUTE_VERSION, **more: Any
    ) -> Response:
        """A request to Nova."""
        url = self._session.get_endpoint(service_type="compute")
        return self._request(method, f"{url}{path}", expect, more, version)

    def volume(self, method: str, path: str, *, expect: int | None = None, **more: Any) -> Response:
        """A request to Cinder."""
        url = self._session.get_endpoint(service_type="volumev3")
        return self._request(method, f"{url}{path}", expect, more, VOLUME_VERSION)

    def _request(self, method: str, url: str, expect: int | None, more: dict[str, Any], version: str = "") -> Response:
        headers = {"OpenStack-API-Version": version} if version else {"X-OpenStack-Request-ID": own_request_id()}
        headers |= more.pop("headers", {})
        answer = self._session.request(
            url, method, headers=headers, raise_exc=False, connect_retries=0, redirect=False, **more
        )
        if expect is not None:
            assert answer.status_code == expect, f"{method} {url}: {answer.status_code} {answer.text[:400]}"
        return answer
