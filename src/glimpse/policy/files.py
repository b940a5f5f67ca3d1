"""The operator's policy files: finds them, detects changes and reads them (configuration 8)."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import msgspec
import yaml

from glimpse.settings.errors import SettingsError
from glimpse.settings.model import PolicySettings

#: A rule in a file: text of the policy language, or the older form, a list of lists of checks.
RuleText = str | list[object]


class FileRule(msgspec.Struct, frozen=True):
    """One rule of one file."""

    text: RuleText
    path: Path


#: Path, modification time in nanoseconds, size and inode of every file, in reading order.
Fingerprint = tuple[tuple[Path, int, int, int], ...]


class PolicyError(SettingsError):
    """The policy files are invalid; ``str(error)`` is one line that names the file or rule, and the problem."""


class PolicyFiles:
    """``policy_file``, and the files of ``policy_dirs`` in name order, which override it."""

    def __init__(self, settings: PolicySettings) -> None:
        """Reads nothing yet; relative paths are looked up in ``settings.config_dirs`` in order."""
        self._settings = settings

    def fingerprint(self) -> Fingerprint:
        """Return the fingerprint of the files; equal fingerprints mean equal content.

        :raises PolicyError: a file cannot be accessed.
        """
        marks: list[tuple[Path, int, int, int]] = []
        try:
            for path in self._paths():
                stat = path.stat()
                marks.append((path, stat.st_mtime_ns, stat.st_size, stat.st_ino))
        except OSError as error:
            raise PolicyError(f"{error.filename}: cannot be read: {error.strerror}") from error
        return tuple(marks)

    def read(self, fingerprint: Fingerprint) -> dict[str, FileRule]:
        """Read the rules of the files in ``fingerprint``; later files override earlier ones.

        :raises PolicyError: a file cannot be read, or is not a mapping of names to rules.
        """
        rules: dict[str, FileRule] = {}
        for path, *_ in fingerprint:
            rules.update(_rules_of(path))
        return rules

    def _paths(self) -> list[Path]:
        paths: list[Path] = []
        main = self._find(self._settings.policy_file)
        if main is not None:
            paths.append(main)
        for name in self._settings.policy_dirs:
            directory = self._find(name)
            if directory is not None:
                entries = sorted(directory.iterdir())
                paths.extend(entry for entry in entries if not entry.name.startswith(".") and entry.is_file())
        return paths

    def _find(self, name: str) -> Path | None:
        path = Path(name).expanduser()
        candidates = [path] if path.is_absolute() else [directory / path for directory in self._settings.config_dirs]
        return next((candidate for candidate in candidates if candidate.exists()), None)


def _rules_of(path: Path) -> dict[str, FileRule]:
    try:
        content: object = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise PolicyError(f"{path}: cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise PolicyError(f"{path}: is neither YAML nor JSON: {' '.join(str(error).split())}") from error
    if not content:
        return {}
    if not isinstance(content, dict):
        raise PolicyError(f"{path}: is not a mapping of rule names to rules")
    rules: dict[str, FileRule] = {}
    for name, text in cast("dict[object, object]", content).items():
        if not isinstance(name, str):
            raise PolicyError(f"{path}: the rule name {name!r} is not text")
        if text is not None and not isinstance(text, (str, list)):
            raise PolicyError(f"{path}: rule {name}: {text!r} is not a rule")
        rules[name] = FileRule("" if text is None else cast("RuleText", text), path)
    return rules
