"""The property protection file, and its decisions (images-api 8.4; configuration 9)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from glimpse.context import Context
from glimpse.errors import Forbidden
from glimpse.policy.engine import OsloPolicy
from glimpse.policy.property_protection import (
    ACTIONS,
    PropertyProtection,
    PropertyProtectionError,
    build_property_protection,
)
from glimpse.settings.model import PolicySettings
from tests.unit.policy.callers import caller, image

Protect = Callable[..., PropertyProtection]

MEMBER, BILLING, ADMIN = caller("member"), caller("billing", "reader"), caller("admin")


def four(create: str = "@", read: str = "@", update: str = "@", delete: str = "@") -> str:
    return f"create = {create}\nread = {read}\nupdate = {update}\ndelete = {delete}\n"


@pytest.fixture
def protect(tmp_path: Path) -> Protect:
    """The protections of a file of this text; ``rules`` is the content of policy.yaml."""

    def make(text: str | bytes, form: str = "roles", rules: str = "", **options: Any) -> PropertyProtection:
        (tmp_path / "protections.conf").write_bytes(text if isinstance(text, bytes) else text.encode())
        (tmp_path / "policy.yaml").write_text(rules)
        settings = PolicySettings(
            config_dirs=(tmp_path,), property_protection_file="protections.conf",
            property_protection_rule_format=form, **options,
        )  # fmt: skip
        made = build_property_protection(settings, OsloPolicy(settings))
        assert made is not None
        return made

    return make


def allowed(protections: PropertyProtection, context: Context, name: str) -> str:
    """The initials of the actions that the caller may do."""
    return "".join(action[0] for action in ACTIONS if protections.allows(context, action, name))


def test_nothing_is_configured() -> None:
    settings = PolicySettings()
    assert build_property_protection(settings, OsloPolicy(settings)) is None


EXAMPLE = """
# billing is not for everybody
[^billing_.*]
create = admin,billing
read = @
update = admin
delete = !

[secret]
create = Billing , other
read = BILLING
update =
delete = !,admin

[.*]
create = @
read = @
update = @, nobody
delete = member
"""


class TestRoles:
    def test_the_example(self, protect: Protect) -> None:
        protections = protect(EXAMPLE)
        assert allowed(protections, MEMBER, "billing_code") == "r"
        assert allowed(protections, BILLING, "billing_code") == "cr"
        assert allowed(protections, ADMIN, "billing_code") == "cru"

    def test_names_are_searched_and_the_first_section_decides(self, protect: Protect) -> None:
        protections = protect(EXAMPLE)
        # anchored by the pattern alone
        assert allowed(protections, MEMBER, "my_billing_code") == "crud"
        assert allowed(protections, MEMBER, "billing_secret") == "r"
        assert allowed(protections, MEMBER, "top_secret_thing") == ""

    def test_roles_in_any_case_and_of_services(self, protect: Protect) -> None:
        protections = protect(EXAMPLE)
        assert allowed(protections, BILLING, "secret") == "cr"
        assert allowed(protections, caller("member", service_roles=frozenset({"billing"})), "secret") == "cr"
        assert allowed(protections, caller(), "secret") == ""

    def test_admins_have_no_exemption(self, protect: Protect) -> None:
        assert allowed(protect(EXAMPLE), ADMIN, "secret") == ""
        assert allowed(protect(f"[x]\n{four('!', '!', '!', '!')}"), ADMIN, "x") == ""

    def test_no_section_means_nobody(self, protect: Protect) -> None:
        assert allowed(protect(f"[^a$]\n{four()}"), ADMIN, "b") == ""
        assert allowed(protect(""), ADMIN, "b") == ""

    def test_everybody_needs_no_role(self, protect: Protect) -> None:
        assert allowed(protect(f"[x]\n{four()}"), caller(), "x") == "crud"

    def test_case_of_names(self, protect: Protect) -> None:
        protections = protect(f"[^Secret$]\n{four(read='admin')}[.*]\n{four()}")
        assert allowed(protections, MEMBER, "Secret") == "cud"
        assert allowed(protections, MEMBER, "secret") == "crud"

    def test_internal_properties_are_free(self, protect: Protect, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.WARNING):
            protections = protect(f"[os_glance_.*]\n{four('!', '!', '!', '!')}[.*]\n{four('!', '!', '!', '!')}")
        assert "[os_glance_.*] has no effect" in caplog.text
        assert allowed(protections, caller(), "os_glance_failed_import") == "crud"
        # only where the name begins so
        assert allowed(protections, caller(), "my_os_glance_x") == ""

    def test_lines_of_the_default_section_count_for_all(self, protect: Protect) -> None:
        protections = protect(f"[DEFAULT]\n{four('!', '@', '!', '!')}[a]\ncreate = member\n[b]\n")
        assert allowed(protections, MEMBER, "a") == "cr"
        assert allowed(protections, MEMBER, "b") == "r"
        assert allowed(protections, MEMBER, "c") == ""

    def test_a_missing_line_means_nobody_with_a_warning(
        self, protect: Protect, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.WARNING):
            protections = protect("[a]\ncreate = @\nread = @\nupdate = @\n")
        assert allowed(protections, ADMIN, "a") == "cru"
        assert "[a]: line delete is missing" in caplog.text

    def test_percent_signs_mean_nothing(self, protect: Protect) -> None:
        assert allowed(protect(f"[a%b]\n{four(read='%(role)s')}"), MEMBER, "a%b") == "cud"


RULES = """
billing: "role:billing"
in_my_project: "project_id:mine"
of_owner: "project_id:%(project_id)s"
"""


class TestPolicies:
    def test_rules_decide(self, protect: Protect) -> None:
        protections = protect(f"[x]\n{four('billing', '@', 'context_is_admin', '!')}", "policies", RULES)
        assert allowed(protections, MEMBER, "x") == "r"
        assert allowed(protections, BILLING, "x") == "cr"
        assert allowed(protections, ADMIN, "x") == "ru"

    def test_the_target_is_empty(self, protect: Protect) -> None:
        protections = protect(f"[x]\n{four('in_my_project', 'of_owner', '', '!')}", "policies", RULES)
        assert allowed(protections, MEMBER, "x") == "c"
        assert allowed(protections, caller("member", project="other"), "x") == ""

    def test_a_rule_that_does_not_exist_is_the_default_rule(self, protect: Protect) -> None:
        text = f"[x]\n{four('nowhere', 'nowhere', 'nowhere', 'nowhere')}"
        assert allowed(protect(text, "policies"), MEMBER, "x") == "crud"
        assert allowed(protect(text, "policies", "default: '!'"), MEMBER, "x") == ""

    def test_one_rule_for_each_line(self, protect: Protect) -> None:
        with pytest.raises(PropertyProtectionError, match=r"\[x\] read: lists 2 policy rules"):
            protect(f"[x]\n{four(read='billing, default')}", "policies", RULES)

    def test_policy_files_are_read_again(self, protect: Protect, tmp_path: Path) -> None:
        (tmp_path / "policy.yaml").write_text("readers: '!'")
        (tmp_path / "protections.conf").write_text(f"[x]\n{four(read='readers')}")
        settings = PolicySettings(
            config_dirs=(tmp_path,), property_protection_file="protections.conf",
            property_protection_rule_format="policies",
        )  # fmt: skip
        protections = build_property_protection(settings, OsloPolicy(settings, reload_interval=0))
        assert protections is not None
        assert protections.allows(MEMBER, "read", "x") is False
        (tmp_path / "policy.yaml").write_text("readers: 'role:member'")
        assert protections.allows(MEMBER, "read", "x") is True


class TestBrokenFiles:
    """One line says what is wrong (images-api 8.4: refuse to start)."""

    @pytest.mark.parametrize(
        ("text", "told"),
        [
            (f"[a]\n{four(read='@,!')}", "[a] read: has both @ (everybody) and ! (nobody)"),
            (f"[a(]\n{four()}", "[a(]: is not a regular expression"),
            ("create = @\n", "no section headers"),
            ("[a]\ncreate\n", "parsing errors"),
            (f"[a]\n{four()}[a]\n{four()}", "section 'a' already exists"),
            (f"[a]\n{four()}read = !\n", "option 'read'"),
            (b"[\xff]\n", "utf-8"),
        ],
    )
    def test_content(self, protect: Protect, text: str | bytes, told: str) -> None:
        with pytest.raises(PropertyProtectionError) as caught:
            protect(text)
        assert told in str(caught.value)
        assert "protections.conf" in str(caught.value)
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize("name", ["missing.conf", "/nowhere/missing.conf"])
    def test_missing(self, tmp_path: Path, name: str) -> None:
        settings = PolicySettings(config_dirs=(tmp_path,), property_protection_file=name)
        with pytest.raises(PropertyProtectionError, match="no such file") as caught:
            build_property_protection(settings, OsloPolicy(settings))
        assert (str(tmp_path) in str(caught.value)) == (not name.startswith("/"))

    def test_without_configuration_files(self) -> None:
        settings = PolicySettings(property_protection_file="protections.conf")
        with pytest.raises(PropertyProtectionError, match="looked up in no directory"):
            build_property_protection(settings, OsloPolicy(settings))

    def test_unreadable(self, tmp_path: Path) -> None:
        settings = PolicySettings(config_dirs=(tmp_path,), property_protection_file=str(tmp_path))
        with pytest.raises(PropertyProtectionError, match="cannot be read: Is a directory"):
            build_property_protection(settings, OsloPolicy(settings))

    def test_directories_are_searched_in_order(self, tmp_path: Path) -> None:
        for number, content in enumerate((None, four("!", "!", "!", "!"), four())):
            (tmp_path / str(number)).mkdir()
            if content is not None:
                (tmp_path / str(number) / "p.conf").write_text(f"[x]\n{content}")
        settings = PolicySettings(
            config_dirs=tuple(tmp_path / str(number) for number in range(3)), property_protection_file="p.conf"
        )
        protections = build_property_protection(settings, OsloPolicy(settings))
        assert protections is not None
        assert allowed(protections, MEMBER, "x") == ""


class TestManyImages:
    def test_what_is_unreadable(self, protect: Protect) -> None:
        protections = protect(EXAMPLE)
        images = [image(properties={"a": "1", "secret": "2"}), image(properties={"a": "1"}), image()]
        assert protections.unreadable(MEMBER, images) == {"secret"}
        assert protections.unreadable(BILLING, images) == frozenset()
        shown = protections.readable(MEMBER, images)
        assert [one.properties for one in shown] == [{"a": "1"}, {"a": "1"}, {}]
        assert images[0].properties == {"a": "1", "secret": "2"}
        assert shown[1] is images[1]

    def test_a_long_list_decides_once_for_each_name(self, protect: Protect, monkeypatch: pytest.MonkeyPatch) -> None:
        protections = protect(f"[.*]\n{four(read='billing')}", "policies", RULES)
        decided: list[str] = []
        allows = OsloPolicy.allows

        def counted(policy: OsloPolicy, context: Context, rule: str, target: Any) -> bool:
            decided.append(rule)
            return allows(policy, context, rule, target)

        monkeypatch.setattr(OsloPolicy, "allows", counted)
        images = [image(properties={f"p{number % 5}": "1", "q": "2"}) for number in range(1000)]
        assert all(one.properties == {} for one in protections.readable(MEMBER, images))
        assert len(decided) == 6

    def test_names_are_not_remembered_without_end(self, protect: Protect) -> None:
        protections = protect(f"[.*]\n{four()}")
        for number in range(10_000):
            assert protections.allows(MEMBER, "read", f"p{number}")
        assert len(protections._of_name) <= 4096


def test_refusals_name_the_property(protect: Protect) -> None:
    protections = protect(EXAMPLE)
    protections.require(MEMBER, "read", "billing_code")
    with pytest.raises(Forbidden, match="not allowed to update the property 'billing_code'"):
        protections.require(MEMBER, "update", "billing_code")


class TestFilters:
    """images-api 3.4.3: a filter does not tell what is hidden, however the database compares names."""

    @pytest.mark.parametrize(
        "name", ["secret", "SECRET", "Secret  ", "secr\u00e9t", "\u017fecret", "sec\x01ret", "unknown"]
    )
    def test_names_that_may_mean_a_hidden_property(self, protect: Protect, name: str) -> None:
        protections = protect(f"[^secret$]\n{four(read='admin')}[^(?!unknown)]\n{four()}")
        assert protections.may_filter(MEMBER, name) is False

    @pytest.mark.parametrize("name", ["secrets", "os_distro", "OS_DISTRO", "a secret"])
    def test_names_that_mean_readable_ones(self, protect: Protect, name: str) -> None:
        protections = protect(f"[^open$]\n{four()}[^secret$]\n{four(read='admin')}[.*]\n{four()}")
        assert protections.may_filter(MEMBER, name) is True
        assert protections.may_filter(MEMBER, "open") is True
        assert protections.may_filter(ADMIN, "secret") is True

    def test_any_name_where_nothing_is_hidden(self, protect: Protect) -> None:
        protections = protect(f"[^secret$]\n{four(create='!')}[.*]\n{four()}")
        for name in ("secret", "SECRET", "secr\u00e9t", "gr\u00f6\u00dfe"):
            assert protections.may_filter(MEMBER, name) is True

    def test_internal_names(self, protect: Protect) -> None:
        protections = protect(f"[.*]\n{four(read='!')}")
        assert protections.may_filter(MEMBER, "os_glance_failed_import") is True
