"""What store discovery tells administrators of a store of kind ``file`` (imports-and-stores 1.4)."""

from __future__ import annotations

from glimpse.stores.filesystem.directories import configured_directories
from glimpse.stores.filesystem.options import FilesystemOptions


def details(options: FilesystemOptions) -> dict[str, object]:
    """Directory, chunk size in bytes, thin provisioning; of several directories the one of the highest priority."""
    return {
        "data_dir": configured_directories("", options)[0][0],
        "chunk_size": options.filesystem_store_chunk_size,
        "thin_provisioning": options.filesystem_thin_provisioning,
    }
