"""Secrets are never shown, whatever characters they contain."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import msgspec
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from glimpse.settings.database_url import masked_url
from glimpse.settings.load import Sources, load
from glimpse.settings.model import DatabaseSettings, Secret, Settings, Stores, StoreSettings
from glimpse.settings.show import as_json, as_text
from glimpse.settings.store_options import driver_options
from glimpse.stores.all import DRIVERS as ALL
from tests.unit.settings.conftest import DRIVERS

#: Begins with what no other text of the output has.
SECRETS = st.text(st.characters(blacklist_categories=("Cs", "Cc", "Zl", "Zp", "Zs")), min_size=1, max_size=24).map(
    lambda tail: f"Zq7{tail}"
)


class KeyedOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Options of a driver with credentials, some typed as secrets and some known by their names."""

    s3_store_host: str = "s3.example.org"
    s3_store_access_key: Annotated[str, msgspec.Meta(description="Key.")] = ""
    s3_store_secret_key: Secret | None = None
    swift_store_application_credential_secret: str | None = None
    cinder_store_password: str | None = None


DEFAULTS = load(Sources(environ={"HOME": "/h"}), DRIVERS).settings


def with_secrets(url: str, secret: str) -> Settings:
    options = KeyedOptions(
        s3_store_access_key=secret,
        s3_store_secret_key=Secret(secret),
        swift_store_application_credential_secret=secret,
        cinder_store_password=secret,
    )
    return msgspec.structs.replace(
        DEFAULTS,
        database=DatabaseSettings(connection=Secret(url)),
        stores=Stores(default="a", stores=(StoreSettings(id="a", kind="s3", options=options),), named=True),
        config_files=(Path("/etc/glance/glance-api.conf"),),
    )


@hypothesis_settings(deadline=None)
@given(SECRETS, st.booleans(), st.sampled_from(["postgresql+psycopg2://glance:{}@db.example.org:5432/images",
                                               "mysql://glance:{}@db/images?charset=utf8",
                                               "mysql://glance:{}@/images",
                                               "mysql://glance:{}/images",
                                               "postgresql://db/images?user=glance&password={}",
                                               "postgresql://glance@db/images?{}",
                                               "postgresql://db/images?passfile={}&sslmode=require"]))  # fmt: skip
def test_no_secret_is_printed(secret: str, quoted: bool, form: str) -> None:
    written = quote(secret, safe="") if quoted else secret
    settings = with_secrets(form.format(written), written)
    for output in (as_text(settings), as_json(settings), repr(settings.database), masked_url(form.format(written))):
        assert written not in output
        assert "Zq7" not in output


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://glance:secret@db:5432/images", "postgresql://glance:***@db:5432/images"),
        ("postgresql://glance:se@cr/et@db/images", "postgresql://glance:***@db/images"),
        ("mysql+pymysql://glance@db/images?charset=utf8", "mysql+pymysql://glance@db/images?charset=utf8"),
        ("mysql://db/images?ssl_key=x&charset=utf8", "mysql://db/images?ssl_key=***&charset=utf8"),
        ("postgresql://[::1]:5432/images", "postgresql://[::1]:5432/images"),
        ("sqlite:////srv/glimpse.sqlite", "sqlite:////srv/glimpse.sqlite"),
        ("rabbit://openstack:secret@controller:5672/", "rabbit://openstack:***@controller:5672/"),
        ("postgresql://db/images?user=u&password=se@cret", "postgresql://***"),
        ("mysql://glance:secret/images", "mysql://***"),
        ("no url at all", "***"),
    ],
)
def test_user_host_and_database_remain(url: str, shown: str) -> None:
    assert masked_url(url) == shown


SECRET_OPTIONS = [
    (kind, option.name)
    for kind, driver in ALL.items()
    for option in driver_options(driver.options, "a")
    if option.secret
]


def test_the_secrets_of_all_drivers_are_known() -> None:
    assert {name for _, name in SECRET_OPTIONS} >= {
        "cinder_store_application_credential_secret", "cinder_store_password", "s3_store_access_key",
        "s3_store_secret_key", "swift_store_application_credential_secret", "swift_store_key",
    }  # fmt: skip


@pytest.mark.parametrize(("kind", "name"), SECRET_OPTIONS)
def test_no_secret_of_a_driver_is_printed(tmp_path: Path, kind: str, name: str) -> None:
    file = tmp_path / "glance-api.conf"
    file.write_text(
        f"[DEFAULT]\nenabled_backends = a:{kind},b:file\n[glance_store]\ndefault_backend = b\n[a]\n{name} = Zq7secret\n"
    )
    settings = load(Sources(config_files=(file,), environ={"HOME": "/h"}), ALL).settings
    store = next(store for store in settings.stores.stores if store.id == "a")
    assert getattr(store.options, name) == "Zq7secret"
    for output in (as_text(settings), as_json(settings), repr(settings), repr(store.options)):
        assert "Zq7" not in output
    assert f"{name} = ***" in as_text(settings)
