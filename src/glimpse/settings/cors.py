"""``[cors]``, and ``[cors.NAME]`` for origins with rules of their own (images-api 5.6; configuration 5.2)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

import msgspec

from glimpse.settings.model import Cors
from glimpse.settings.options import Option, from_text

SECTION = "cors"
_FURTHER = f"{SECTION}."


def _header_text(value: object) -> str | None:
    """Names that can stand in a header."""
    for item in cast("list[str]", value):
        if not (item.isascii() and item.isprintable() and not set(item) & set(' ,;"')):
            return f"must be names without blanks, and {item!r} is none"
    return None


def section_options(section: str) -> tuple[Option, ...]:
    """The options of ``[cors]``, or of another section of the same form."""
    common = section == SECTION

    def target(name: str) -> str | None:
        return f"{SECTION}.{name}" if common else None

    return (
        Option(
            section=section, name="allowed_origin", kind="list", target=target("allowed_origin"),
            default_text="none: nothing is sent for browsers",
            help="Origins whose pages may use the API, for instance `https://dashboard.example.net`; `*`: any.",
        ),
        Option(
            section=section, name="allow_credentials", kind="boolean", target=target("allow_credentials"),
            help="Those pages may send the browser's own credentials.",
        ),
        Option(
            section=section, name="expose_headers", kind="list", target=target("expose_headers"), check=_header_text,
            help="Headers of answers that those pages may read.",
        ),
        Option(
            section=section, name="max_age", kind="integer", minimum=0, target=target("max_age"),
            help="Seconds that a browser may remember what it was allowed; 0: not said.",
        ),
        Option(
            section=section, name="allow_methods", kind="list", target=target("allow_methods"), check=_header_text,
            help="Methods that those pages may use.",
        ),
        Option(
            section=section, name="allow_headers", kind="list", target=target("allow_headers"), check=_header_text,
            help="Headers that those pages may send, beside the ones that every page may. `X-Image-Meta-Store` and "
            "`X-OpenStack-Image-Size` have to be added where they are to be sent.",
        ),
    )  # fmt: skip


CORS_OPTIONS = section_options(SECTION)


def cors_sections(sections: Iterable[str]) -> tuple[str, ...]:
    """Those of ``sections`` that are ``[cors.NAME]``, in a fixed order."""
    return tuple(sorted(section for section in sections if section.startswith(_FURTHER)))


def more_cors(sections: Iterable[str], values: Mapping[tuple[str, str], Any], common: Cors) -> dict[str, Cors]:
    """The groups of ``[cors.NAME]`` by section; what one leaves out it has from ``common``, but for the origins."""
    inherited = {**msgspec.structs.asdict(common), "allowed_origin": ()}
    groups: dict[str, Cors] = {}
    for section in sections:
        own = {name: values[section, name] for name in inherited if (section, name) in values}
        groups[section] = from_text({**inherited, **own}, Cors)
    return groups
