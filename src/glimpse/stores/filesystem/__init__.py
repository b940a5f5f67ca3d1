"""Store ``file``: images as plain files in data directories of this host (store-formats 5).

In use: ``store`` the store and its data directories · ``writer`` one file written until it is durable under its
name · ``reader`` one being read · ``unlinking`` whether a file could be removed · ``os_errors`` OSError to typed
errors. At start: ``options`` what an operator sets · ``directories`` directories, metadata file and markers.

A write runs through ``store`` and ``writer`` alone, unless it fails or has a metadata file.
"""
