"""Messages about missing optional packages.

The distribution is called ``glimpse-images``, because another project has the name ``glimpse`` on the package index.
"""

from __future__ import annotations

from typing import Final, Literal

DISTRIBUTION: Final = "glimpse-images"

#: The extras of ``pyproject.toml`` that settings may need.
Extra = Literal[
    "uvicorn", "registry", "postgresql", "mysql", "keystone", "limits", "notifications", "signatures", "zstd", "cinder"
]


def install(extra: Extra) -> str:
    """Say how to install ``extra``, as the end of a sentence."""
    return f"install it with `pip install '{DISTRIBUTION}[{extra}]'`, or `pip install '.[{extra}]'` in a checkout"


def needs(error: ImportError, extra: Extra) -> str:
    """Say why an import failed and what to do, as the end of a sentence that begins with the feature."""
    name = (error.name or "").partition(".")[0]
    if isinstance(error, ModuleNotFoundError) and name:
        return f"needs the Python package {name}, which is not installed; {install(extra)}"
    reason = " ".join(str(error).split())
    return f"needs a Python package that cannot be imported ({reason}); {install(extra)}"
