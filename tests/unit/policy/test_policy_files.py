"""Policy files: where they are found, how they are combined, when they take effect (configuration 8)."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

import pytest

from glimpse.domain.status import Visibility
from glimpse.policy.files import PolicyError
from glimpse.policy.rules import Deprecated, RuleDefault
from glimpse.settings.errors import SettingsError
from tests.unit.policy.callers import caller, image


def test_an_override_replaces_the_whole_rule(make_policy) -> None:
    policy = make_policy({"policy.yaml": '"modify_image": "role:editor"\n'})
    assert policy.allows_image(caller("editor", project="other"), "modify_image", image())
    assert not policy.allows_image(caller("admin"), "modify_image", image())
    assert policy.allows_image(caller("admin"), "delete_image", image())


def test_json_lists_and_empty_rules(make_policy) -> None:
    rules = {
        "get_images": [["role:auditor", "project_id:%(project_id)s"], "role:boss"],
        "add_image": "",
        "delete_image": [],
        "copy_image": None,
        "upload_image": "@",
        "download_image": "!",
    }
    policy = make_policy({"policy.yaml": json.dumps(rules)})
    assert policy.allows(caller("auditor"), "get_images", {"project_id": "mine"})
    assert not policy.allows(caller("auditor"), "get_images", {"project_id": "other"})
    assert policy.allows(caller("boss"), "get_images", {"project_id": "other"})
    for rule in ("add_image", "delete_image", "copy_image", "upload_image"):
        assert policy.allows(caller(project=None), rule, {})
    assert not policy.allows(caller("admin"), "download_image", {})


def test_the_admin_of_an_installation(make_policy) -> None:
    policy = make_policy({"policy.yaml": '"context_is_admin": "role:cloud_admin and project_id:hq"'})
    assert policy.is_admin(caller("cloud_admin", project="hq"))
    assert not policy.is_admin(caller("cloud_admin", project="mine"))
    assert not policy.is_admin(caller("admin", project="hq"))
    assert policy.allows_image(caller("cloud_admin", project="hq"), "publicize_image", image())


def test_attributes_and_properties_of_the_image(make_policy) -> None:
    policy = make_policy(
        {
            "policy.yaml": """
download_image: "rule:context_is_admin or (role:member and not ('yes':%(licensed)s))"
modify_image: "'active':%(status)s and 'False':%(protected)s and 'web':%(name)s"
delete_image: "user_id:%(owner_user)s"
upload_image: "is_admin:True or tenant:%(owner)s"
deactivate: "role:%(needed_role)s"
add_member: "project_id:%(member_id)s"
"""
        }
    )
    assert not policy.allows_image(caller("member"), "download_image", image(properties={"licensed": "yes"}))
    assert policy.allows_image(caller("member"), "download_image", image(properties={"licensed": "no"}))
    assert policy.allows_image(caller("member"), "download_image", image())
    assert policy.allows_image(caller(), "modify_image", image(name="web"))
    assert not policy.allows_image(caller(), "modify_image", image(name="web", protected=True))
    assert policy.allows_image(caller(), "delete_image", image(properties={"owner_user": "user-1"}))
    assert not policy.allows_image(caller(), "delete_image", image())
    assert policy.allows_image(caller(project="mine"), "upload_image", image())
    assert policy.allows_image(caller("admin", project="other"), "upload_image", image())
    assert not policy.allows_image(caller(project="other"), "upload_image", image())
    assert policy.allows_image(caller("curator"), "deactivate", image(properties={"needed_role": "Curator"}))
    assert not policy.allows_image(caller("curator"), "deactivate", image())
    assert policy.allows_image(caller(project="other"), "add_member", image(Visibility.SHARED))
    assert not policy.allows_image(caller(), "add_member", image(Visibility.SHARED))


def test_properties_cannot_stand_in_for_attributes(make_policy) -> None:
    policy = make_policy({"policy.yaml": '"deactivate": "project_id:%(member_id)s"'})
    forged = image(properties={"member_id": "other", "project_id": "other", "owner": "other"})
    assert not policy.allows_image(caller("member", project="other"), "modify_image", forged)
    assert not policy.allows_image(caller(project="other"), "deactivate", forged)


def test_unknown_rules_mean_the_default(make_policy, caplog: pytest.LogCaptureFixture) -> None:
    policy = make_policy({"policy.yaml": '"default": "role:boss"\n"get_images": "rule:no_such"'})
    assert policy.allows(caller("boss"), "whatever", {})
    assert not policy.allows(caller("member"), "whatever", {})
    assert policy.allows(caller("boss"), "get_images", {})
    assert not policy.allows(caller("admin"), "get_images", {})
    assert "no_such" in caplog.text


def test_another_default_rule(make_policy) -> None:
    files = {"policy.yaml": '"fallback": "role:boss"'}
    assert not make_policy(files, policy_default_rule="fallback").allows(caller("member"), "whatever", {})
    assert not make_policy(files, policy_default_rule="missing").allows(caller("boss"), "whatever", {})


def test_policy_directories_in_the_order_of_names(make_policy, tmp_path: Path) -> None:
    policy = make_policy(
        {
            "policy.yaml": '"get_images": "role:one"\n"add_image": "role:one"',
            "policy.d/20-late.yaml": '"get_images": "role:late"',
            "policy.d/10-early.json": '{"get_images": "role:early", "copy_image": "role:early"}',
            "policy.d/.hidden.yaml": '"get_images": "role:hidden"',
            "more.d/00.yaml": '"copy_image": "role:more"',
        },
        policy_dirs=("policy.d", str(tmp_path / "more.d"), "absent.d"),
    )
    assert policy.allows(caller("late"), "get_images", {})
    assert policy.allows(caller("one"), "add_image", {})
    assert policy.allows(caller("more"), "copy_image", {})
    for role in ("one", "early", "hidden"):
        assert not policy.allows(caller(role), "get_images", {})


def test_directories_count_without_a_main_file(make_policy) -> None:
    policy = make_policy({"policy.d/a.yaml": '"get_images": "role:late"'})
    assert policy.allows(caller("late"), "get_images", {})


def test_the_first_configuration_directory_wins(tmp_path: Path, make_policy) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "rules.yaml").write_text(f'"get_images": "role:{name}"')
    policy = make_policy(policy_file="first/rules.yaml")
    assert policy.allows(caller("first"), "get_images", {})
    assert not policy.allows(caller("second"), "get_images", {})


def test_changed_files_count(make_policy, tmp_path: Path) -> None:
    policy = make_policy({"policy.yaml": '"get_images": "role:one"'}, reload_interval=0.0)
    assert policy.allows(caller("one"), "get_images", {})
    (tmp_path / "policy.yaml").write_text('"get_images": "role:three"')
    assert policy.allows(caller("three"), "get_images", {})
    (tmp_path / "policy.d").mkdir()
    (tmp_path / "policy.d" / "a.yaml").write_text('"get_images": "role:four"')
    assert policy.allows(caller("four"), "get_images", {})
    (tmp_path / "policy.d" / "a.yaml").unlink()
    assert policy.allows(caller("three"), "get_images", {})
    (tmp_path / "policy.yaml").unlink()
    assert policy.allows(caller("admin"), "get_images", {})
    assert not policy.allows(caller("three"), "get_images", {})


def test_files_are_not_looked_at_for_every_check(make_policy, tmp_path: Path) -> None:
    policy = make_policy({"policy.yaml": '"get_images": "role:one"'}, reload_interval=3600.0)
    (tmp_path / "policy.yaml").write_text('"get_images": "role:three"')
    assert not policy.allows(caller("three"), "get_images", {})
    assert policy.allows(caller("one"), "get_images", {})


def test_unchanged_files_are_not_read_again(make_policy, tmp_path: Path) -> None:
    policy = make_policy({"policy.yaml": '"get_images": "role:one"'}, reload_interval=0.0)
    first = policy._ruleset()
    assert policy._ruleset() is first
    (tmp_path / "policy.yaml").write_text('"get_images": "role:three"')
    second = policy._ruleset()
    assert second is not first
    assert policy._ruleset() is second


def test_a_broken_change_keeps_the_old_rules(make_policy, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    policy = make_policy({"policy.yaml": '"get_images": "role:one"'}, reload_interval=0.0)
    (tmp_path / "policy.yaml").write_text('"get_images": "role:two" oops')
    for _ in range(3):
        assert policy.allows(caller("one"), "get_images", {})
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(errors) == 1
    assert "policy.yaml" in errors[0].getMessage()
    (tmp_path / "policy.yaml").write_text('"get_images": "role:three"')
    assert policy.allows(caller("three"), "get_images", {})


def test_a_directory_that_is_none_is_complained_about_once(
    make_policy, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    policy = make_policy(reload_interval=0.0)
    (tmp_path / "policy.d").write_text("a file")
    for _ in range(3):
        assert policy.allows(caller("admin"), "get_images", {})
    assert [record.levelname for record in caplog.records] == ["ERROR"]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("get_images: [unclosed", "neither YAML nor JSON"),
        ("- a\n- b\n", "not a mapping"),
        ("just text", "not a mapping"),
        ("1: role:admin", "rule name 1"),
        ("get_images: true", "get_images"),
        ("get_images: 12", "get_images"),
        ("get_images: {a: b}", "get_images"),
        ("get_images: role:admin or", "not a valid policy expression"),
        ("get_images: (role:admin", "not a valid policy expression"),
        ("get_images: role:admin role:member", "not a valid policy expression"),
        ("get_images: '! role:admin'", "not a valid policy expression"),
        ("get_images: '   '", "not a valid policy expression"),
        ("get_images: admin", "'admin' is not a check"),
        ("get_images: [[role:admin, 7]]", "7 is not a check"),
        ("get_images: rule:get_images", "get_images → get_images"),
        ("get_images: rule:a or role:x\na: not rule:get_images", "refers to itself"),
        ("default: rule:missing", "refers to itself"),
        ("get_images: project_id:%(project_id)", "project_id"),
        ("get_images: project_id:100%", "form %\\(name\\)s"),
        ("get_images: project_id:%s", "form %\\(name\\)s"),
    ],
)
def test_a_broken_file_stops_the_start(make_policy, content: str, complaint: str) -> None:
    with pytest.raises(PolicyError, match=complaint) as raised:
        make_policy({"policy.yaml": content})
    assert "\n" not in str(raised.value)
    assert isinstance(raised.value, SettingsError)


def test_files_that_are_not_text_or_not_readable(make_policy, tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(PolicyError, match=r"policy\.yaml"):
        make_policy()
    (tmp_path / "policy.yaml").unlink()
    (tmp_path / "policy.yaml").mkdir()
    with pytest.raises(PolicyError, match=r"policy\.yaml: cannot be read"):
        make_policy()


def test_a_replaced_file_with_the_same_time(make_policy, tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    policy = make_policy({"policy.yaml": '"get_images": "role:one"'}, reload_interval=0.0)
    before = path.stat()
    replacement = tmp_path / "new"
    replacement.write_text('"get_images": "role:two"')
    os.utime(replacement, ns=(before.st_atime_ns, before.st_mtime_ns))
    replacement.replace(path)
    assert policy.allows(caller("two"), "get_images", {})


def test_old_defaults_count_when_asked_for(make_policy) -> None:
    legacy = make_policy(enforce_new_defaults=False)
    strict = make_policy()
    for rule in ("get_images", "get_metadef_namespaces", "set_image_location"):
        assert legacy.allows(caller(), rule, {"project_id": "other"})
        assert not strict.allows(caller(), rule, {"project_id": "other"})
    for rule in ("publicize_image", "cache_clean", "copy_image", "fetch_image_location", "add_metadef_tag"):
        assert not legacy.allows(caller("member"), rule, {"project_id": "mine"})


def test_overrides_have_no_old_defaults(make_policy) -> None:
    policy = make_policy({"policy.yaml": '"get_images": "role:boss"'}, enforce_new_defaults=False)
    assert not policy.allows(caller("member"), "get_images", {"project_id": "mine"})


def test_the_old_default_follows_the_rule_that_it_names(make_policy) -> None:
    files = {"policy.yaml": '"manage_image_cache": "role:cache"\n"default": "!"'}
    assert make_policy(files, enforce_new_defaults=False).allows(caller("cache"), "cache_list", {})
    assert not make_policy(files).allows(caller("cache"), "cache_list", {})
    legacy = make_policy(files, enforce_new_defaults=False)
    assert not legacy.allows(caller("member"), "get_images", {"project_id": "other"})


@pytest.mark.parametrize(
    ("files", "role", "allowed"),
    [
        ({"policy.yaml": '"old_name": "role:custom"'}, "custom", True),
        ({"policy.yaml": '"old_name": "role:custom"'}, "new", False),
        ({"policy.yaml": '"old_name": "role:old"'}, "new", True),
        ({"policy.yaml": '"old_name": "rule:new_name"'}, "new", True),
        ({"policy.yaml": '"old_name": "role:custom"\n"new_name": "role:both"'}, "custom", False),
        ({}, "old", False),
    ],
)
def test_rules_that_were_renamed(make_policy, files: dict[str, str], role: str, allowed: bool) -> None:
    renamed = RuleDefault("new_name", "role:new", "test", Deprecated("role:old", "Xena", "old_name"))
    policy = make_policy(files, defaults=(RuleDefault("default", "!", "test"), renamed))
    assert policy.allows(caller(role), "new_name", {}) is allowed


def test_renamed_rules_with_old_defaults(make_policy) -> None:
    renamed = RuleDefault("new_name", "role:new", "test", Deprecated("role:old", "Xena", "old_name"))
    policy = make_policy(defaults=(renamed,), enforce_new_defaults=False)
    assert policy.allows(caller("old"), "new_name", {})
    assert policy.allows(caller("new"), "new_name", {})
