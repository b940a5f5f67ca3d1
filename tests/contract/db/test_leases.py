"""Leases: kept alive, found when they ran out, taken over once."""

from __future__ import annotations

import msgspec
import pytest

from glimpse.db.base import Database
from glimpse.db.base_records import Lease
from glimpse.domain.image import Location
from glimpse.domain.status import Status
from glimpse.errors import Invalid
from tests.contract.db.backends import Backend
from tests.contract.db.examples import image, lease


def held(database: Database, **fields: object) -> Lease:
    stored = image()
    database.create_image(stored)
    recorded = lease(stored.id, **fields)
    database.begin_upload(stored.id, recorded)
    return recorded


def test_a_lease_is_read_as_it_was_recorded(database: Database) -> None:
    # a double that has no short decimal form
    recorded = held(database, expires_at=1795341066.1234567, store=None, generation=3)
    assert database.expired_leases(1795341067.0) == [recorded]


def test_expired_leases_come_oldest_first(database: Database) -> None:
    recorded = [held(database, expires_at=expires_at) for expires_at in (30.5, 10.5, 20.5, 40.5)]
    found = database.expired_leases(40.5)
    assert found == sorted(recorded[:3], key=lambda one: one.expires_at)
    assert database.expired_leases(40.5, limit=1) == found[:1]
    assert database.expired_leases(10.5) == []


def test_renewal_moves_the_named_leases_of_the_owner(database: Database) -> None:
    mine = [held(database), held(database)]
    abandoned = held(database)
    other = held(database, owner="worker-2")
    named = [one.id for one in (*mine, other)]
    assert database.renew_leases("worker-1", named, 5000.5) == 2
    assert database.renew_leases("worker-1", named, 5000.5) == 2
    assert database.renew_leases("worker-3", named, 5000.5) == 0
    assert {one.id for one in database.expired_leases(5000.0)} == {abandoned.id, other.id}
    renewed = database.expired_leases(6000.0)[2:]
    assert sorted(one.id for one in renewed) == sorted(one.id for one in mine)
    assert {one.expires_at for one in renewed} == {5000.5}


def test_a_lease_is_taken_over_once(database: Database) -> None:
    recorded = held(database)
    taken = database.take_lease(recorded, "worker-2", 2000.5)
    assert taken == msgspec.structs.replace(recorded, owner="worker-2", generation=2, expires_at=2000.5)
    assert database.take_lease(recorded, "worker-3", 3000.5) is None
    assert database.expired_leases(2001.0) == [taken]
    again = database.take_lease(taken, "worker-3", 3000.5)
    assert again is not None
    assert again.generation == 3


def test_a_renewed_lease_is_not_taken_over(database: Database) -> None:
    recorded = held(database)
    [expired] = database.expired_leases(2000.0)
    database.renew_leases("worker-1", [recorded.id], 5000.0)
    assert database.take_lease(expired, "worker-2", 6000.0) is None
    assert database.expired_leases(5001.0)[0].owner == recorded.owner


def test_a_lease_that_is_gone_is_not_taken_over(database: Database) -> None:
    recorded = held(database)
    database.cancel_upload(recorded)
    assert database.take_lease(recorded, "worker-2", 2000.0) is None


def test_leases_are_counted_by_purpose(database: Database) -> None:
    assert database.count_leases() == {}
    held(database)
    held(database)
    stored = image()
    database.create_image(stored)
    database.begin_delete(stored.id, lease(stored.id, "delete"), from_status=Status.QUEUED)
    assert database.count_leases() == {"upload": 2, "delete": 1}


def test_the_image_of_a_lease(backend: Backend) -> None:
    stored = image(status=Status.ACTIVE, properties={"a": "1"}, locations=(Location(url="u", metadata={"store": "s"}),))
    backend.database.create_image(stored)
    deletion = lease(stored.id, "delete")
    backend.database.begin_delete(stored.id, deletion, from_status=Status.ACTIVE)
    seen = backend.database.leased_image(deletion)
    assert seen is not None
    assert (seen.id, seen.properties, seen.locations[0].url) == (stored.id, {"a": "1"}, "u")
    backend.database.finish_delete(stored.id, deletion)
    seen = backend.database.leased_image(deletion)
    assert seen is not None
    assert (seen.status, seen.properties, seen.locations) == (Status.DELETED, {}, ())


@pytest.mark.parametrize("image_id", ["5a8c8a04-e47f-4982-86ad-59b3a4cc524a", "x" * 37, "\x00"])
def test_a_lease_may_have_lost_its_image(database: Database, image_id: str) -> None:
    assert database.leased_image(lease(image_id)) is None


@pytest.mark.parametrize(
    "wrong",
    [{"id": "f" * 31}, {"id": "f" * 33}, {"owner": "x" * 256}, {"owner": "\U0001f600"}, {"purpose": "x" * 21},
     {"store": "x" * 256}, {"store": "\x00"}],
)  # fmt: skip
def test_texts_of_a_lease_fit(database: Database, wrong: dict[str, str]) -> None:
    stored = image()
    database.create_image(stored)
    recorded = msgspec.structs.replace(lease(stored.id), **wrong)
    with pytest.raises(Invalid):
        database.begin_upload(stored.id, recorded)
    with pytest.raises(Invalid):
        database.begin_delete(stored.id, recorded, from_status=Status.QUEUED)
    assert database.count_leases() == {}


@pytest.mark.parametrize("owner", ["x" * 256, "\U0001f600"])
def test_the_new_owner_of_a_lease_fits(database: Database, owner: str) -> None:
    recorded = held(database)
    with pytest.raises(Invalid):
        database.take_lease(recorded, owner, 2000.0)
    assert database.expired_leases(2000.0) == [recorded]
