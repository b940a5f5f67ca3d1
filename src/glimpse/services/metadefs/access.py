"""The two checks of every use case: visibility in the database, and policy (metadefs 4)."""

from __future__ import annotations

from glimpse.context import Context
from glimpse.domain.metadef import Namespace
from glimpse.errors import NotFound
from glimpse.services.deps import Deps, viewer_of

_SEEING = "get_metadef_namespace"


def seen_namespace(deps: Deps, context: Context, name: str, *rules: str) -> Namespace:
    """Return a namespace that the caller may see and for which ``rules`` allow the caller.

    :raises NotFound: unknown or invisible namespace, or policy ``get_metadef_namespace`` refuses too.
    :raises Forbidden: one of ``rules`` refuses.
    """
    namespace = deps.metadefs.get_namespace(name, viewer_of(context))
    for rule in rules:
        require(deps, context, rule, namespace)
    return namespace


def require(deps: Deps, context: Context, rule: str, namespace: Namespace | None = None) -> None:
    """Require ``rule``; the error reveals only what the caller may know. Without a namespace the target is the caller's
    own project.

    :raises NotFound: ``rule`` and ``get_metadef_namespace`` both refuse.
    :raises Forbidden: ``rule`` refuses, and the caller may see the namespace.
    """
    if allows(deps, context, rule, namespace):
        return
    if rule == _SEEING or not allows(deps, context, _SEEING, namespace):
        raise NotFound(
            "The resource could not be found."
            if namespace is None
            else f"There is no metadata namespace {namespace.namespace}."
        )
    deps.policy.require(context, rule, _target(context, namespace))


def allows(deps: Deps, context: Context, rule: str, namespace: Namespace | None = None) -> bool:
    """Tell whether ``rule`` allows the caller; the target is as in :func:`require`."""
    return deps.policy.allows(context, rule, _target(context, namespace))


def _target(context: Context, namespace: Namespace | None) -> dict[str, object]:
    if namespace is None:
        return {"project_id": context.project_id}
    return {"project_id": namespace.owner, "visibility": namespace.visibility or "private"}
