"""Who may create, read, change and delete which custom properties (images-api 8.4; configuration 9).

The file is read once, at start. Its section names are regular expressions that are searched in the property's name. The
first match decides; without a match, nobody may do anything.
"""

from __future__ import annotations

import configparser
import logging
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

import msgspec

from glimpse.context import Context
from glimpse.domain.image import Image
from glimpse.domain.properties import INTERNAL_PREFIX, label
from glimpse.errors import Forbidden
from glimpse.policy.base import Policy
from glimpse.settings.errors import SettingsError
from glimpse.settings.model import PolicySettings

LOG = logging.getLogger(__name__)

ACTIONS = ("create", "read", "update", "delete")

Allows = Callable[[Context], bool]

#: Maximum number of names whose section is cached; clients choose the names of properties.
_MOST_NAMES = 4096


class PropertyProtectionError(SettingsError):
    """The file is invalid; ``str(error)`` is one line that names the file, the section and the problem."""


class Section(msgspec.Struct, frozen=True):
    """One section of the file: which names it applies to, and who may do what with them."""

    pattern: re.Pattern[str]
    in_any_case: re.Pattern[str]
    rules: Mapping[str, Allows]


class PropertyProtection:
    """Decides about custom properties; administrators are not exempt. Thread-safe."""

    def __init__(self, sections: Sequence[Section]) -> None:
        self._sections = tuple(sections)
        self._of_name: dict[str, Section | None] = {}

    def allows(self, context: Context, action: str, name: str) -> bool:
        """Tell whether the caller may do ``action``, one of :data:`ACTIONS`, with the property ``name``.

        Internal properties are not protected here; other code prevents clients from writing them.
        """
        if name.startswith(INTERNAL_PREFIX):
            return True
        section = self._section(name)
        return section is not None and section.rules[action](context)

    def require(self, context: Context, action: str, name: str) -> None:
        """:raises Forbidden: the caller may not do ``action`` with the property ``name``."""
        if not self.allows(context, action, name):
            self.refuse(action, name)

    def refuse(self, action: str, name: str) -> NoReturn:
        """:raises Forbidden: always, as in :meth:`require`."""
        raise Forbidden(f"You are not allowed to {action} the property {label(name)}.")

    def unreadable(self, context: Context, images: Iterable[Image]) -> frozenset[str]:
        """Return the names of properties of ``images`` that the caller may not read; each name is decided once."""
        names = {name for image in images for name in image.properties}
        return frozenset(name for name in names if not self.allows(context, "read", name))

    def readable(self, context: Context, images: Sequence[Image]) -> list[Image]:
        """Return ``images`` with only the properties that the caller may read."""
        unreadable = self.unreadable(context, images)
        return [image if unreadable.isdisjoint(image.properties) else _without(unreadable, image) for image in images]

    def may_filter(self, context: Context, name: str) -> bool:
        """Tell whether a list may filter by the property ``name`` (images-api 3.4.3).

        Databases may match other spellings of the name: MySQL ignores case and trailing blanks, and treats some
        different characters as equal. So all properties that the name might match must be readable.
        """
        if name.startswith(INTERNAL_PREFIX):
            return True
        if not self.allows(context, "read", name):
            return False
        plain = name.rstrip()
        certain = plain.isascii() and plain.isprintable()
        for section in self._sections:
            if (not certain or section.in_any_case.search(plain)) and not section.rules["read"](context):
                return False
            if certain and section.pattern.search(name):
                return True
        return True

    def _section(self, name: str) -> Section | None:
        if name in self._of_name:
            return self._of_name[name]
        found = next((section for section in self._sections if section.pattern.search(name)), None)
        if len(self._of_name) >= _MOST_NAMES:
            self._of_name.clear()
        self._of_name[name] = found
        return found


def build_property_protection(settings: PolicySettings, policy: Policy) -> PropertyProtection | None:
    """Read ``property_protection_file``; None if the option is not set.

    :raises PropertyProtectionError: the file is missing, unreadable or invalid.
    """
    if not settings.property_protection_file:
        return None
    path = _find(settings)
    by_policies = settings.property_protection_rule_format == "policies"
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(path.read_text(encoding="utf-8"), source=str(path))
    except OSError as error:
        raise PropertyProtectionError(f"{path}: cannot be read: {error.strerror}") from error
    except (configparser.Error, UnicodeDecodeError) as error:
        raise PropertyProtectionError(f"{path}: {' '.join(str(error).split())}") from error
    sections: list[Section] = []
    for name in parser.sections():
        if name.startswith(INTERNAL_PREFIX):
            LOG.warning("%s: [%s] has no effect: these properties belong to the service", path, name)
            continue
        sections.append(_section(path, name, parser[name], policy if by_policies else None))
    return PropertyProtection(sections)


def _find(settings: PolicySettings) -> Path:
    path = Path(settings.property_protection_file or "").expanduser()
    candidates = [path] if path.is_absolute() else [directory / path for directory in settings.config_dirs]
    found = next((candidate for candidate in candidates if candidate.exists()), None)
    if found is None:
        sought = ", ".join(str(directory) for directory in settings.config_dirs) or "no directory"
        where = "" if path.is_absolute() else f" (looked up in {sought})"
        raise PropertyProtectionError(f"property_protection_file = {path}: no such file{where}")
    return found


def _section(path: Path, name: str, content: Mapping[str, str], policy: Policy | None) -> Section:
    where = f"{path}: [{name}]"
    try:
        pattern, in_any_case = re.compile(name), re.compile(name, re.IGNORECASE)
    except re.error as error:
        raise PropertyProtectionError(f"{where}: is not a regular expression: {error}") from error
    rules: dict[str, Allows] = {}
    for action in ACTIONS:
        if action not in content:
            LOG.warning("%s: line %s is missing, so nobody may %s these properties", where, action, action)
        words = [word.strip() for word in content.get(action, "").split(",")]
        words = [word for word in words if word]
        if "@" in words and "!" in words:
            raise PropertyProtectionError(f"{where} {action}: has both @ (everybody) and ! (nobody)")
        rules[action] = _by_roles(words) if policy is None else _by_policy(f"{where} {action}", words, policy)
    return Section(pattern, in_any_case, rules)


def _everybody(_context: Context) -> bool:
    return True


def _nobody(_context: Context) -> bool:
    return False


def _by_roles(words: Sequence[str]) -> Allows:
    if "@" in words:
        return _everybody
    if "!" in words:
        return _nobody
    roles = frozenset(word.lower() for word in words)
    return lambda context: not roles.isdisjoint(context.roles) or not roles.isdisjoint(context.service_roles)


def _by_policy(where: str, words: Sequence[str], policy: Policy) -> Allows:
    if len(words) > 1:
        raise PropertyProtectionError(f"{where}: lists {len(words)} policy rules instead of one")
    if not words or words == ["!"]:
        return _nobody
    if words == ["@"]:
        return _everybody
    [rule] = words
    return lambda context: policy.allows(context, rule, {})


def _without(names: frozenset[str], image: Image) -> Image:
    kept = {name: text for name, text in image.properties.items() if name not in names}
    return msgspec.structs.replace(image, properties=kept)
