"""Who may do what without any policy file (images-api 8.2; metadefs 4.2)."""

from __future__ import annotations

import pytest

from glimpse.domain.status import Visibility
from glimpse.policy.engine import OsloPolicy
from glimpse.policy.rules import RULES
from tests.unit.policy.callers import caller, image

CALLERS = {
    "admin": caller("admin", project="other"),
    "my member": caller("member"),
    "my reader": caller("reader"),
    "my nobody": caller(),
    "other member": caller("member", project="other"),
    "other reader": caller("reader", project="other"),
    "other nobody": caller(project="other"),
    "service": caller("service", project="other"),
    "unscoped nobody": caller(project=None),
}
EVERYBODY = frozenset(CALLERS)
ADMIN = frozenset({"admin"})
OWNER_MEMBER = ADMIN | {"my member"}
OWNER_READER = ADMIN | {"my reader"}
SERVICE = ADMIN | {"service"}
READERS = OWNER_READER | {"other reader"}
MEMBERS = OWNER_MEMBER | {"other member"}

# Rules whose outcome does not depend on the visibility of the image.
EVERY_VISIBILITY = {
    "default": EVERYBODY,
    "context_is_admin": ADMIN,
    "service_api": SERVICE,
    "add_image": OWNER_MEMBER,
    "get_images": OWNER_READER,
    "modify_image": OWNER_MEMBER,
    "delete_image": OWNER_MEMBER,
    "publicize_image": ADMIN,
    "communitize_image": OWNER_MEMBER,
    "upload_image": OWNER_MEMBER,
    "get_image_location": OWNER_READER,
    "set_image_location": OWNER_MEMBER,
    "delete_image_location": ADMIN,
    "add_image_location": OWNER_MEMBER | SERVICE,
    "fetch_image_location": SERVICE,
    "add_member": OWNER_MEMBER,
    "delete_member": OWNER_MEMBER,
    "deactivate": OWNER_MEMBER,
    "reactivate": OWNER_MEMBER,
    "copy_image": ADMIN,
    "manage_image_cache": ADMIN,
    "cache_image": ADMIN,
    "cache_list": ADMIN,
    "cache_delete": ADMIN,
    "cache_clean": ADMIN,
    "cache_prune": ADMIN,
    "list_cached_nodes": ADMIN,
    "stores_info_detail": SERVICE,
    "tasks_api_access": ADMIN,
    "get_task": EVERYBODY,
    "get_tasks": EVERYBODY,
    "add_task": EVERYBODY,
    "modify_task": EVERYBODY,
    "metadef_default": EVERYBODY,
    "metadef_admin": ADMIN,
    "get_metadef_namespaces": OWNER_READER,
    **dict.fromkeys(
        (
            "add_metadef_namespace",
            "modify_metadef_namespace",
            "delete_metadef_namespace",
            "add_metadef_resource_type_association",
            "remove_metadef_resource_type_association",
            "add_metadef_object",
            "modify_metadef_object",
            "delete_metadef_object",
            "add_metadef_property",
            "modify_metadef_property",
            "remove_metadef_property",
            "add_metadef_tag",
            "add_metadef_tags",
            "modify_metadef_tag",
            "delete_metadef_tag",
            "delete_metadef_tags",
        ),
        ADMIN,
    ),
}
NAMESPACE_READS = (
    "get_metadef_namespace",
    "list_metadef_resource_types",
    "get_metadef_resource_type",
    "get_metadef_objects",
    "get_metadef_object",
    "get_metadef_properties",
    "get_metadef_property",
    "get_metadef_tags",
    "get_metadef_tag",
)
# For the others: who passes for private, shared, community and public images.
BY_VISIBILITY = {
    "get_image": (OWNER_READER, READERS, READERS, READERS),
    "download_image": (OWNER_MEMBER, MEMBERS, MEMBERS, MEMBERS),
    "download_from_store": (OWNER_MEMBER, MEMBERS, MEMBERS, MEMBERS),
    "get_image_presigned_url": (OWNER_MEMBER, MEMBERS, MEMBERS, MEMBERS),
    "get_member": (OWNER_READER, READERS, OWNER_READER, OWNER_READER),
    "get_members": (OWNER_READER, READERS, OWNER_READER, OWNER_READER),
    "modify_member": (ADMIN, ADMIN | {"other member"}, ADMIN, ADMIN),
    **dict.fromkeys(NAMESPACE_READS, (OWNER_READER, OWNER_READER, OWNER_READER, READERS)),
}
VISIBILITIES = (Visibility.PRIVATE, Visibility.SHARED, Visibility.COMMUNITY, Visibility.PUBLIC)

TABLE = {
    (rule, visibility): allowed
    for rule, columns in ({rule: (who,) * 4 for rule, who in EVERY_VISIBILITY.items()} | BY_VISIBILITY).items()
    for visibility, allowed in zip(VISIBILITIES, columns, strict=True)
}


def test_the_table_has_every_rule() -> None:
    assert {rule for rule, _ in TABLE} == {rule.name for rule in RULES}
    assert len(RULES) == len({rule.name for rule in RULES})


@pytest.mark.parametrize(("rule", "visibility"), TABLE)
def test_image_target(policy: OsloPolicy, rule: str, visibility: Visibility) -> None:
    target = image(visibility)
    allowed = {name for name, context in CALLERS.items() if policy.allows_image(context, rule, target)}
    assert allowed == TABLE[rule, visibility]


@pytest.mark.parametrize("visibility", VISIBILITIES)
@pytest.mark.parametrize("rule", [*NAMESPACE_READS, "get_metadef_namespaces", "add_metadef_namespace"])
def test_namespace_target(policy: OsloPolicy, rule: str, visibility: Visibility) -> None:
    target = {"project_id": "mine", "visibility": str(visibility)}
    allowed = {name for name, context in CALLERS.items() if policy.allows(context, rule, target)}
    assert allowed == TABLE[rule, visibility]


@pytest.mark.parametrize("rule", [rule.name for rule in RULES])
@pytest.mark.parametrize("scope", [{"system_scope": "all"}, {"domain_id": "default"}])
def test_only_projects_pass(policy: OsloPolicy, rule: str, scope: dict[str, str]) -> None:
    context = caller("admin", "member", "reader", "service", project=None, **scope)
    assert not policy.allows(context, rule, {})
    assert not policy.allows_image(context, rule, image(Visibility.PUBLIC))


def test_owners_of_new_images(policy: OsloPolicy) -> None:
    def target(owner: str | None) -> dict[str, object]:
        return {"project_id": owner, "owner": owner, "visibility": "private"}

    assert policy.allows(caller("member"), "add_image", target("mine"))
    assert not policy.allows(caller("member"), "add_image", target("other"))
    assert not policy.allows(caller("member"), "add_image", target(None))
    assert not policy.allows(caller("reader"), "add_image", target("mine"))
    assert policy.allows(caller("admin"), "add_image", target("other"))
    assert policy.allows(caller("member", project=None), "add_image", target(None))


def test_the_service_role_counts_only_on_the_user(policy: OsloPolicy) -> None:
    context = caller("member", project="other", service_roles=frozenset({"service"}))
    assert not policy.allows_image(context, "fetch_image_location", image(Visibility.PUBLIC))


def test_images_without_an_owner(policy: OsloPolicy) -> None:
    assert not policy.allows_image(caller("reader"), "get_image", image(owner=None))
    assert not policy.allows_image(caller("member"), "modify_image", image(Visibility.PUBLIC, owner=None))
    assert policy.allows_image(caller("reader"), "get_image", image(Visibility.SHARED, owner=None))
    assert policy.allows_image(caller("admin"), "modify_image", image(owner=None))


def test_is_admin(policy: OsloPolicy) -> None:
    assert policy.is_admin(caller("admin", project=None))
    assert not policy.is_admin(caller("member", "administrator"))
    assert not policy.is_admin(caller(project=None))
