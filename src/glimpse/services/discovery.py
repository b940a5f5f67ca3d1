"""Discovery of import methods, stores, and the limits of a project (imports-and-stores 1)."""

from __future__ import annotations

from glimpse.context import Context
from glimpse.errors import NotFound
from glimpse.services.deps import Deps


def stores_info(deps: Deps) -> list[dict[str, object]]:
    """Return the named stores in the order of the configuration (imports-and-stores 1.3).

    :raises NotFound: there are no named stores.
    """
    _require_named(deps)
    default = deps.stores.default.id
    found: list[dict[str, object]] = []
    for entry in deps.stores.entries:
        shown: dict[str, object] = {"id": entry.id}
        if entry.description is not None:
            shown["description"] = entry.description
        if entry.id == default:
            shown["default"] = "true"
        if not deps.stores.by_id(entry.id).writable:
            shown["read-only"] = "true"
        found.append(shown)
    return found


def stores_detail(deps: Deps, context: Context) -> list[dict[str, object]]:
    """Return the named stores with kind, weight and properties (imports-and-stores 1.4).

    :raises NotFound: there are no named stores.
    :raises Forbidden: policy ``stores_info_detail``.
    """
    _require_named(deps)
    deps.policy.require(context, "stores_info_detail", {})
    return [
        {
            **shown,
            "type": entry.kind,
            "weight": entry.weight,
            "properties": deps.stores.details(entry),
        }
        for shown, entry in zip(stores_info(deps), deps.stores.entries, strict=True)
    ]


def project_usage(deps: Deps, context: Context) -> dict[str, dict[str, int]]:
    """Return usage and limit of each resource of the caller's project; empty without unified limits (imports-and-stores
    1.5).

    :raises Unavailable: the limits cannot be read at the moment.
    :raises LimitsUnusable: they cannot be read with the configured settings.
    """
    if deps.project_limits is None:
        return {}
    found = deps.project_limits.usage(context.project_id)
    return {name: {"usage": limited.usage, "limit": limited.limit} for name, limited in found.items()}


def _require_named(deps: Deps) -> None:
    if not deps.stores.named:
        raise NotFound("The service has no named stores.")
