"""The driver ``s3``: images as objects in a bucket (store-formats 10).

``options`` are the driver's options, ``endpoint`` the server and the URIs, ``signing`` Signature Version 4,
``connections`` HTTP with time limits, ``answers`` what error answers mean, ``client`` the S3 operations, ``parts`` the
sizes of parts, ``uploads`` the life of a multipart upload, ``writer`` and ``reader`` the streams, ``store`` the store.
"""
