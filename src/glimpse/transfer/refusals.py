"""Messages of inspection about content that is refused, or accepted with a warning: the check, and the remedy."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Final

from glimpse.errors import UnsupportedContent

LOG = logging.getLogger(__name__)

_MATCH_OPTION: Final = "[image_format] require_image_format_match = false"
_NONFATAL_OPTION: Final = "[image_format] gpt_safety_checks_nonfatal"

#: Remedies for unsafe images, by format, for the end of the message.
_REMEDIES: Final[Mapping[str, str]] = {
    "qcow2": "qemu-img convert -O qcow2 writes a single file with only known features",
    "qed": "qemu-img convert -O qcow2 converts it to a qcow2 image",
    "vmdk": "qemu-img convert -O vmdk -o subformat=streamOptimized converts it to a single file",
    "luks": "cryptsetup repair or cryptsetup reencrypt can repair the header",
}


def unsafe(name: str, failures: Mapping[str, object]) -> UnsupportedContent:
    """Build the refusal of content of the format ``name``; ``failures`` has the reasons by check."""
    reasons = "; ".join(f"{name} check {check}: {failures[check]}" for check in sorted(failures))
    if name == "gpt":
        remedy = f"The operator can allow it with {_NONFATAL_OPTION} = {','.join(sorted(failures))}."
    else:
        remedy = f"No option allows it{'; ' + _REMEDIES[name] if name in _REMEDIES else ''}."
    return UnsupportedContent(f"The content is refused as unsafe: {reasons}. {remedy}")


def luks2_refusal(reason: str) -> UnsupportedContent:
    """Build the refusal of a LUKS container of version 2; ``reason`` begins with the name of the check."""
    return UnsupportedContent(
        f"The content is refused as unsafe: luks {reason}. No option allows it; {_REMEDIES['luks']}."
    )


def mismatch(names: list[str], disk_format: str | None, disk_formats: tuple[str, ...]) -> UnsupportedContent:
    """Build the refusal of content with the formats ``names``; ``disk_formats`` are those that images may have."""
    hybrid_disc = names == ["gpt", "iso"]
    candidates = (*reversed(names), "raw") if len(names) == 1 or hybrid_disc else ()
    fitting = next((name for name in candidates if name in disk_formats), None)
    remedy = f"Set disk_format to {fitting} before the upload. " if fitting else ""
    return UnsupportedContent(
        f"The content is refused (check disk_format): it is {' and '.join(names)}, but disk_format is {disk_format}. "
        f"{remedy}The operator can allow it with {_MATCH_OPTION}."
    )


def warn_of_tolerated(image_id: str | None, name: str, failures: Mapping[str, object]) -> None:
    """Log that an image was accepted although checks of the format ``name`` failed."""
    reasons = "; ".join(f"{name} check {check}: {failures[check]}" for check in sorted(failures))
    LOG.warning("Image %s is accepted although it is unsafe, because of %s: %s.", image_id, _NONFATAL_OPTION, reasons)


def warn_of_mismatch(image_id: str | None, names: list[str], disk_format: str | None) -> None:
    """Log that an image was accepted without further checks although it does not have its ``disk_format``."""
    LOG.warning(
        "Image %s is accepted without safety checks, because of %s: check disk_format: it is %s, but disk_format is "
        "%s.",
        image_id,
        _MATCH_OPTION,
        " and ".join(names),
        disk_format,
    )
