"""``glimpse policy``."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from glimpse.cli.policy import policy
from glimpse.policy.rules import RULES
from tests.unit.cli.conftest import Glimpse

Conf = Callable[[str], Path]


PAGE = Path(__file__).parents[3] / "docs" / "operator" / "policy.md"


class TestThePageOfOperators:
    """docs/operator/policy.md: its examples are true."""

    def test_the_explanation(self, glimpse: Glimpse) -> None:
        [block] = re.findall(r"^```console\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
        command, _, output = block.partition("\n")
        result = glimpse(*shlex.split(command.removeprefix("$ glimpse ")))
        assert (result.exit_code, result.output) == (3, output)

    def test_the_policy_file(self, glimpse: Glimpse, conf: Conf, tmp_path: Path) -> None:
        [block] = re.findall(r"^```yaml\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
        file = conf("")
        (tmp_path / "policy.yaml").write_text(block)
        rules = json.loads(glimpse("policy", "list", "--json", "--config-file", file).output)
        changed = {rule["name"] for rule in rules if rule["origin"] != "default"}
        assert changed == {"add_member", "delete_image"}

    def test_the_property_protections(self, glimpse: Glimpse, conf: Conf, tmp_path: Path) -> None:
        [block] = re.findall(r"^```ini\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
        (tmp_path / "protections.conf").write_text(block)
        file = conf("[DEFAULT]\nproperty_protection_file = protections.conf\n")
        assert glimpse("config", "check", "--config-file", file).exit_code == 0

    def test_every_command_and_option_is_described(self) -> None:
        text = PAGE.read_text()
        for command in policy.commands.values():
            assert f"glimpse policy {command.name}" in text
        for parameter in policy.commands["explain"].params:
            for option in parameter.opts:
                if option.startswith("--") and option != "--data-dir":
                    assert option in text, option


class TestBrokenPropertyProtections:
    """The service does not start, and says why in one line (images-api 8.4)."""

    @pytest.mark.parametrize("content", [None, "[a(]\n", "no section\n"])
    @pytest.mark.parametrize("command", [("config", "check"), ("serve",)])
    def test_refused(
        self, glimpse: Glimpse, conf: Conf, tmp_path: Path, content: str | None, command: tuple[str, ...]
    ) -> None:
        if content is not None:
            (tmp_path / "protections.conf").write_text(content)
        file = conf("[DEFAULT]\nproperty_protection_file = protections.conf\n")
        result = glimpse(*command, "--config-file", file)
        assert result.exit_code == 1
        assert len(result.stderr.splitlines()) == 1
        assert "protections.conf" in result.stderr

    def test_a_form_that_does_not_exist(self, glimpse: Glimpse, conf: Conf) -> None:
        file = conf("[DEFAULT]\nproperty_protection_rule_format = both\n")
        result = glimpse("config", "check", "--config-file", file)
        assert result.exit_code == 1
        assert "must be one of roles, policies" in result.stderr


class TestList:
    def test_defaults(self, glimpse: Glimpse) -> None:
        result = glimpse("policy", "list")
        assert result.exit_code == 0
        # what is printed is a policy file that changes nothing
        assert yaml.safe_load(result.output) == {rule.name: rule.check for rule in RULES}
        assert "# default; protects: change this image\n" in result.output

    def test_files(self, glimpse: Glimpse, conf: Conf, tmp_path: Path) -> None:
        file = conf("")
        (tmp_path / "policy.yaml").write_text('modify_image: "role:editor"\nbilling: "role:billing"\nadd_image:\n')
        (tmp_path / "policy.d").mkdir()
        (tmp_path / "policy.d" / "10.yaml").write_text('{"delete_image": [["role:admin"], ["role:remover"]]}')
        result = glimpse("policy", "list", "--json", "--config-file", file)
        rules = {rule["name"]: rule for rule in json.loads(result.output)}
        assert list(rules)[:-1] == [rule.name for rule in RULES]
        assert list(rules)[-1] == "billing"
        changed = rules["modify_image"]
        assert (changed["check"], changed["origin"]) == ("role:editor", str(tmp_path / "policy.yaml"))
        assert changed["default"].startswith("rule:context_is_admin or ")
        assert (rules["add_image"]["check"], rules["add_image"]["origin"]) == ("", str(tmp_path / "policy.yaml"))
        assert rules["delete_image"]["check"] == "(role:admin or role:remover)"
        assert rules["delete_image"]["origin"] == str(tmp_path / "policy.d" / "10.yaml")
        assert (rules["billing"]["action"], rules["billing"]["default"]) == (None, None)
        assert rules["get_image"]["origin"] == "default"

    def test_the_former_defaults(self, glimpse: Glimpse, conf: Conf) -> None:
        file = conf("[oslo_policy]\nenforce_new_defaults = false\n")
        result = glimpse("policy", "list", "--json", "--config-file", file)
        rules = {rule["name"]: rule for rule in json.loads(result.output)}
        upload = rules["upload_image"]
        assert upload["check"] == f"({upload['default']}) or rule:default"
        assert upload["origin"] == "default or deprecated"
        assert rules["default"]["check"] == "(@) or rule:context_is_admin"
        assert rules["publicize_image"]["origin"] == "default"

    def test_a_broken_file(self, glimpse: Glimpse, conf: Conf, tmp_path: Path) -> None:
        file = conf("")
        (tmp_path / "policy.yaml").write_text("get_image: 'rule:get_image'")
        for command in (("list",), ("show", "get_image"), ("explain", "get_image")):
            result = glimpse("policy", *command, "--config-file", file)
            assert result.exit_code == 1
            assert len(result.stderr.splitlines()) == 1
            assert "get_image" in result.stderr


class TestShow:
    def test_a_default(self, glimpse: Glimpse) -> None:
        result = glimpse("policy", "show", "stores_info_detail")
        assert result.exit_code == 0
        assert dict(line.split(maxsplit=1) for line in result.output.splitlines()) == {
            "rule": "stores_info_detail",
            "check": "rule:context_is_admin or rule:service_api",
            "from": "default",
            "protects": "see details of stores",
            "default": "rule:context_is_admin or rule:service_api",
            "formerly": "stores_info_detail: rule:context_is_admin (until 2025.1)",
        }

    def test_an_empty_check(self, glimpse: Glimpse) -> None:
        assert "check     @ (everybody)\n" in glimpse("policy", "show", "default").output

    def test_a_rule_of_a_file(self, glimpse: Glimpse, conf: Conf, tmp_path: Path) -> None:
        file = conf("")
        (tmp_path / "policy.yaml").write_text('billing: "role:billing"\n')
        lines = glimpse("policy", "show", "billing", "--config-file", file).output.splitlines()
        assert lines == ["rule      billing", "check     role:billing", f"from      {tmp_path / 'policy.yaml'}"]

    def test_a_rule_that_does_not_exist(self, glimpse: Glimpse) -> None:
        result = glimpse("policy", "show", "modify_imag")
        assert result.exit_code == 1
        assert (
            "There is no rule modify_imag; the rule default applies instead. Did you mean modify_image" in result.stderr
        )


def asked(glimpse: Glimpse, rule: str, *arguments: object) -> tuple[int, str]:
    result = glimpse("policy", "explain", rule, *arguments)
    return result.exit_code, result.output


MEMBER = ("--user", "alice", "--project", "web", "--role", "member", "--role", "READER")
READER = ("--project", "web", "--role", "reader")


class TestExplain:
    def test_allowed(self, glimpse: Glimpse) -> None:
        code, output = asked(glimpse, "modify_image", *MEMBER)
        assert code == 0
        assert (
            output
            == """\
modify_image: allowed

caller  user alice, project web, roles member, reader
target  owner web, visibility shared, member_id None

yes rule:modify_image [default]
yes   any of
no      rule:context_is_admin [default]
no        role:admin   the roles are member, reader
yes     all of
yes       role:member   the roles are member, reader
yes       project_id:%(project_id)s   the caller's project_id is 'web', compared with 'web'

The rule holds because of: role:member (rule modify_image), project_id:%(project_id)s (rule modify_image)
"""
        )

    def test_refused(self, glimpse: Glimpse) -> None:
        code, output = asked(glimpse, "modify_image", *READER)
        assert code == 3
        assert output.startswith("modify_image: NOT allowed\n")
        assert output.endswith(
            "\nThe rule does not hold because of: role:admin (rule context_is_admin), role:member (rule modify_image)\n"
        )

    @pytest.mark.parametrize(
        ("rule", "arguments", "code"),
        [
            ("delete_image", (*MEMBER, "--image-owner", "lab"), 3),
            ("get_image", (*READER, "--image-owner", "lab"), 0),
            ("get_image", (*READER, "--image-owner", "lab", "--visibility", "private"), 3),
            ("get_image", (*READER, "--image-owner", "lab", "--visibility", "community"), 0),
            ("download_image", (*READER, "--image-owner", "lab"), 3),
            ("modify_member", (*MEMBER, "--image-owner", "lab"), 0),
            ("modify_member", MEMBER, 3),
            ("publicize_image", MEMBER, 3),
            ("publicize_image", ("--role", "Admin"), 0),
            ("fetch_image_location", ("--role", "service"), 0),
            ("fetch_image_location", ("--service-role", "service"), 3),
            ("add_image", MEMBER, 0),
            ("add_image", (*MEMBER, "--image-owner", "lab"), 3),
            ("get_images", READER, 0),
            ("get_image", (*MEMBER, "--system"), 3),
            ("get_image", ("--role", "admin", "--domain", "d"), 3),
            ("default", (), 0),
        ],
    )
    def test_answers(self, glimpse: Glimpse, rule: str, arguments: Any, code: int) -> None:
        assert asked(glimpse, rule, *arguments)[0] == code

    def test_other_attributes(self, glimpse: Glimpse, conf: Conf, tmp_path: Path) -> None:
        file = conf("")
        (tmp_path / "policy.yaml").write_text(
            "delete_image: \"role:member and not 'yes':%(keep)s\"\nmodify_image: 'plan:%(plan)s or (!)'\n"
        )
        config = ("--config-file", file)
        code, output = asked(glimpse, "delete_image", *MEMBER, "--target", "keep=yes", *config)
        assert code == 3
        assert "keep yes\n" in output
        assert "yes       'yes':%(keep)s   compared with 'yes'" in output
        assert "because of: not 'yes':%(keep)s (rule delete_image)" in output
        code, output = asked(glimpse, "delete_image", *MEMBER, *config)
        assert code == 0
        assert "compared with the target has no keep" in output
        assert f"rule:delete_image [{tmp_path / 'policy.yaml'}]" in output
        code, output = asked(glimpse, "modify_image", *MEMBER, "--target", "plan=gold", *config)
        assert code == 3
        assert "the caller has no plan" in output
        assert "!   never" in output

    def test_a_target_that_is_no_pair(self, glimpse: Glimpse) -> None:
        result = glimpse("policy", "explain", "get_image", "--target", "keep")
        assert result.exit_code == 2
        assert "NAME=VALUE" in result.stderr

    def test_a_rule_that_does_not_exist(self, glimpse: Glimpse) -> None:
        result = glimpse("policy", "explain", "get_imges", *READER)
        assert result.exit_code == 1
        assert result.stdout == ""
        assert "There is no rule get_imges; the rule default applies instead. Did you mean get_images" in result.stderr

    def test_scopes(self, glimpse: Glimpse) -> None:
        _, output = asked(glimpse, "get_image", "--role", "admin", "--system")
        assert "scoped to the system" in output
        assert "But every rule refuses an identity that is scoped to the system or to a domain." in output

    def test_ownership_in_legacy_mode(self, glimpse: Glimpse, conf: Conf) -> None:
        """images-api 8.3."""
        config = ("--config-file", conf("[oslo_policy]\nenforce_new_defaults = false\n"))
        assert asked(glimpse, "modify_image", *READER, *config)[0] == 0
        code, output = asked(glimpse, "modify_image", *READER, "--image-owner", "lab", *config)
        assert code == 3
        assert "ownership decides too, and it refuses" in output
        assert asked(glimpse, "modify_image", "--role", "admin", "--image-owner", "lab", *config)[0] == 0
