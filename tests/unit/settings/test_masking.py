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
