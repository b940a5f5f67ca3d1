"""Keystone's service catalog of a token: the endpoints of other services, as the caller may use them."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, overload

import msgspec

#: Interface by key of an endpoint in a version 2 catalog, the format of `X-Service-Catalog`.
_KEYS = {"publicURL": "public", "internalURL": "internal", "adminURL": "admin"}


class _Endpoint(msgspec.Struct, frozen=True):
    interface: str
    url: str
    region: str | None = None
    region_id: str | None = None


class _Service(msgspec.Struct, frozen=True):
    type: str
    endpoints: tuple[_Endpoint, ...] = ()
    name: str | None = None


class ServiceCatalog(Sequence[Mapping[str, Any]]):
    """Services with ``type``, ``name`` and ``endpoints``; each endpoint has ``interface``, ``region`` and ``url``.

    Stored compressed, because identities are cached by the thousand and few requests need the catalog.
    """

    __slots__ = ("_packed",)

    def __init__(self, services: object) -> None:
        """``services`` is a list as in a token of Keystone, version 3, or in the header ``X-Service-Catalog``.

        :raises ValueError: the list is malformed.
        """
        try:
            found = msgspec.convert(services, list[dict[str, Any]])
            known = msgspec.convert([_version_3(service) for service in found], list[_Service])
        except msgspec.ValidationError as error:
            raise ValueError(f"The service catalog is malformed: {error}.") from error
        plain = [
            {
                "type": service.type,
                "name": service.name,
                "endpoints": [
                    {"interface": one.interface, "region": one.region or one.region_id, "url": one.url}
                    for one in service.endpoints
                ],
            }
            for service in known
        ]
        self._packed = zlib.compress(msgspec.json.encode(plain))

    def __len__(self) -> int:
        return len(self._services())

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        return iter(self._services())

    @overload
    def __getitem__(self, index: int) -> Mapping[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Mapping[str, Any]]: ...
    def __getitem__(self, index: int | slice) -> Any:
        return self._services()[index]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ServiceCatalog) and self._packed == other._packed

    def __hash__(self) -> int:
        return hash(self._packed)

    def __repr__(self) -> str:
        return f"<service catalog, {len(self._packed)} bytes>"

    def url(
        self, service_type: str, *, interface: str, region: str | None = None, name: str | None = None
    ) -> str | None:
        """Return the URL of the first endpoint that matches; None if no endpoint matches.

        ``interface`` is ``public``, ``internal`` or ``admin``, with or without ``URL`` at its end.
        """
        wanted = interface.removesuffix("URL")
        for service in self:
            if service["type"] != service_type or (name and service["name"] != name):
                continue
            for endpoint in service["endpoints"]:
                if endpoint["interface"] == wanted and region in {None, "", endpoint["region"]}:
                    return endpoint["url"]
        return None

    def url_in(self, service_type: str, *, interface: str, region: str) -> str | None:
        """Return the URL of the first endpoint in a region, whose name is compared without regard to case."""
        wanted, place = interface.removesuffix("URL"), region.casefold()
        for service in self:
            for endpoint in service["endpoints"] if service["type"] == service_type else ():
                if endpoint["interface"] == wanted and (endpoint["region"] or "").casefold() == place:
                    return endpoint["url"]
        return None

    def _services(self) -> list[dict[str, Any]]:
        return msgspec.json.decode(zlib.decompress(self._packed))


def _version_3(service: Mapping[str, Any]) -> dict[str, Any]:
    endpoints = msgspec.convert(service.get("endpoints", []), list[dict[str, Any]])
    converted = [
        {"interface": interface, "url": endpoint[key], "region": endpoint.get("region")}
        for endpoint in endpoints
        for key, interface in _KEYS.items()
        if endpoint.get(key)
    ]
    return {**service, "endpoints": converted or endpoints}
