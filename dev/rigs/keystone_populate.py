"""Bring a bootstrapped Keystone to the state that the tests need, and write clouds.yaml.

Every object is looked up by its name first, so that it can run again at any time.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from keystoneauth1 import session
from keystoneauth1.identity import v3

PROJECTS = ("demo", "alt_demo", "service")
#: user → project and roles
USERS = {
    "demo": ("demo", ("member", "creator")),
    "demo2": ("demo", ("member",)),
    "reader": ("demo", ("reader",)),
    "alt": ("alt_demo", ("member",)),
    "glance": ("service", ("admin", "service")),
    "barbican": ("service", ("admin", "service")),
    "cinder": ("service", ("admin", "service")),
    "swift": ("service", ("admin", "service")),
    "nova": ("service", ("admin", "service")),
    "placement": ("service", ("admin", "service")),
}
#: cloud of clouds.yaml → user and project
CLOUDS = {
    "admin": ("admin", "admin"),
    "demo": ("demo", "demo"),
    "demo2": ("demo2", "demo"),
    "reader": ("reader", "demo"),
    "alt": ("alt", "alt_demo"),
    "service": ("glance", "service"),
}
#: type of a service → name
SERVICES = {
    "image": "glance",
    "image_remote": "glance_remote",
    "key-manager": "barbican",
    "object-store": "swift",
    "volumev3": "cinderv3",
    "block-storage": "cinder",
    "compute": "nova",
    "placement": "placement",
}


class Identity:
    """Keystone's API v3 as its administrator."""

    def __init__(self, auth_url: str, password: str, region: str) -> None:
        self.auth_url = auth_url
        self.password = password
        self.region = region
        self.session = session.Session(
            auth=v3.Password(
                auth_url=auth_url,
                username="admin",
                password=password,
                project_name="admin",
                user_domain_id="default",
                project_domain_id="default",
            )
        )

    def call(self, method: str, path: str, body: object = None) -> Any:
        return self.session.request(self.auth_url + path, method, json=body)

    def find(self, kind: str, **query: str) -> dict[str, Any] | None:
        text = "&".join(f"{name}={value}" for name, value in query.items())
        found = self.call("GET", f"/{kind}?{text}").json()[kind]
        return found[0] if found else None

    def ensure(self, kind: str, single: str, query: dict[str, str], **values: str) -> str:
        """The id of the object that the query finds, made if there is none."""
        found = self.find(kind, **query)
        return (found or self.call("POST", f"/{kind}", {single: query | values}).json()[single])["id"]

    def project(self, name: str) -> str:
        return self.ensure("projects", "project", {"name": name, "domain_id": "default"})

    def user(self, name: str) -> str:
        return self.ensure("users", "user", {"name": name, "domain_id": "default"}, password=self.password)

    def grant(self, user: str, project: str, roles: tuple[str, ...]) -> None:
        user_id, project_id = self.user(user), self.project(project)
        for name in roles:
            role_id = self.ensure("roles", "role", {"name": name})
            self.call("PUT", f"/projects/{project_id}/users/{user_id}/roles/{role_id}")

    def endpoint(self, service_type: str, url: str) -> None:
        """Register a service under one URL for all interfaces, or move it there."""
        name = SERVICES[service_type]
        service_id = self.ensure("services", "service", {"type": service_type, "name": name})
        found = self.call("GET", f"/endpoints?service_id={service_id}").json()["endpoints"]
        by_interface = {endpoint["interface"]: endpoint for endpoint in found}
        for interface in ("public", "internal", "admin"):
            old = by_interface.get(interface)
            if old is None:
                new = {"service_id": service_id, "interface": interface, "url": url, "region_id": self.region}
                self.call("POST", "/endpoints", {"endpoint": new})
            elif old["url"] != url:
                self.call("PATCH", f"/endpoints/{old['id']}", {"endpoint": {"url": url}})

    def drop_service(self, service_type: str) -> None:
        found = self.find("services", type=service_type)
        if found:
            self.call("DELETE", f"/services/{found['id']}")


def clouds(arguments: argparse.Namespace) -> dict[str, Any]:
    """clouds.yaml as an object; written as JSON, which is YAML too."""
    account = {"auth_url": arguments.auth_url, "password": arguments.password, "user_domain_id": "default"}
    common = {"region_name": arguments.region, "identity_api_version": "3", "image_api_version": "2"}
    found: dict[str, Any] = {
        name: common | {"auth": account | {"username": user, "project_name": project, "project_domain_id": "default"}}
        for name, (user, project) in CLOUDS.items()
    }
    found["system-admin"] = common | {"auth": account | {"username": "admin", "system_scope": "all"}}
    return {"clouds": found}


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("--auth-url", "--password", "--region", "--clouds-yaml"):
        parser.add_argument(name, required=True)
    parser.add_argument("endpoints", nargs="*", metavar="TYPE=URL")
    arguments = parser.parse_args()

    identity = Identity(arguments.auth_url, arguments.password, arguments.region)
    for project in PROJECTS:
        identity.project(project)
    for user, (project, roles) in USERS.items():
        identity.grant(user, project, roles)
    for service_type, url in (endpoint.split("=", 1) for endpoint in arguments.endpoints):
        if url:
            identity.endpoint(service_type, url)
        else:
            identity.drop_service(service_type)

    path = Path(arguments.clouds_yaml)
    partial = path.with_suffix(".new")
    partial.write_text(json.dumps(clouds(arguments), indent=2) + "\n")
    partial.replace(path)


if __name__ == "__main__":
    main()
