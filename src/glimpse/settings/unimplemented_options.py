"""Options of glance-api.conf whose features do not exist yet: their values are checked, then ignored.

So an invalid value is found at start, not when the feature is added (configuration 16, quirk 6).
"""

from __future__ import annotations

from glimpse.settings.options import Kind, Option


def _option(
    section: str,
    name: str,
    kind: Kind,
    help_text: str,
    *,
    minimum: float | None = None,
    choices: tuple[str, ...] = (),
    secret: bool = False,
    target: str | None = None,
    moved_from: tuple[tuple[str, str], ...] = (),
) -> Option:
    return Option(
        section=section,
        name=name,
        kind=kind,
        help=help_text,
        minimum=minimum,
        choices=choices,
        secret=secret,
        target=target,
        moved_from=moved_from,
        used=False,
    )


_CONVERSIONS = ("qcow2", "raw", "vmdk")

AWAITED_OPTIONS: tuple[Option, ...] = (
    _option("DEFAULT", "image_cache_dir", "string", "Directory of the image cache."),
    _option("DEFAULT", "image_cache_driver", "string", "Index of it.", choices=("centralized_db", "sqlite", "xattr")),
    _option("DEFAULT", "image_cache_max_size", "integer", "Bytes of it.", minimum=0),
    _option("DEFAULT", "image_cache_stall_time", "integer", "Seconds before clean-up.", minimum=0),
    _option("DEFAULT", "delayed_delete", "boolean", "Deleting only marks."),
    _option("DEFAULT", "scrub_time", "integer", "Seconds until data are removed.", minimum=0),
    _option("DEFAULT", "scrub_pool_size", "integer", "Threads of that.", minimum=1),
    _option("DEFAULT", "wakeup_time", "integer", "Seconds between such runs.", minimum=0),
    _option("taskflow_executor", "conversion_format", "string", "Format of task imports.", choices=_CONVERSIONS),
)  # fmt: skip
