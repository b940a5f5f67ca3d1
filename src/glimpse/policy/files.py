"""The operator's policy files: where they are, whether they changed, and what they say (configuration 8)."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import msgspec
import yaml

from glimpse.settings.errors import SettingsError
from glimpse.settings.model import PolicySettings

#: A rule as a file has it: text of the policy language, or the older form, a list of lists of checks.
RuleText = str | list[object]


class FileRule(msgspec.Struct, frozen=True):
    """One rule of one file."""

    text: RuleText
    path: Path


#: Path, modification time in nanoseconds, size and inode of every file, in the order in which they count.
Fingerprint = tuple[tuple[Path, int, int, int], ...]


class PolicyError(SettingsError):
    """The policy files cannot be used; ``str(error)`` is one line naming the file or rule, and what is wrong."""


class PolicyFiles:
    """``policy_file`` and, over it, the files of ``policy_dirs`` in the order of their names."""

    def __init__(self, settings: PolicySettings) -> None:
        """Look at nothing yet; relative names are searched in ``settings.config_dirs`` in order."""
        self._settings = settings

    def fingerprint(self) -> Fingerprint:
        """What the files look like from outside; equal fingerprints mean equal content.

        :raises PolicyError: one of them cannot be looked at.
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
        """The rules of the files of ``fingerprint``; later files replace rules of earlier ones.

        :raises PolicyError: one of them cannot be read, or is no mapping of names to rules.
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
