"""``[database]``: every option of Glance, under the names of all releases (configuration 5.1)."""

from __future__ import annotations

from typing import Any

import pytest

from glimpse.settings.show import as_text, shown
from glimpse.settings.startup import pool_of_jobs, pool_of_service, with_pool
from tests.unit.settings.conftest import Loader

ALL = """
[database]
connection = mysql+pymysql://glance:secret@db/glance?charset=utf8
slave_connection = mysql+pymysql://glance:secret@replica/glance
synchronous_reader = false
connection_parameters = read_timeout=30
max_pool_size = 7
max_overflow = -1
pool_timeout = 9
connection_recycle_time = 11
max_retries = -1
retry_interval = 13
use_db_reconnect = true
db_max_retries = 15
db_retry_interval = 2
db_inc_retry_interval = false
db_max_retry_interval = 17
mysql_sql_mode =
mysql_wsrep_sync_wait = 1
sqlite_synchronous = false
connection_debug = 50
connection_trace = true
"""


def test_every_option_is_read(loaded: Loader) -> None:
    result = loaded(ALL)
    database = result.settings.database
    assert database.connection == "mysql+pymysql://glance:secret@db/glance?charset=utf8&read_timeout=30"
    assert database.slave_connection == "mysql+pymysql://glance:secret@replica/glance?read_timeout=30"
    expected: dict[str, Any] = {
        "synchronous_reader": False,
        "max_pool_size": 7,
        "max_overflow": -1,
        "pool_timeout": 9,
        "connection_recycle_time": 11,
        "max_retries": -1,
        "retry_interval": 13,
        "use_db_reconnect": True,
        "db_max_retries": 15,
        "db_retry_interval": 2,
        "db_inc_retry_interval": False,
        "db_max_retry_interval": 17,
        "mysql_sql_mode": "",
        "mysql_wsrep_sync_wait": 1,
        "sqlite_synchronous": False,
        "connection_debug": 50,
        "connection_trace": True,
    }
    assert {name: getattr(database, name) for name in expected} == expected
    assert result.remarks == ()


def test_no_password_is_shown(loaded: Loader) -> None:
    shown = as_text(loaded(ALL).settings)
    assert "secret" not in shown
    assert "slave_connection = mysql+pymysql://glance:***@replica/glance?read_timeout=30" in shown
    assert "mysql+pymysql://glance:***@db/glance" in shown


@pytest.mark.parametrize(
    ("text", "field", "value"),
    [
        ("[DEFAULT]\nsql_connection = mysql://u:p@h/d", "connection", "mysql://u:p@h/d"),
        ("[DATABASE]\nsql_connection = mysql://u:p@h/d", "connection", "mysql://u:p@h/d"),
        ("[sql]\nconnection = mysql://u:p@h/d", "connection", "mysql://u:p@h/d"),
        ("[database]\nidle_timeout = 5", "connection_recycle_time", 5),
        ("[DATABASE]\nsql_idle_timeout = 5", "connection_recycle_time", 5),
        ("[DEFAULT]\nsql_idle_timeout = 5", "connection_recycle_time", 5),
        ("[sql]\nidle_timeout = 5", "connection_recycle_time", 5),
        ("[DEFAULT]\nsql_max_pool_size = 5", "max_pool_size", 5),
        ("[database]\nsql_max_pool_size = 5", "max_pool_size", 5),
        ("[DEFAULT]\nsql_max_retries = 5", "max_retries", 5),
        ("[database]\nsql_max_retries = 5", "max_retries", 5),
        ("[DEFAULT]\nsql_retry_interval = 5", "retry_interval", 5),
        ("[database]\nreconnect_interval = 5", "retry_interval", 5),
        ("[DEFAULT]\nsql_max_overflow = 5", "max_overflow", 5),
        ("[database]\nsqlalchemy_max_overflow = 5", "max_overflow", 5),
        ("[database]\nsqlalchemy_pool_timeout = 5", "pool_timeout", 5),
        ("[DEFAULT]\nsql_connection_debug = 5", "connection_debug", 5),
        ("[DEFAULT]\nsql_connection_trace = true", "connection_trace", True),
    ],
)
def test_former_names_are_read_and_told(loaded: Loader, text: str, field: str, value: object) -> None:
    result = loaded(text)
    assert getattr(result.settings.database, field) == value
    [remark] = result.remarks
    assert "has moved to [database]" in remark


@pytest.mark.parametrize("name", ["backend", "asyncio_connection", "asyncio_slave_connection"])
def test_options_without_effect_are_told(loaded: Loader, name: str) -> None:
    [remark] = loaded(f"[database]\n{name} = sqlalchemy").remarks
    assert f"[database] {name}" in remark
    assert remark.endswith("has no effect here")


def test_an_empty_replica_is_none(loaded: Loader) -> None:
    assert loaded("[database]\nslave_connection =\n").settings.database.slave_connection is None


def test_an_unset_pool_is_as_large_as_the_threads_that_use_it(loaded: Loader) -> None:
    settings = loaded("[glimpse]\nrequest_threads = 20\njob_threads = 3\n").settings
    assert settings.database.max_pool_size is None
    assert shown(settings)["database"]["max_pool_size"] == pool_of_service(settings) == 27
    assert with_pool(settings.database, 25).max_pool_size == 25
    assert pool_of_jobs(4) == 8


def test_a_pool_that_is_set_stays_so(loaded: Loader) -> None:
    for size in (0, 5):
        settings = loaded(f"[glimpse]\nrequest_threads = 20\n[database]\nmax_pool_size = {size}\n").settings
        assert shown(settings)["database"]["max_pool_size"] == size
        assert with_pool(settings.database, 25).max_pool_size == size
