"""``glimpse policy``: the rules in force, and why one of them allows or refuses (images-api 8)."""

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

#: What is always shown of the target.
_SHOWN = ("owner", "visibility", "member_id")

_JOINED = {"and": "all of", "or": "any of", "not": "not"}


@click.group()
def policy() -> None:
    """Show the policy rules in force, and explain what they decide."""


@policy.command(name="list")
@config_options
@click.option("--json", "json_form", is_flag=True, help="Print JSON.")
def list_(config_files: tuple[Path, ...], config_dirs: tuple[Path, ...], data_dir: str | None, json_form: bool) -> None:
    """Print every rule in force, and where it comes from.

    "default": nobody changed it. "default or deprecated": with enforce_new_defaults = false the former default counts
    as well. A path: the policy file that has it.
    """
    rules = _rules(config_files, config_dirs, data_dir).rules()
    if json_form:
        click.echo(msgspec.json.encode(rules))
        return
    for rule in rules:
        comment = f"{rule.origin}; guards: {rule.action}" if rule.action else rule.origin
        click.echo(f"# {comment}\n{_as_yaml(rule)}\n")


@policy.command()
@config_options
@click.argument("rule")
def show(config_files: tuple[Path, ...], config_dirs: tuple[Path, ...], data_dir: str | None, rule: str) -> None:
    """Print one rule, what it guards, where it comes from and what it was before."""
    rules = _rules(config_files, config_dirs, data_dir)
    if not rules.known(rule):
        raise click.ClickException(_no_such_rule(rules, rule))
    found = rules.rule(rule)
    for name, value in (
        ("rule", found.name),
        ("check", found.check or "@ (everybody)"),
        ("from", found.origin),
        ("guards", found.action),
        ("default", (found.default or "@ (everybody)") if found.default is not None else None),
        ("formerly", found.deprecated),
    ):
        if value is not None:
            click.echo(f"{name:<9} {value}")


@policy.command(name="explain")
@config_options
@click.argument("rule")
@click.option("--user", help="User id of the caller.")
@click.option("--project", help="Project id of the caller; without it, a caller without project.")
@click.option("--role", "roles", multiple=True, help="A role of the caller. May be repeated.")
@click.option("--service-role", "service_roles", multiple=True, help="A role of the service that asks for the caller.")
@click.option("--domain", help="The caller's identity is scoped to this domain.")
@click.option("--system", is_flag=True, help="The caller's identity is scoped to the system.")
@click.option("--image-owner", help="Project that owns the image; without it, the caller's.")
@click.option(
    "--visibility",
    type=click.Choice([str(one) for one in Visibility]),
    default="shared",
    help="Of the image; else shared.",
)
@click.option("--target", "extra", multiple=True, metavar="NAME=VALUE", help="Any other attribute. May be repeated.")
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
    """Say whether RULE lets a caller do something to an image, and by which part of which rule.

    Exit code 0 when it does, 3 when it does not, 1 when there is no such rule.
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
        if rule != ADMIN_RULE:  # which is decided before anybody is an administrator
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
    # every JSON text is YAML
    return f"{msgspec.json.encode(rule.name).decode()}: {msgspec.json.encode(rule.check).decode()}"


def _no_such_rule(rules: RulesInForce, name: str) -> str:
    similar = rules.similar(name)
    hint = f" Is {' or '.join(similar)} meant?" if similar else ""
    return f"There is no rule {name}; the rule {rules.settings.policy_default_rule} decides in its place.{hint}"


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
            raise click.BadParameter(f"{pair!r} is not of the form NAME=VALUE.", param_hint="--target")
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
    """The tree, one part a line: yes or no, the part, and why."""
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
