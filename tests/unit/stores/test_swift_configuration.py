"""Accounts of Swift stores from the options and the reference file (store-formats 7.5 and 7.6)."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from glimpse.errors import ForeignLocation, StoreUnavailable
from glimpse.settings.model import Secret
from glimpse.stores.base import AccessLists, DeletionCheck, Listing, Prefixed, Presigning, Probed, StoreMisconfigured
from glimpse.stores.connections import Limits
from glimpse.stores.swift.driver import DRIVER, build
from glimpse.stores.swift.login import identity, scope
from glimpse.stores.swift.options import SwiftOptions
from glimpse.stores.swift.references import Credentials, load
from glimpse.stores.swift.single_tenant import SingleTenantStore
from glimpse.stores.swift.store import Tuning

DIRECT = SwiftOptions(
    swift_store_auth_address="https://auth:5000/v3",
    swift_store_user="service:glance",
    swift_store_key=Secret("se/cret"),
)
#: Nothing listens there.
CLOSED = "http://127.0.0.1:9/v3"

REFERENCES = """
[ref1]
auth_address = https://auth:5000/v3
user = "service:glance"
key = 's%ecret'
auth_version = 2
[ref2]
auth_address = auth2:5000
application_credential_id = id
application_credential_secret = hidden
"""


@pytest.fixture
def references(tmp_path: Path) -> SwiftOptions:
    path = tmp_path / "swift.conf"
    path.write_text(REFERENCES)
    return SwiftOptions(swift_store_config_file=str(path))


def test_the_reference_file(references: SwiftOptions):
    found = load("objects", references)
    assert found.own == Credentials(auth_address="https://auth:5000/v3", user="service:glance", key=Secret("s%ecret"))
    assert found.named["ref2"].auth_address == "https://auth2:5000"
    assert build("objects", references).url_prefixes == ("swift+config://ref1/glance/", "swift+config://ref2/glance/")


def test_prefixes_of_locations(references: SwiftOptions):
    direct = ("swift+https://service%3Aglance:se%2Fcret@auth:5000/v3/glance/",)
    assert DRIVER.url_prefixes("objects", DIRECT) == direct
    several = msgspec.structs.replace(DIRECT, swift_store_multiple_containers_seed=3)
    assert DRIVER.url_prefixes("objects", several) == (direct[0].removesuffix("/") + "_",)
    application = SwiftOptions(
        swift_store_auth_address="http://auth/v3",
        swift_store_application_credential_id="id",
        swift_store_application_credential_secret=Secret("hidden"),
    )
    assert DRIVER.url_prefixes("objects", application) == ("swift+http://auth/v3/glance/",)
    assert DRIVER.url_prefixes("objects", SwiftOptions()) == ()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"swift_store_auth_address": None}, "swift_store_auth_address or swift_store_config_file"),
        ({"swift_store_key": None}, "swift_store_user and swift_store_key"),
        ({"swift_store_config_file": "/nothing"}, "cannot be read"),
        ({"swift_store_config_file": "/nothing", "swift_store_multi_tenant": True}, "cannot be used with"),
        ({"swift_store_cacert": "/nothing"}, "is not a file"),
        ({"swift_store_multi_tenant": True, "swift_store_auth_version": "1"}, "needs swift_store_auth_version 3"),
        ({"swift_store_multi_tenant": True, "swift_store_auth_address": None}, "needs swift_store_auth_address"),
    ],
)
def test_options_that_cannot_work(changes: dict[str, object], reason: str):
    with pytest.raises(StoreMisconfigured, match=reason):
        build("objects", msgspec.structs.replace(DIRECT, **changes))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("nonsense secret", "is not an INI file"),
        ("[ref1]\nuser = a:b\nkey = secret\n", "needs auth_address"),
        ("[ref1]\nauth_address = a\nuser = a:b\n", "needs auth_address, and user and key"),
        ("[other]\nauth_address = a\nuser = a:b\nkey = secret\n", "has no section ref1"),
    ],
)
def test_files_that_cannot_work(tmp_path: Path, text: str, reason: str):
    path = tmp_path / "swift.conf"
    path.write_text(text)
    with pytest.raises(StoreMisconfigured, match=reason) as caught:
        load("objects", SwiftOptions(swift_store_config_file=str(path)))
    assert "secret" not in str(caught.value)


def test_logins_of_version_3():
    user = Credentials(auth_address="", user="service:glance", key=Secret("secret"), project_domain_name="cloud")
    assert identity(user)["password"]["user"]["name"] == "glance"
    assert scope(user) == {"project": {"name": "service", "domain": {"name": "cloud"}}}
    assert scope(msgspec.structs.replace(user, project_id="p1")) == {"project": {"id": "p1"}}
    assert scope(msgspec.structs.replace(user, trust_id="t1")) == {"OS-TRUST:trust": {"id": "t1"}}
    application = Credentials(
        auth_address="", application_credential_id="id", application_credential_secret=Secret("hidden")
    )
    assert identity(application)["methods"] == ["application_credential"]
    assert scope(application) is None


def test_credentials_of_a_location_go_only_to_the_configured_identity_service():
    own = msgspec.structs.replace(DIRECT, swift_store_auth_address=CLOSED)
    store = SingleTenantStore("objects", own, Tuning(limits=Limits(connect=1, silence=1, answer=1)))
    with pytest.raises(StoreUnavailable):
        store.size("swift+http://other%3Auser:key@127.0.0.1:9/v3/glance/image")
    for foreign in (
        "swift+http://service%3Aglance:se%2Fcret@127.0.0.1:8/v3/glance/image",
        "swift+https://service%3Aglance:se%2Fcret@127.0.0.1:9/v3/glance/image",
        "swift+http://127.0.0.1:9/v3/glance/image",
        "swift+config://ref1/glance/image",
    ):
        with pytest.raises(ForeignLocation):
            store.size(foreign)
    store.close()


def test_a_key_in_a_location_is_not_replaced_by_that_of_the_options():
    """Otherwise who may add locations could read everything in the account with a wrong key."""
    store = SingleTenantStore("objects", DIRECT)
    account, _ = store.locate("swift+https://service%3Aglance:wrong@auth:5000/v3/glance/image")
    own, _ = store.locate("swift+https://service%3Aglance:se%2Fcret@auth:5000/v3/glance/image")
    assert account is not own
    assert own is store.locate("swift+https://service%3Aglance:se%2Fcret@auth:5000/v3/glance/other")[0]


def test_abilities_depend_on_who_owns_the_accounts():
    single = build("objects", DIRECT)
    several = build("objects", msgspec.structs.replace(DIRECT, swift_store_multi_tenant=True))
    for ability in (DeletionCheck, Listing, Presigning, Probed):
        assert isinstance(single, ability)
        assert isinstance(several, ability)
    assert isinstance(single, Prefixed)
    assert not isinstance(several, Prefixed)
    assert isinstance(several, AccessLists)
    assert not isinstance(single, AccessLists)


def test_secrets_are_not_printed():
    assert "se/cret" not in repr(DIRECT)
    assert "se/cret" not in repr(load("objects", DIRECT))
    assert DRIVER.details(DIRECT) == {"container": "glance", "large_object_size": 5120, "large_object_chunk_size": 200}
