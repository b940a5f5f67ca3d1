"""Optional packages: what a message says where they are missing.

The package index has another project under the name ``glimpse``; the distribution of this one is ``glimpse-images``.
"""

from __future__ import annotations

from typing import Final, Literal

DISTRIBUTION: Final = "glimpse-images"

#: The extras of ``pyproject.toml`` that some setting may ask for.
Extra = Literal["uvicorn", "registry", "postgresql", "mysql", "keystone", "limits", "notifications", "signatures"]


def install(extra: Extra) -> str:
    """How to install ``extra``, as the end of a sentence."""
    return f"install it with `pip install '{DISTRIBUTION}[{extra}]'`, or `pip install '.[{extra}]'` in a checkout"


def needs(error: ImportError, extra: Extra) -> str:
    """Why an import failed and what to do, as the end of a sentence that begins with what was asked for."""
    name = (error.name or "").partition(".")[0]
    if isinstance(error, ModuleNotFoundError) and name:
        return f"needs the Python package {name}, which is not installed; {install(extra)}"
    reason = " ".join(str(error).split())
    return f"needs a Python package that cannot be imported ({reason}); {install(extra)}"
