"""Logging in: a token and the storage URL of an account, by the identity APIs of versions 1, 2 and 3."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec

from glimpse.errors import AccessDenied, StoreUnavailable
from glimpse.service_catalog import ServiceCatalog
from glimpse.settings.model import Secret
from glimpse.stores.connections import Answer, ConnectionFailed, Connections
from glimpse.stores.swift.answers import passes, unreachable
from glimpse.stores.swift.keystone import EndpointChoice, Keystone, versioned
from glimpse.stores.swift.references import Credentials

#: Seconds that a token is used if the server does not say how long it is valid.
_UNKNOWN_LIFETIME = 3600.0


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """A token for the account at ``storage_url``. ``expires_at`` by the clock of ``time.time``."""

    token: Secret
    storage_url: str
    expires_at: float


Login = Callable[[], Grant]


def login_with(credentials: Credentials, choice: EndpointChoice, connections: Connections, store_id: str) -> Login:
    """Return a function that logs in. It raises AccessDenied for wrong credentials, and StoreUnavailable."""
    match credentials.auth_version:
        case "1":
            return lambda: _version_1(credentials, choice, connections, store_id)
        case "2":
            return lambda: _version_2(credentials, choice, connections, store_id)
        case _:
            keystone = Keystone(credentials.auth_address, connections, store_id)
            return lambda: _version_3(keystone, credentials, choice)


def _version_1(credentials: Credentials, choice: EndpointChoice, connections: Connections, store_id: str) -> Grant:
    headers = {"X-Auth-User": credentials.user or "", "X-Auth-Key": credentials.key or ""}
    try:
        answer = connections.request("GET", credentials.auth_address, headers)
    except ConnectionFailed as error:
        raise unreachable(store_id, error, "the identity service") from error
    _require(answer, store_id)
    token, storage_url = answer.headers.get("x-auth-token"), answer.headers.get("x-storage-url")
    if not token or not storage_url:
        raise StoreUnavailable(f"Store {store_id} is not working: the identity service sends no token.")
    try:
        seconds = float(answer.headers.get("x-auth-token-expires", ""))
    except ValueError:
        seconds = _UNKNOWN_LIFETIME
    return Grant(
        token=Secret(token),
        storage_url=(choice.override or storage_url).rstrip("/"),
        expires_at=time.time() + seconds,
    )


def _version_2(credentials: Credentials, choice: EndpointChoice, connections: Connections, store_id: str) -> Grant:
    project, user = split_user(credentials)
    auth: dict[str, Any] = {"passwordCredentials": {"username": user, "password": credentials.key}}
    auth |= {"tenantId": credentials.project_id} if credentials.project_id else {"tenantName": project}
    url = versioned(credentials.auth_address, "v2.0") + "/tokens"
    body = msgspec.json.encode({"auth": auth}, enc_hook=str)
    try:
        answer = connections.request("POST", url, {"Content-Type": "application/json"}, body)
    except ConnectionFailed as error:
        raise unreachable(store_id, error, "the identity service") from error
    _require(answer, store_id)
    try:
        access: Any = msgspec.json.decode(answer.body)["access"]
        catalog = ServiceCatalog(access["serviceCatalog"])
        token, expires = str(access["token"]["id"]), str(access["token"]["expires"])
        expires_at = msgspec.convert(expires, datetime).timestamp()
    except (msgspec.MsgspecError, LookupError, TypeError, ValueError) as error:
        raise StoreUnavailable(f"Store {store_id} is not working: the identity service sends no token.") from error
    return Grant(token=Secret(token), storage_url=choice.url(catalog, store_id), expires_at=expires_at)


def _version_3(keystone: Keystone, credentials: Credentials, choice: EndpointChoice) -> Grant:
    found = keystone.authenticate(identity(credentials), scope(credentials))
    return Grant(
        token=found.token,
        storage_url=choice.url(found.catalog, keystone.store_id),
        expires_at=found.expires_at,
    )


def identity(credentials: Credentials) -> dict[str, Any]:
    """Return the part ``identity`` of a login of version 3."""
    if credentials.application_credential_id:
        application = {
            "id": credentials.application_credential_id,
            "secret": credentials.application_credential_secret,
        }
        return {"methods": ["application_credential"], "application_credential": application}
    domain = _domain(credentials.user_domain_id, credentials.user_domain_name)
    user = {"name": split_user(credentials)[1], "domain": domain, "password": credentials.key}
    return {"methods": ["password"], "password": {"user": user}}


def scope(credentials: Credentials) -> dict[str, Any] | None:
    """Return the part ``scope`` of a login of version 3; None for an application credential, which has its own."""
    if credentials.trust_id:
        return {"OS-TRUST:trust": {"id": credentials.trust_id}}
    if credentials.application_credential_id:
        return None
    if credentials.project_id:
        return {"project": {"id": credentials.project_id}}
    domain = _domain(credentials.project_domain_id, credentials.project_domain_name)
    return {"project": {"name": split_user(credentials)[0], "domain": domain}}


def split_user(credentials: Credentials) -> tuple[str | None, str | None]:
    """Return the project's name and the user's name."""
    project, colon, user = (credentials.user or "").partition(":")
    if not colon:
        return credentials.project_name, credentials.user
    return credentials.project_name or project, user


def _domain(domain_id: str | None, name: str | None) -> dict[str, str]:
    return {"name": name} if name and not domain_id else {"id": domain_id or "default"}


def _require(answer: Answer, store_id: str) -> None:
    if 200 <= answer.status < 300:
        return
    if passes(answer.status):
        raise StoreUnavailable(f"Store {store_id} is not working: the identity service answers {answer.status}.")
    raise AccessDenied(f"The identity service does not accept the credentials of store {store_id}.")
