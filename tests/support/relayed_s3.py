"""The real S3 server that the environment names, behind a relay that a test can interrupt."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from glimpse.settings.model import Secret, StoreSettings
from glimpse.stores.all import DRIVERS
from tests.support.needs import unavailable
from tests.support.relay import Relay


@contextmanager
def relayed_s3(store_id: str, **settings: Any) -> Iterator[tuple[Relay, StoreSettings]]:
    """The relay, and an S3 store with the bucket ``store_id`` behind it; ``settings`` are further ones of the store.

    Skips or fails the test if ``GLIMPSE_TEST_S3_URL`` is not set.
    """
    url = os.environ.get("GLIMPSE_TEST_S3_URL", "")
    if not url:
        unavailable("GLIMPSE_TEST_S3_URL names no object store")
    server = urlsplit(url)
    with Relay((str(server.hostname), int(server.port or 80))) as relay:
        options = DRIVERS["s3"].options(
            s3_store_host=f"http://127.0.0.1:{relay.port}", s3_store_bucket=store_id,
            s3_store_access_key=Secret("rigaccess"), s3_store_secret_key=Secret("rigsecretkey"),
            s3_store_create_bucket_on_put=True, s3_store_bucket_url_format="path",
        )  # fmt: skip
        yield relay, StoreSettings(id=store_id, kind="s3", options=options, **settings)
