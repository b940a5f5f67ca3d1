"""The users file of auth ``basic``, with the project and roles of each user."""

from __future__ import annotations

import configparser
from collections.abc import Mapping
from pathlib import Path

from glimpse.auth.base import AuthSettingsError, Identity
from glimpse.auth.htpasswd import name_fault

#: The section with defaults for all users.
FOR_ALL = "*"

_KEYS = frozenset({"project", "roles"})
_DEFAULT_ROLES = "member, reader"


class Users:
    """The identities of users. By default, a user has a project with the user's own name and may use images in it."""

    def __init__(self, sections: Mapping[str, Mapping[str, str]], defaults: Mapping[str, str]) -> None:
        """``sections`` by user name, already merged with the ``defaults``."""
        self._sections = sections
        self._defaults = defaults

    def identity(self, name: str) -> Identity:
        """Return the identity of user ``name``."""
        values = self._sections.get(name, self._defaults)
        roles = values.get("roles", _DEFAULT_ROLES)
        return Identity(user_id=name, project_id=values.get("project", name), roles=split_roles(roles))

    def names(self) -> frozenset[str]:
        """Users listed in the file."""
        return frozenset(self._sections)


def split_roles(text: str) -> frozenset[str]:
    """Split a comma-separated list of roles, in lower case."""
    return frozenset(role.strip().lower() for role in text.split(",") if role.strip())


def read_users(path: Path | None) -> Users:
    """Read the users; without a file the defaults apply to everybody.

    :raises AuthSettingsError: the file cannot be read or is invalid.
    """
    if path is None:
        return Users({}, {})
    parser = configparser.ConfigParser(
        default_section=FOR_ALL, interpolation=None, delimiters=("=",), comment_prefixes=("#", ";")
    )
    try:
        parser.read_string(path.read_text(encoding="utf-8"), source=str(path))
    except OSError as error:
        raise AuthSettingsError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise AuthSettingsError(f"{path}: is not UTF-8 text") from error
    except configparser.Error as error:
        raise AuthSettingsError(f"{path}: {' '.join(str(error).split())}") from error
    for name in parser.sections():
        fault = name_fault(name)
        if fault is not None:
            raise AuthSettingsError(f"{path}: the user name {name!r} {fault}")
        _check(path, name, parser[name])
    _check(path, FOR_ALL, parser.defaults())
    return Users({name: dict(parser[name]) for name in parser.sections()}, dict(parser.defaults()))


def _check(path: Path, section: str, values: Mapping[str, str]) -> None:
    unknown = sorted(set(values) - _KEYS)
    if unknown:
        raise AuthSettingsError(f"{path}: [{section}] has the unknown key {unknown[0]}; the keys are project and roles")
    fault = name_fault(values["project"]) if "project" in values else None
    if fault is not None:
        raise AuthSettingsError(f"{path}: [{section}] the project {fault}")
    if not values.get("roles", _DEFAULT_ROLES).isprintable():
        raise AuthSettingsError(f"{path}: [{section}] the roles contain characters that are not allowed")
