"""Which option an operator may have meant by a name that is not known."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping

from glimpse.settings.glance_options import PEER_OPTIONS
from glimpse.settings.own_options import OWN_OPTIONS
from glimpse.settings.unimplemented_options import AWAITED_OPTIONS
from glimpse.settings.unread_options import NOT_USED_YET, OF_LIBRARIES, WITHOUT_EFFECT

#: How alike two names must be, from 0 to 1.
_ALIKE = 0.7


def _known_names() -> Mapping[str, frozenset[str]]:
    names: dict[str, set[str]] = {}
    for option in (*OWN_OPTIONS, *PEER_OPTIONS, *AWAITED_OPTIONS):
        names.setdefault(option.section, set()).add(option.name)
    for table in (OF_LIBRARIES, NOT_USED_YET, WITHOUT_EFFECT):
        for section, more in table.items():
            names.setdefault(section, set()).update(more)
    return {section: frozenset(found) for section, found in names.items()}


#: Names that may be meant, by section; what was removed is meant by nobody.
_NAMES = _known_names()


def meant(section: str, name: str, more: Mapping[str, Collection[str]]) -> tuple[str, str] | None:
    """Section and name of the known option that is most like ``[section] name``, None when nothing is like it.

    ``more`` has the options that only this installation knows, by section: those of its stores.
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
    """That of ``known`` which is most like ``name``, None when none is."""
    return next(iter(difflib.get_close_matches(name, list(known), n=1, cutoff=_ALIKE)), None)


def question(section: str, name: str, more: Mapping[str, Collection[str]]) -> str:
    """The end of a sentence about an unknown option: what may be meant, empty when nothing comes near."""
    found = meant(section, name, more)
    return "" if found is None else f"; is [{found[0]}] {found[1]} meant?"
