"""Two nodes that stage in S3 and share nothing else but a database and a store of images."""

from __future__ import annotations

import json
import os
from pathlib import Path
from uuid import uuid4

import pytest

from tests.support.footprint import eventually
from tests.support.images.content import noise
from tests.support.needs import unavailable
from tests.support.raw_http import OCTETS, Api
from tests.support.service import Service

DATA = noise(20_000_000, "staged in S3")
IMPORT = json.dumps({"method": {"name": "glance-direct"}}).encode()


@pytest.mark.interop
def test_data_of_one_node_are_imported_by_the_other(tmp_path: Path) -> None:
    url = os.environ.get("GLIMPSE_TEST_S3_URL")
    if not url:
        unavailable("GLIMPSE_TEST_S3_URL names no server; dev/rigs starts one")
    options = {
        "database": {"connection": f"sqlite:///{tmp_path}/glimpse.sqlite"},
        "glance_store": {"filesystem_store_datadir": str(tmp_path / "images")},
        "glimpse": {"auth": "none", "staging_store": "s3", "lease_time": 2, "lease_heartbeat": 0.3},
        "os_glance_staging_store": {
            "s3_store_host": url,
            "s3_store_access_key": "rigaccess",
            "s3_store_secret_key": "rigsecretkey",
            "s3_store_bucket": f"staging-{uuid4().hex}",
            "s3_store_create_bucket_on_put": True,
        },
    }
    with Service(tmp_path / "one", options=options) as first, Service(tmp_path / "two", options=options) as second:
        one, two = Api(first.port), Api(second.port)
        imported, deleted = one.new(), one.new()
        for image_id in (imported, deleted):
            assert one.call("PUT", f"/v2/images/{image_id}/stage", DATA, OCTETS).status == 204
        assert one.call("POST", f"/v2/images/{deleted}/import", b"{}").status == 400
        first.kill_group()
        assert two.call("POST", f"/v2/images/{imported}/import", IMPORT).status == 202
        assert eventually(lambda: two.show(imported)["status"] == "active", 60), two.show(imported)
        assert two.call("GET", f"/v2/images/{imported}/file").body == DATA
        assert two.call("DELETE", f"/v2/images/{deleted}").status == 204
        first.start()
        assert one.call("PUT", f"/v2/images/{one.new()}/stage", b"another", OCTETS).status == 204
