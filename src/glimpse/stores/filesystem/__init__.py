"""Store ``file``: images as plain files in data directories of this host (store-formats 5).

At run time: ``store`` the store and its data directories · ``writer`` writes one file until it is durable under its
name · ``reader`` reads one · ``unlinking`` checks whether a file could be removed · ``os_errors`` maps OSError to typed
errors. At start: ``options`` the operator's options · ``directories`` directories, metadata file and markers.

A write uses only ``store`` and ``writer``, unless it fails or has a metadata file.
"""
