"""Store ``file``: images as plain files in data directories of this host (store-formats 5).

In use: ``store`` the store and its data directories · ``writer`` one file written until it is durable under its
name · ``reader`` one being read · ``timed`` calls that must not hang · ``unlinking`` whether
a file could be removed · ``failures`` OSError to typed errors. At start:
``options`` what an operator sets · ``directories`` directories parsed and prepared · ``mountpoints`` what locations
tell other services · ``marker`` whether a directory is mounted.

A write runs through ``store`` and ``writer`` alone, unless it fails or has a time limit or a metadata file.
"""
