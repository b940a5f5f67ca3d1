"""``glimpse policy``: shows the rules in force, and explains why a rule allows or refuses (images-api 8)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import click
import msgspec

from glimpse.cli.config_options import config_options, settings_or_exit
from glimpse.context import Context
from glimpse.domain.clock import now
from glimpse.domain.image import Image
from glimpse.domain.status import Status, Visibility
from glimpse.errors import Unavailable
from glimpse.policy.effective import EffectiveRule, RulesInForce
from glimpse.policy.explain import ADMIN_RULE, Explanation, Step, decisive, explain
from glimpse.policy.target import image_target
from glimpse.settings.errors import SettingsError

#: Exit code of ``explain`` for a refusal.
REFUSED = 3

#: Attributes of the target that are always shown.
_SHOWN = ("owner", "visibility", "member_id")

_JOINED = {"and": "all of", "or": "any of", "not": "not"}


@click.group()
def policy() -> None:
    """Show the policy rules in force, and explain what they decide."""


@policy.command(name="list")
@config_options
@click.option("--json", "json_form", is_flag=True, help="Print JSON.")
def list_(config_files: tuple[Path, ...], config_dirs: tuple[Path, ...], data_dir: str | None, json_form: bool) -> None:
    """Print all rules in force, and where they come from.

    "default": the rule is not overridden. "default or deprecated": the former default applies too, because of
    enforce_new_defaults = false. A path: the policy file that contains the rule.
    """
    rules = _rules(config_files, config_dirs, data_dir).rules()
    if json_form:
        click.echo(msgspec.json.encode(rules))
        return
    for rule in rules:
        comment = f"{rule.origin}; protects: {rule.action}" if rule.action else rule.origin
        click.echo(f"# {comment}\n{_as_yaml(rule)}\n")


@policy.command()
@config_options
@click.argument("rule")
def show(config_files: tuple[Path, ...], config_dirs: tuple[Path, ...], data_dir: str | None, rule: str) -> None:
    """Print one rule, what it protects, where it comes from, and its former default."""
    rules = _rules(config_files, config_dirs, data_dir)
    if not rules.known(rule):
        raise click.ClickException(_no_such_rule(rules, rule))
    found = rules.rule(rule)
    for name, value in (
        ("rule", found.name),
        ("check", found.check or "@ (everybody)"),
        ("from", found.origin),
        ("protects", found.action),
        ("default", (found.default or "@ (everybody)") if found.default is not None else None),
        ("formerly", found.deprecated),
    ):
        if value is not None:
            click.echo(f"{name:<9} {value}")


@policy.command(name="explain")
@config_options
@click.argument("rule")
@click.option("--user", help="User id of the caller.")
@click.option("--project", help="Project id of the caller. [default: no project]")
@click.option("--role", "roles", multiple=True, help="A role of the caller. May be repeated.")
@click.option(
    "--service-role",
    "service_roles",
    multiple=True,
    help="A role of the service that acts for the caller. May be repeated.",
)
@click.option("--domain", help="The caller's identity is scoped to this domain.")
@click.option("--system", is_flag=True, help="The caller's identity is scoped to the system.")
@click.option("--image-owner", help="Project that owns the image. [default: the caller's]")
@click.option(
    "--visibility",
    type=click.Choice([str(one) for one in Visibility]),
    default="shared",
    help="Visibility of the image. [default: shared]",
)
@click.option(
    "--target",
    "extra",
    multiple=True,
    metavar="NAME=VALUE",
    help="Another attribute or property of the image. May be repeated.",
)
def explain_(
    config_files: tuple[Path, ...],
    config_dirs: tuple[Path, ...],
    data_dir: str | None,
    rule: str,
    user: str | None,
    project: str | None,
    roles: tuple[str, ...],
    service_roles: tuple[str, ...],
    domain: str | None,
    system: bool,
    image_owner: str | None,
    visibility: str,
    extra: tuple[str, ...],
) -> None:
    """Tell whether RULE allows a caller to do something to an image, and which parts of which rules decide.

    The exit code is 0 if it allows, 3 if it refuses, 1 if there is no such rule.
    """
    rules = _rules(config_files, config_dirs, data_dir)
    if not rules.known(rule):
        raise click.ClickException(_no_such_rule(rules, rule))
    caller = Context(
        request_id="",
        user_id=user,
        project_id=project,
        roles=frozenset(role.lower() for role in roles),
        service_roles=frozenset(role.lower() for role in service_roles),
        domain_id=domain,
        system_scope="all" if system else None,
    )
    try:
        added = _pairs(extra)
        if rule != ADMIN_RULE:  # which is decided before the caller counts as an administrator
            is_admin = explain(rules, ADMIN_RULE, caller, {}).allowed
            caller = msgspec.structs.replace(caller, is_admin=is_admin)
        target = {**_image_target(caller, image_owner, Visibility(visibility)), **added}
        explanation = explain(rules, rule, caller, target)
    except Unavailable as error:
        raise click.ClickException(str(error)) from error
    shown = ", ".join(f"{name} {target[name]}" for name in dict.fromkeys((*_SHOWN, *added)))
    _print(rules, rule, caller, shown, explanation)
    if not explanation.allowed:
        raise SystemExit(REFUSED)


def _rules(config_files: tuple[Path, ...], config_dirs: tuple[Path, ...], data_dir: str | None) -> RulesInForce:
    settings = settings_or_exit(config_files, config_dirs, data_dir).settings
    try:
        return RulesInForce(settings.policy)
    except SettingsError as error:
        raise click.ClickException(str(error)) from error


def _as_yaml(rule: EffectiveRule) -> str:
    # JSON is valid YAML
    return f"{msgspec.json.encode(rule.name).decode()}: {msgspec.json.encode(rule.check).decode()}"


def _no_such_rule(rules: RulesInForce, name: str) -> str:
    similar = rules.similar(name)
    hint = f" Did you mean {' or '.join(similar)}?" if similar else ""
    return f"There is no rule {name}; the rule {rules.settings.policy_default_rule} applies instead.{hint}"


def _image_target(caller: Context, owner: str | None, visibility: Visibility) -> dict[str, object]:
    moment = now()
    image = Image(
        id="00000000-0000-0000-0000-000000000000",
        owner=caller.project_id if owner is None else owner,
        visibility=visibility,
        status=Status.ACTIVE,
        created_at=moment,
        updated_at=moment,
    )
    return image_target(caller, image, None)


def _pairs(extra: Sequence[str]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for pair in extra:
        name, separator, value = pair.partition("=")
        if not separator:
            raise click.BadParameter(f"{pair!r} must have the form NAME=VALUE.", param_hint="--target")
        pairs[name] = value
    return pairs


def _print(rules: RulesInForce, rule: str, caller: Context, shown: str, explanation: Explanation) -> None:
    click.echo(f"{rule}: {'allowed' if explanation.allowed else 'NOT allowed'}")
    scope = ", scoped to a domain" if caller.domain_id else ", scoped to the system" if caller.system_scope else ""
    roles = ", ".join(sorted(caller.roles)) or "none"
    click.echo(f"\ncaller  user {caller.user_id}, project {caller.project_id}, roles {roles}{scope}")
    click.echo(f"target  {shown}\n")
    for line in _lines(rules, explanation.step, 0):
        click.echo(line)
    parts = dict.fromkeys(f"{part.text} (rule {part.rule})" for part in decisive(explanation.step))
    click.echo(f"\nThe rule {'holds' if explanation.step.holds else 'does not hold'} because of: {', '.join(parts)}")
    if explanation.hindrance:
        click.echo(f"But {explanation.hindrance}.")


def _lines(rules: RulesInForce, step: Step, depth: int) -> Iterator[str]:
    """Format the tree, one part per line: yes or no, the part, and why."""
    answer = f"{'yes' if step.holds else 'no':<4}{'  ' * depth}"
    if step.refers_to is not None:
        origin = f" [{rules.rule(step.refers_to).origin}]" if rules.known(step.refers_to) else f"   {step.why}"
        yield f"{answer}{step.text}{origin}"
    elif step.joined:
        yield answer + _JOINED[step.joined]
    else:
        yield f"{answer}{step.text}   {step.why}"
    for part in step.parts:
        yield from _lines(rules, part, depth + 1)
