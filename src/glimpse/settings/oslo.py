"""Reading of configuration files, the environment and the command line, through oslo.config.

The only module that imports oslo.config. Later sources take precedence: defaults, files in order, environment, command
line.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import msgspec
from oslo_config import cfg, iniparser, types

from glimpse.settings.errors import Problems, SettingsError
from glimpse.settings.options import Option
from glimpse.settings.own_options import SECTION as OWN_SECTION

# oslo.config logs former names of options; `glimpse config check` reports them, so starts should not.
logging.getLogger("oslo_config.cfg").addHandler(logging.NullHandler())

OptionPlace = tuple[str, str]
ConfigOpts = cfg.ConfigOpts


class Override(msgspec.Struct, frozen=True):
    """A value from outside the files, and the name of its origin for error messages."""

    value: str
    origin: str


class Present(msgspec.Struct, frozen=True):
    """One option in a file."""

    section: str
    name: str
    value: str
    file: str


class Files(msgspec.Struct, frozen=True):
    """The configuration files in order, and their content."""

    paths: tuple[Path, ...]
    present: tuple[Present, ...]

    def sections(self) -> set[str]:
        """Names of sections that have options."""
        return {found.section for found in self.present}


def scan(paths: Sequence[Path]) -> Files:
    """Find all options in ``paths``, known or not.

    :raises SettingsError: a file cannot be read or is not a configuration file.
    """
    problems = Problems()
    present: list[Present] = []
    for path in paths:
        with problems.collecting():
            present += _scan_one(path)
    problems.raise_any()
    return Files(tuple(paths), tuple(present))


def _scan_one(path: Path) -> list[Present]:
    sections: dict[str, dict[str, list[str]]] = {}
    try:
        cfg.ConfigParser(str(path), sections).parse()
    except OSError as error:
        raise SettingsError(f"The configuration file {path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"The configuration file {path} is not UTF-8 text.") from error
    except iniparser.ParseError as error:
        # the parser's own message contains the line, which may have a secret
        raise SettingsError(f"The configuration file {path} is invalid at line {error.lineno}: {error.msg}.") from error
    return [
        Present(normal_section(section), name.replace("-", "_"), value, str(path))
        for section, options in sections.items()
        for name, values in options.items()
        for value in values
    ]


def read(
    files: Files,
    options: Iterable[Option],
    environ: Mapping[str, str],
    command_line: Mapping[OptionPlace, Override],
    problems: Problems | None = None,
) -> dict[OptionPlace, Any]:
    """Return the values of all ``options`` that are set.

    Invalid values are reported in ``problems`` and omitted.

    :raises SettingsError: there are invalid values, and no ``problems``.
    """
    collected = Problems() if problems is None else problems
    options = tuple(options)
    conf = _registered(options)
    conf(
        args=[], prog="glimpse", default_config_files=[str(p) for p in files.paths], default_config_dirs=[],
        use_env=False,
    )  # fmt: skip
    values: dict[OptionPlace, Any] = {}
    for option in options:
        given = command_line.get(option.place) or _from_environment(option, environ)
        with collected.collecting():
            value = _value(conf, option, given, files)
            if value is not None:
                values[option.place] = value
    if problems is None:
        collected.raise_any()
    return values


def library_configuration(*, process_wide: bool = False) -> cfg.ConfigOpts:
    """Return a configuration object for a library that reads its options itself; :func:`give` fills it.

    ``process_wide`` is for libraries that only use the global object of the process.
    """
    return cfg.CONF if process_wide else cfg.ConfigOpts()


def give(conf: cfg.ConfigOpts, section: str, options: Iterable[cfg.Opt], texts: Mapping[str, str]) -> None:
    """Register a library's ``options`` and set those in ``texts``, including former names.

    :raises SettingsError: a value does not have the option's type.
    """
    for option in options:
        conf.register_opt(option, group=section)
        conf.clear_override(option.dest, group=section)
        names = (option.dest, *(old.name.replace("-", "_") for old in option.deprecated_opts if old.name))
        text = next((texts[name] for name in names if name in texts), None)
        if text is None:
            continue
        try:
            conf.set_override(option.dest, text.replace("$", "$$"), group=section)
        except ValueError as error:
            # the library's own message contains the value, which may be secret
            allowed = f"is not of the type {type(option.type).__name__}"
            raise SettingsError.of_option(section, option.dest, allowed) from error


def normal_section(section: str) -> str:
    """Normalise a section name for comparison: case does not matter, except for ``DEFAULT``."""
    return section if section == "DEFAULT" else section.lower()


def environment_name(section: str, name: str) -> str:
    """Return the environment variable that overrides an option."""
    return f"GLIMPSE_{name.upper()}" if section == OWN_SECTION else f"OS_{section.upper()}__{name.upper()}"


def variables_of_options(environ: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """Return section, option and origin of each environment variable ``OS_<SECTION>__<OPTION>``."""
    found: list[tuple[str, str, str]] = []
    for variable in sorted(environ):
        section, separator, name = variable.removeprefix("OS_").partition("__")
        if variable.startswith("OS_") and separator and section and name:
            place = section if section == "DEFAULT" else section.lower()
            found.append((place, name.lower(), f"environment variable {variable}"))
    return found


def _from_environment(option: Option, environ: Mapping[str, str]) -> Override | None:
    variable = environment_name(option.section, option.name)
    value = environ.get(variable)
    return None if value is None else Override(value, f"environment variable {variable}")


def _registered(options: Iterable[Option]) -> cfg.ConfigOpts:
    conf = cfg.ConfigOpts()
    for option in options:
        registered = _oslo_option(option)
        # oslo.config adds the name with underscores to each one with dashes, here the option itself; a second look at
        # it would double the values of repeated options
        own = (option.section, option.name)
        registered.deprecated_opts = [old for old in registered.deprecated_opts if (old.group, old.name) != own]
        conf.register_opt(registered, group=None if option.section == "DEFAULT" else option.section)
    return conf


def _oslo_option(option: Option) -> cfg.Opt:
    name = option.name
    # a file may have dashes for underscores
    others = [(option.section, name.replace("_", "-")), *option.moved_from] if "_" in name else option.moved_from
    also = [cfg.DeprecatedOpt(old_name, group=old_section) for old_section, old_name in others]
    match option.kind:
        case "string":
            return cfg.StrOpt(name, choices=list(option.choices) or None, deprecated_opts=also)
        case "integer":
            return cfg.IntOpt(name, min=_whole(option.minimum), max=_whole(option.maximum), deprecated_opts=also)
        case "number":
            return cfg.FloatOpt(name, min=option.minimum, max=option.maximum, deprecated_opts=also)
        case "boolean":
            return cfg.BoolOpt(name, deprecated_opts=also)
        case "list":
            return cfg.ListOpt(name, deprecated_opts=also)
        case "bounded":
            return cfg.Opt(name, type=_Bounded(), deprecated_opts=also)
        case "map":
            return cfg.DictOpt(name, deprecated_opts=also)
        case "multi":
            return cfg.MultiStrOpt(name, deprecated_opts=also)


class _Bounded(types.List):
    """A list that Glance wants in square brackets; here it may also be without them (imports-and-stores 12)."""

    def __call__(self, value: Any) -> list[Any]:
        """:raises ValueError: only one of the two brackets is there."""
        if isinstance(value, str):
            value = value.strip()
            if value.startswith("[") != value.endswith("]"):
                raise ValueError(value)
            value = value.removeprefix("[").removesuffix("]")
        return super().__call__(value)


def _whole(bound: float | None) -> int | None:
    return None if bound is None else int(bound)


def _value(conf: cfg.ConfigOpts, option: Option, given: Override | None, files: Files) -> Any:
    group = None if option.section == "DEFAULT" else option.section
    reason = None
    value = None
    try:
        if given is not None:
            conf.set_override(option.name, [given.value] if option.kind == "multi" else given.value, group=group)
        value = (conf if group is None else conf[group])[option.name]
        if option.kind == "multi" and value is not None:
            value = [entry for entry in value if entry]
    except (cfg.NoSuchOptError, cfg.NoSuchGroupError, cfg.TemplateSubstitutionError):
        reason = "refers to an unknown option after a $; write $$ for a dollar sign"
    except ValueError:
        reason = option.allowed()
    if reason is None and value is not None and option.check is not None:
        reason = option.check(value)
    if reason is not None:
        raise _error(option, given, files, reason)
    return value


def _error(option: Option, given: Override | None, files: Files, reason: str) -> SettingsError:
    text, origin = (given.value, given.origin) if given is not None else _found(option, files)
    return SettingsError.of_option(
        option.section, option.name, reason, value=None if option.secret else text, origin=origin
    )


def _found(option: Option, files: Files) -> tuple[str | None, str | None]:
    places = {(normal_section(option.section), option.name), *option.moved_from}
    for found in reversed(files.present):
        if (found.section, found.name) in places:
            return found.value, found.file
    return None, None


# ------------------------------- Options of other libraries' sections, in the form in which those libraries want them
# oslo.messaging, castellan and keystoneauth register their options themselves and read them from a ``ConfigOpts``.
# Those whose registration is out of reach get one of their own here, made of all the texts of their sections
# (configuration 5).


def library_conf(sections: Mapping[str, Mapping[str, str]]) -> cfg.ConfigOpts:
    """Create a ``ConfigOpts`` with the values of ``sections`` before their options are registered.

    ``sections`` maps sections to options to values, in which a ``$`` is literal; see ``settings.model.Sections``.

    Files, environment and command line are not read.
    """
    # oslo.config reads values of unregistered options only from files; this one is never on disk
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
    """Read every option that a library has registered in a section.

    :raises SettingsError: a value has the wrong type.
    """
    for section, options in cast("Mapping[str, object]", conf).items():
        if isinstance(options, Mapping):
            _check_section(section, cast("Mapping[str, object]", options))


def _check_section(section: str, options: Mapping[str, object]) -> None:
    for name in options:
        try:
            options[name]
        except ValueError as error:
            # its message contains the value, which may be secret
            raise SettingsError.of_option(section, name, "has the wrong type") from error


def _written(sections: Mapping[str, Mapping[str, str]]) -> str:
    lines: list[str] = []
    for section, options in sections.items():
        lines.append(f"[{section}]")
        lines += [_line(name, text.replace("$", "$$")) for name, text in options.items()]
    return "\n".join(lines) + "\n"


def _line(name: str, text: str) -> str:
    first, *more = text.split("\n")
    # reading removes one pair of quotes, so the value keeps its own quotes and leading and trailing spaces
    return "\n".join([f'{name} = "{first}"', *(f" {line}" for line in more)])
