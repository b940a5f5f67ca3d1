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
    """Check that the values are valid header names or methods."""
    for item in cast("list[str]", value):
        if not (item.isascii() and item.isprintable() and not set(item) & set(' ,;"')):
            return f"must be header names without blanks, not {item!r}"
    return None


def section_options(section: str) -> tuple[Option, ...]:
    """Return the options of ``[cors]`` or of a section ``[cors.NAME]``."""
    common = section == SECTION

    def target(name: str) -> str | None:
        return f"{SECTION}.{name}" if common else None

    return (
        Option(
            section=section, name="allowed_origin", kind="list", target=target("allowed_origin"),
            default_text="none: no CORS headers are sent",
            help="Origins whose pages may use the API, for instance `https://dashboard.example.net`; `*`: any origin.",
        ),
        Option(
            section=section, name="allow_credentials", kind="boolean", target=target("allow_credentials"),
            help="Allow those pages to send the browser's credentials.",
        ),
        Option(
            section=section, name="expose_headers", kind="list", target=target("expose_headers"), check=_header_text,
            help="Response headers that those pages may read.",
        ),
        Option(
            section=section, name="max_age", kind="integer", minimum=0, target=target("max_age"),
            help="Seconds that a browser may cache this permission; 0: the header is not sent.",
        ),
        Option(
            section=section, name="allow_methods", kind="list", target=target("allow_methods"), check=_header_text,
            help="Methods that those pages may use.",
        ),
        Option(
            section=section, name="allow_headers", kind="list", target=target("allow_headers"), check=_header_text,
            help="Headers that those pages may send, in addition to those that every page may send. Add "
            "`X-Image-Meta-Store` and `X-OpenStack-Image-Size` if the pages need them.",
        ),
    )  # fmt: skip


CORS_OPTIONS = section_options(SECTION)


def cors_sections(sections: Iterable[str]) -> tuple[str, ...]:
    """Return the sections named ``[cors.NAME]``, sorted."""
    return tuple(sorted(section for section in sections if section.startswith(_FURTHER)))


def more_cors(sections: Iterable[str], values: Mapping[tuple[str, str], Any], common: Cors) -> dict[str, Cors]:
    """Build the group of each section ``[cors.NAME]``; missing options come from ``common``, except the origins."""
    inherited = {**msgspec.structs.asdict(common), "allowed_origin": ()}
    groups: dict[str, Cors] = {}
    for section in sections:
        own = {name: values[section, name] for name in inherited if (section, name) in values}
        groups[section] = from_text({**inherited, **own}, Cors)
    return groups
