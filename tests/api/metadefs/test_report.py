"""The report on an image's properties (an extension of Glimpse)."""

from __future__ import annotations

from glimpse.db.sql.factory import open_database
from glimpse.metadefs.files import load_default_catalog
from tests.support.wire import OTHER, Wire


def test_a_report_names_what_breaks_a_definition(wire: Wire) -> None:
    # as `glimpse metadefs load` does it, which is not for API nodes
    database = open_database(wire.settings.database)
    load_default_catalog(database)
    database.close()
    image = wire.create(hw_disk_bus="floppy-tape", hw_vif_model="virtio", my_own="x", visibility="private")
    answer = wire("GET", f"/v2/images/{image['id']}/metadefs-report")
    assert answer.status == 200
    found = {one["name"]: one["status"] for one in answer.json["properties"]}
    assert found == {"hw_disk_bus": "invalid", "hw_vif_model": "valid", "my_own": "undefined"}
    assert wire.as_(OTHER)("GET", f"/v2/images/{image['id']}/metadefs-report").status == 404
