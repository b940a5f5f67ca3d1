"""Options of other libraries' sections, in the form in which those libraries want them.

oslo.messaging, castellan and keystoneauth register their options themselves and read them from a ``ConfigOpts``. Those
whose registration is out of reach get one of their own here, made of all the texts of their sections (configuration
5).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import cast

from oslo_config import cfg

from glimpse.settings.errors import SettingsError


def library_conf(sections: Mapping[str, Mapping[str, str]]) -> cfg.ConfigOpts:
    """A new ``ConfigOpts`` that knows the texts of ``sections`` before anybody has registered their options.

    ``sections`` maps sections to options to texts, in which a ``$`` is only a ``$``; see ``settings.model.Sections``.

    Neither files nor the environment nor the command line are looked at.
    """
    # oslo.config takes values of unregistered options from files alone; this one is never on a disk
    file = os.memfd_create("glimpse-options")
    try:
        os.write(file, _written(sections).encode())
        conf = cfg.ConfigOpts()
        conf(
            args=[], project="glimpse", prog="glimpse", default_config_files=[f"/proc/self/fd/{file}"],
            default_config_dirs=[], use_env=False,
        )  # fmt: skip
    finally:
        os.close(file)
    return conf


def check_library_conf(conf: cfg.ConfigOpts) -> None:
    """Read every option that a library has registered in a section by now.

    :raises SettingsError: the value of one is not of its type.
    """
    for section, options in cast("Mapping[str, object]", conf).items():
        if isinstance(options, Mapping):
            _check_section(section, cast("Mapping[str, object]", options))


def _check_section(section: str, options: Mapping[str, object]) -> None:
    for name in options:
        try:
            options[name]
        except ValueError as error:
            # its text has the value, which may be a secret
            raise SettingsError.of_option(section, name, "is not of the right type") from error


def _written(sections: Mapping[str, Mapping[str, str]]) -> str:
    lines: list[str] = []
    for section, options in sections.items():
        lines.append(f"[{section}]")
        lines += [_line(name, text.replace("$", "$$")) for name, text in options.items()]
    return "\n".join(lines) + "\n"


def _line(name: str, text: str) -> str:
    first, *more = text.split("\n")
    # one pair of quotes is taken off when read, so spaces at the ends and quotes of the value itself stay
    return "\n".join([f'{name} = "{first}"', *(f" {line}" for line in more)])
