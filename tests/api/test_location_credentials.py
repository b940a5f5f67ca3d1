"""Credentials in location URLs: masked for all but administrators and services."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from glimpse.domain.image import ImageChange, Location
from glimpse.domain.location_data import refuse_masked, shown_url
from glimpse.errors import Invalid
from glimpse.settings.startup import credential_warnings
from tests.support.located import SERVICE, Located, located
from tests.support.wire import ADMIN, OTHER

SECRET = "s3cr3t-pa55"
SHOWN = "http://***@localhost:1/files/a?token=***"


@pytest.fixture
def at(tmp_path: Path) -> Iterator[Located]:
    with located(tmp_path) as made:
        yield made


def with_secret(at: Located, **attributes: object) -> tuple[str, str]:
    """An image with a location whose URL has a password and a token, and that URL."""
    url = f"http://user:{SECRET}@localhost:1/files/a?token={SECRET}"
    image_id = at.as_(ADMIN).with_locations(at.url, owner="p1", **attributes)
    database = at.wire.service.deps.database
    [first] = at.wire.service.deps.database.get_image(image_id, _everything()).locations
    assert first.id is not None
    database.update_image(
        image_id,
        ImageChange(add_locations=(Location(url=url, metadata={"store": "web"}),), drop_locations=(first.id,)),
    )
    return image_id, url


def _everything() -> Any:
    from glimpse.db.records import Viewer

    return Viewer(None, is_admin=True)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://user:pw@host/a", "http://***@host/a"),
        ("http://user@host/a", "http://***@host/a"),
        ("http://u:p%40w@h:8080/a?b=c&d#e", "http://***@h:8080/a?b=***&***#e"),
        ("http://u:p@w@host/a", "http://***@host/a"),
        ("http://u:p/w@host/a", "http://***@host/a"),
        ("http://u:p?w@host/a", "http://***@host/a"),
        ("https://host/a?X-Amz-Signature=abc&x=", "https://host/a?X-Amz-Signature=***&x=***"),
        ("HTTPS://host/a?sig=abc", "HTTPS://host/a?sig=***"),
        ("swift+https://tenant%3Auser:key@auth/v3/container/object", "swift+https://***@auth/v3/container/object"),
        ("s3+https://ACCESS:SECRET@s3.example.org/bucket/key", "s3+https://***@s3.example.org/bucket/key"),
        ("http://host/a", "http://host/a"),
        ("http://host/a@b", "http://host/a@b"),
        ("http://[::1]:80/a@b", "http://[::1]:80/a@b"),
        ("http://host#new", "http://host#new"),
        ("rbd://fsid/pool/image@x?y/snap", "rbd://fsid/pool/image@x?y/snap"),
        ("file:///srv/images/a?b@c", "file:///srv/images/a?b@c"),
    ],
)
def test_what_is_masked(url: str, shown: str) -> None:
    assert shown_url(url) == shown
    assert shown_url(shown) == shown
    if url == shown:
        refuse_masked(url)
    else:
        with pytest.raises(Invalid):
            refuse_masked(shown)


class TestShowing:
    def test_owners_and_other_projects_see_masks(self, at: Located) -> None:
        image_id, _ = with_secret(at, visibility="public")
        for caller in (at.wire.caller, OTHER):
            for target in (f"/v2/images/{image_id}", "/v2/images"):
                answer = at.wire.as_(caller)("GET", target)
                assert SECRET.encode() not in answer.body, target
            shown = at.as_(caller).show(image_id)
            assert shown["locations"][0]["url"] == shown["direct_url"] == SHOWN

    def test_administrators_and_services_see_all(self, at: Located) -> None:
        image_id, url = with_secret(at, visibility="public")
        for caller in (ADMIN, SERVICE):
            shown = at.as_(caller).show(image_id)
            assert shown["locations"][0]["url"] == shown["direct_url"] == url
            assert at.wire.as_(caller)("GET", f"/v2/images/{image_id}/locations").json[0]["url"] == url
        fields = {**OTHER.headers(), "X-Service-Roles": "service", "X-Service-Identity-Status": "Confirmed"}
        assert at.wire("GET", f"/v2/images/{image_id}", headers=fields).json["direct_url"] == url

    def test_tasks_show_masks(self, at: Located) -> None:
        image_id = at.wire.create()["id"]
        at.web.files["a"] = b"x"
        secret = at.url.replace("http://", f"http://user:{SECRET}@")
        assert at.post(image_id, secret).status == 202
        answer = at.wire("GET", f"/v2/images/{image_id}/tasks")
        assert SECRET.encode() not in answer.body
        assert answer.json["tasks"][0]["input"]["loc_url"].startswith("http://***@")
        assert SECRET.encode() in at.wire.as_(ADMIN)("GET", f"/v2/images/{image_id}/tasks").body


class TestWriting:
    def test_a_mask_is_never_written_back(self, at: Located) -> None:
        image_id, url = with_secret(at)
        value = {"url": SHOWN, "metadata": {"a": "b"}}
        answer = at.wire.patch(image_id, {"op": "replace", "path": "/locations", "value": [value]})
        assert answer.status == 200, answer
        assert answer.json["locations"] == [{"url": SHOWN, "metadata": {"a": "b", "store": "web"}}]
        assert at.as_(ADMIN).show(image_id)["locations"] == [{"url": url, "metadata": {"a": "b", "store": "web"}}]

    def test_nor_added(self, at: Located) -> None:
        image_id, _ = with_secret(at)
        queued = at.wire.create()["id"]
        for target in (image_id, queued):
            answer = at.add(target, SHOWN)
            assert answer.status == 400
            assert b"masked" in answer.body
        assert at.post(queued, SHOWN).status == 400

    def test_replacing_still_needs_all_urls(self, at: Located) -> None:
        image_id, url = with_secret(at)
        for urls in ((SHOWN, SHOWN), (SHOWN, url), (SHOWN.replace("/a", "/b"),)):
            values: list[dict[str, object]] = [{"url": one, "metadata": {}} for one in urls]
            assert at.wire.patch(image_id, {"op": "replace", "path": "/locations", "value": values}).status == 400
        assert at.as_(ADMIN).show(image_id)["direct_url"] == url

    def test_removing_by_position(self, at: Located) -> None:
        image_id, _ = with_secret(at)
        assert at.as_(ADMIN).add(image_id, at.in_memory()).status == 200
        assert at.wire.as_(ADMIN).patch(image_id, {"op": "remove", "path": "/locations/0"}).status == 200
        assert len(at.show(image_id)["locations"]) == 1


def test_a_warning_at_start_without_an_encryption_key(at: Located) -> None:
    import msgspec

    from glimpse.settings.model import Api, Secret

    settings = at.wire.settings
    [sentence] = credential_warnings(settings)
    assert "metadata_encryption_key" in sentence
    database = msgspec.structs.replace(settings.database, metadata_encryption_key=Secret("0123456789abcdef"))
    assert credential_warnings(msgspec.structs.replace(settings, database=database)) == ()
    plain = msgspec.structs.replace(settings.stores, stores=settings.stores.stores[:1])
    assert credential_warnings(msgspec.structs.replace(settings, stores=plain)) == ()
    quiet = msgspec.structs.replace(settings, stores=msgspec.structs.replace(settings.stores, named=False), api=Api())
    assert credential_warnings(quiet) == ()
