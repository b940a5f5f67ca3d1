"""All options that Glance's configuration files may contain, and what this version does with them."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping
from enum import StrEnum

import msgspec

from glimpse.settings.glance_options import GLANCE_OPTIONS
from glimpse.settings.options import Option
from glimpse.settings.own_options import OWN_OPTIONS
from glimpse.settings.unimplemented_options import AWAITED_OPTIONS
from glimpse.settings.unread_options import (
    NOT_USED_YET,
    OF_LIBRARIES,
    REASONS,
    REMOVED,
    REMOVED_PREFIXES,
    STORE_PREFIXES,
    WITHOUT_EFFECT,
)

# ------------------------------------------------ Which option an operator may have meant by a name that is not known

#: Required similarity of two names, from 0 to 1.
_ALIKE = 0.7


def _known_names() -> Mapping[str, frozenset[str]]:
    names: dict[str, set[str]] = {}
    for option in (*OWN_OPTIONS, *GLANCE_OPTIONS, *AWAITED_OPTIONS):
        names.setdefault(option.section, set()).add(option.name)
    for table in (OF_LIBRARIES, NOT_USED_YET, WITHOUT_EFFECT):
        for section, more in table.items():
            names.setdefault(section, set()).update(more)
    return {section: frozenset(found) for section, found in names.items()}


#: Names to suggest, by section; without removed options.
_NAMES = _known_names()


def meant(section: str, name: str, more: Mapping[str, Collection[str]]) -> tuple[str, str] | None:
    """Return section and name of the known option most similar to ``[section] name``, or None.

    ``more`` has additional options by section: those of this installation's stores.
    """
    names = {**_NAMES, **{place: {*_NAMES.get(place, ()), *found} for place, found in more.items()}}
    family = "cors" if section.startswith("cors.") else section
    if family in names:
        near = closest(name, names[family])
        if near is not None:
            return section, near
    elsewhere = [place for place, known in names.items() if name in known]
    alike = closest(section, elsewhere)
    if alike is not None:
        return alike, name
    if len(elsewhere) == 1:
        return elsewhere[0], name
    place = None if family in names else closest(section, names)
    near = None if place is None else closest(name, names[place])
    return None if place is None or near is None else (place, near)


def closest(name: str, known: Iterable[str]) -> str | None:
    """Return the name in ``known`` that is most similar to ``name``, or None."""
    return next(iter(difflib.get_close_matches(name, list(known), n=1, cutoff=_ALIKE)), None)


def question(section: str, name: str, more: Mapping[str, Collection[str]]) -> str:
    """Return the suggestion at the end of a message about an unknown option; empty if there is none."""
    found = meant(section, name, more)
    return "" if found is None else f"; did you mean [{found[0]}] {found[1]}?"


#: Options that are read and checked, in display order.
OPTIONS: tuple[Option, ...] = (*OWN_OPTIONS, *GLANCE_OPTIONS, *AWAITED_OPTIONS)

BY_PLACE: dict[tuple[str, str], Option] = {option.place: option for option in OPTIONS}

_MOVED: dict[tuple[str, str], Option] = {old: option for option in OPTIONS for old in option.moved_from}

#: Sections, besides those of stores, that may contain options of store drivers.
STORE_SECTIONS = frozenset({"glance_store", "backend_defaults", "os_glance_staging_store", "os_glance_tasks_store"})
RESERVED_STORES = frozenset({"os_glance_staging_store", "os_glance_tasks_store"})

#: Sections with another meaning, which cannot be ids of stores.
RESERVED_SECTIONS = frozenset(
    {option.section.lower() for option in OPTIONS}
    | {section.lower() for section in (*NOT_USED_YET, *OF_LIBRARIES)}
    | STORE_SECTIONS
)


class State(StrEnum):
    """What this version does with an option."""

    USED = "used"
    NOT_USED_YET = "is not used in this version"
    WITHOUT_EFFECT = "has no effect here"
    REMOVED = "was removed from Glance and has no effect"
    UNKNOWN = "is unknown and has no effect"


def state_of(section: str, name: str, stores: Iterable[str] = (), driver_options: Iterable[str] = ()) -> State:
    """Return what this version does with ``[section] name``.

    ``stores`` are the ids of named stores, ``driver_options`` the options of the drivers that exist.
    """
    family = "cors" if section.startswith("cors.") else section
    option = BY_PLACE.get((family, name)) or _MOVED.get((section, name))
    if option is not None:
        return State.USED if option.used else State.NOT_USED_YET
    if section in stores or section in STORE_SECTIONS:
        state = _in_store_section(section, name, driver_options)
        if state is not None:
            return state
    if name in OF_LIBRARIES.get(section, ()):
        return State.USED
    if name in NOT_USED_YET.get(section, ()):
        return State.NOT_USED_YET
    if name in WITHOUT_EFFECT.get(section, ()):
        return State.WITHOUT_EFFECT
    if name in REMOVED.get(section, ()) or name.startswith(REMOVED_PREFIXES.get(section, ("\0",))):
        return State.REMOVED
    return State.UNKNOWN


def _in_store_section(section: str, name: str, driver_options: Iterable[str]) -> State | None:
    known = frozenset(driver_options)
    if section in RESERVED_STORES:
        if section == "os_glance_staging_store" and name in known and not name.startswith("filesystem_"):
            return State.USED
        return State.NOT_USED_YET if name.startswith("filesystem_") and (name in known or not known) else None
    if name in known or name in {"store_description", "weight"}:
        return State.USED
    return State.NOT_USED_YET if name.startswith(STORE_PREFIXES) else None


def moved(section: str, name: str) -> Option | None:
    """Return the new option if ``[section] name`` is a former name."""
    return _MOVED.get((section, name))


class Findings(msgspec.Struct, frozen=True):
    """Findings on a valid configuration for the operator, one line each.

    ``warnings`` are about probable mistakes, ``notes`` about options that have no effect or have moved.
    """

    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __add__(self, more: Findings) -> Findings:
        return Findings((*self.warnings, *more.warnings), (*self.notes, *more.notes))


def report(
    present: Iterable[tuple[str, str, str]], stores: Iterable[str] = (), driver_options: Iterable[str] = ()
) -> Findings:
    """Report each option of the files that is unknown, has no effect or has a former name, one line each.

    ``present``: section, name and origin of each option found, in file order.
    """
    warnings: list[str] = []
    notes: list[str] = []
    stores, driver_options = frozenset(stores), frozenset(driver_options)
    of_stores = driver_options | {"store_description", "weight"}
    more = dict.fromkeys((*stores, *(STORE_SECTIONS - RESERVED_STORES)), of_stores)
    for section, name, file in dict.fromkeys(present):
        state = state_of(section, name, stores, driver_options)
        new_place = moved(section, name)
        if new_place is not None:
            notes.append(
                f"[{section}] {name} ({file}) has moved to [{new_place.section}] {new_place.name}; it is still read "
                f"at its old place"
            )
        if state is State.UNKNOWN:
            warnings.append(f"[{section}] {name} ({file}) {state}{question(section, name, more)}")
        elif state is not State.USED:
            reason = REASONS.get((section, name))
            notes.append(f"[{section}] {name} ({file}) {state}{'' if reason is None else f': {reason}'}")
    return Findings(tuple(warnings), tuple(notes))
