"""What the store needs of Keystone's API of version 3: tokens, the service catalog, and trusts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import msgspec

from glimpse.errors import AccessDenied, StoreUnavailable
from glimpse.service_catalog import ServiceCatalog
from glimpse.settings.model import Secret
from glimpse.stores.connections import Answer, ConnectionFailed, Connections
from glimpse.stores.swift.answers import passes, unreachable

T = TypeVar("T")

#: An upload with a trust ends within this time.
_TRUST_LIFETIME = timedelta(days=7)


class EndpointChoice(msgspec.Struct, frozen=True, kw_only=True):
    """Which endpoint of the catalog is used (store-formats 7.6); ``override`` is a URL that replaces it."""

    override: str | None = None
    region: str | None = None
    service_type: str = "object-store"
    interface: str = "public"

    def url(self, catalog: ServiceCatalog | None, store_id: str) -> str:
        """Return the storage URL of an account.

        :raises AccessDenied: the catalog has no such endpoint.
        """
        if self.override:
            return self.override.rstrip("/")
        found = None
        if catalog is not None:
            found = catalog.url(self.service_type, interface=self.interface, region=self.region)
        if not found:
            raise AccessDenied(
                f"The service catalog for store {store_id} has no {self.interface} endpoint of {self.service_type}."
            )
        return found.rstrip("/")


class _Name(msgspec.Struct, frozen=True):
    id: str


class TokenInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A token and what Keystone says about it. ``expires_at`` by the clock of ``time.time``."""

    token: Secret
    expires_at: float
    catalog: ServiceCatalog
    user_id: str
    project_id: str | None
    role_ids: tuple[str, ...]


class _Token(msgspec.Struct, frozen=True):
    expires_at: datetime
    user: _Name
    project: _Name | None = None
    roles: tuple[_Name, ...] = ()
    catalog: tuple[dict[str, Any], ...] = ()


class _TokenBody(msgspec.Struct, frozen=True):
    token: _Token


class _TrustBody(msgspec.Struct, frozen=True):
    trust: _Name


class Keystone:
    """Keystone at ``address``. Every call raises StoreUnavailable if it does not work."""

    def __init__(self, address: str, connections: Connections, store_id: str) -> None:
        self.store_id = store_id
        self._url = versioned(address, "v3")
        self._connections = connections

    def authenticate(self, identity: Mapping[str, Any], scope: Mapping[str, Any] | None) -> TokenInfo:
        """Log in and return the token.

        :raises AccessDenied: the credentials are not valid.
        """
        auth = {"identity": identity} if scope is None else {"identity": identity, "scope": scope}
        answer = self._request("POST", "/auth/tokens", {}, {"auth": auth})
        return self._info(answer, answer.headers.get("x-subject-token", ""))

    def validate(self, token: Secret) -> TokenInfo:
        """Return what Keystone says about a user's token, with the catalog of its project.

        :raises AccessDenied: the token is not valid any more.
        """
        answer = self._request("GET", "/auth/tokens", {"X-Auth-Token": token, "X-Subject-Token": token})
        return self._info(answer, token)

    def create_trust(self, trustor: TokenInfo, trustee_id: str) -> str:
        """Let ``trustee_id`` act for the user of a token in its project, with the roles of the token. Return its id.

        :raises AccessDenied: Keystone refuses.
        """
        trust = {
            "trustor_user_id": trustor.user_id,
            "trustee_user_id": trustee_id,
            "project_id": trustor.project_id,
            "impersonation": True,
            "roles": [{"id": role} for role in trustor.role_ids],
            # the end of one that could not be deleted
            "expires_at": f"{datetime.now(UTC) + _TRUST_LIFETIME:%Y-%m-%dT%H:%M:%S.%fZ}",
        }
        answer = self._request("POST", "/OS-TRUST/trusts", {"X-Auth-Token": trustor.token}, {"trust": trust})
        return self._decoded(answer, _TrustBody).trust.id

    def delete_trust(self, token: Secret, trust_id: str) -> None:
        """Delete a trust, with a token of its trustor.

        :raises AccessDenied: Keystone refuses.
        """
        self._request("DELETE", f"/OS-TRUST/trusts/{trust_id}", {"X-Auth-Token": token})

    def _info(self, answer: Answer, token: str) -> TokenInfo:
        found = self._decoded(answer, _TokenBody).token
        try:
            catalog = ServiceCatalog(found.catalog)
        except ValueError as error:
            raise self._invalid() from error
        return TokenInfo(
            token=Secret(token),
            expires_at=found.expires_at.timestamp(),
            catalog=catalog,
            user_id=found.user.id,
            project_id=found.project.id if found.project else None,
            role_ids=tuple(role.id for role in found.roles),
        )

    def _request(self, method: str, path: str, headers: Mapping[str, str], body: object = None) -> Answer:
        content = b"" if body is None else msgspec.json.encode(body, enc_hook=str)
        fields = {"Accept": "application/json", "Content-Type": "application/json", **headers}
        try:
            answer = self._connections.request(method, self._url + path, fields, content)
        except ConnectionFailed as error:
            raise unreachable(self.store_id, error, "Keystone") from error
        if passes(answer.status):
            raise StoreUnavailable(f"Store {self.store_id} is not working: Keystone answers {answer.status}.")
        if not 200 <= answer.status < 300:
            raise AccessDenied(f"Keystone refuses a request of store {self.store_id}: it answers {answer.status}.")
        return answer

    def _decoded(self, answer: Answer, kind: type[T]) -> T:
        try:
            return msgspec.json.decode(answer.body, type=kind)
        except msgspec.DecodeError as error:
            raise self._invalid() from error

    def _invalid(self) -> StoreUnavailable:
        return StoreUnavailable(f"Store {self.store_id} is not working: Keystone sends no valid answer.")


def versioned(address: str, version: str) -> str:
    """Return the URL of a version of the identity API, which ``address`` may contain already."""
    address = address.rstrip("/")
    return address if address.endswith(f"/{version}") else f"{address}/{version}"
