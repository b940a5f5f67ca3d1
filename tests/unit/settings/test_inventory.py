"""Every option of Glance's files is accepted, and its handling is reported (configuration 3-7)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from glimpse.domain.task import LONGEST_KEEP_HOURS
from glimpse.settings.inventory import OPTIONS, State, state_of
from glimpse.settings.model import Settings
from glimpse.settings.unread_options import NOT_USED_YET, REMOVED, WITHOUT_EFFECT
from tests.unit.settings.conftest import DRIVERS, Loader

DRIVER_OPTIONS = {name for driver in DRIVERS.values() for name in driver.options.__struct_fields__}


@pytest.mark.parametrize(
    ("section", "name", "state"),
    [
        ("DEFAULT", "bind_host", State.USED),
        ("DEFAULT", "disk_formats", State.USED),
        ("DEFAULT", "task_time_to_live", State.USED),
        ("DEFAULT", "transport_url", State.USED),
        ("DEFAULT", "log_config_append", State.NOT_USED_YET),
        ("DEFAULT", "backlog", State.REMOVED),
        ("DEFAULT", "registry_client_timeout", State.REMOVED),
        ("DEFAULT", "bind_hots", State.UNKNOWN),
        ("nobody", "bind_host", State.UNKNOWN),
        ("glance_store", "filesystem_store_datadir", State.USED),
        ("glance_store", "vmware_server_password", State.NOT_USED_YET),
        ("glance_store", "vmware_insecure", State.NOT_USED_YET),
        ("backend_defaults", "filesystem_store_chunk_size", State.USED),
        ("os_glance_staging_store", "filesystem_store_datadir", State.USED),
        ("keystone_authtoken", "password", State.USED),
        ("keystone_authtoken", "admin_tenant_name", State.REMOVED),
        ("keystone_authtoken", "auth_uri", State.REMOVED),
        ("oslo_policy", "enforce_scope", State.REMOVED),
        ("oslo_messaging_rabbit", "heartbeat_rate", State.USED),
        ("oslo_limit", "endpoint_id", State.USED),
        ("vault", "root_token_id", State.USED),
        ("profiler", "enabled", State.NOT_USED_YET),
        ("database", "synchronous_reader", State.USED),
        ("database", "idle_timeout", State.USED),
        ("sql", "connection", State.USED),
        ("DEFAULT", "sql_connection", State.USED),
        ("database", "backend", State.WITHOUT_EFFECT),
        ("database", "asyncio_connection", State.WITHOUT_EFFECT),
        ("database", "use_tpool", State.REMOVED),
        ("fast", "weight", State.USED),
        ("fast", "vmware_datastores", State.NOT_USED_YET),
        ("fast", "colour", State.UNKNOWN),
    ],
)
def test_states(section: str, name: str, state: State) -> None:
    assert state_of(section, name, {"fast"}, DRIVER_OPTIONS) is state


def test_no_option_has_two_states() -> None:
    used = {option.place for option in OPTIONS if option.used}
    later = {(section, name) for section, names in NOT_USED_YET.items() for name in names}
    removed = {(section, name) for section, names in REMOVED.items() for name in names}
    assert not used & later
    assert not used & removed
    assert not later & removed
    without = {(section, name) for section, names in WITHOUT_EFFECT.items() for name in names}
    assert not without & (used | later | removed)


def test_no_option_is_listed_twice() -> None:
    places = [option.place for option in OPTIONS]
    assert len(places) == len(set(places))


def test_tasks_are_kept_at_most_as_long_as_the_database_accepts() -> None:
    [option] = [option for option in OPTIONS if option.name == "task_time_to_live"]
    assert option.maximum == LONGEST_KEEP_HOURS


def test_a_file_with_every_known_option_is_accepted(loaded: Loader) -> None:
    """Names without types get a text; options with one get a value that it takes."""
    sections: dict[str, list[str]] = {}
    for table in (NOT_USED_YET, REMOVED, WITHOUT_EFFECT):
        for section, names in table.items():
            sections.setdefault(section, []).extend(f"{name} = x" for name in sorted(names))
    for section, name in {("DEFAULT", "registry_host"), ("DEFAULT", "bind_port")}:
        sections.setdefault(section, []).append(f"{name} = 1234")
    text = "\n".join(f"[{section}]\n" + "\n".join(lines) for section, lines in sections.items())
    result = loaded(text)
    assert result.settings.listen.port == 1234
    assert not [remark for remark in result.remarks if "not known" in remark]


def test_every_target_is_a_field_of_the_settings() -> None:
    parts: dict[str, Any] = {field.name: field.type for field in msgspec.structs.fields(Settings)}
    for option in OPTIONS:
        if option.target and "." in option.target:
            part, name = option.target.split(".")
            assert name in {field.name for field in msgspec.structs.fields(parts[part])}, option.target
