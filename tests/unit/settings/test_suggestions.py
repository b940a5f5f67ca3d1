"""Unknown names are reported as warnings with suggestions; all errors are reported at once."""

from __future__ import annotations

import pytest

from glimpse.settings.errors import SettingsError
from tests.unit.settings.conftest import Loader


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("[DEFAULT]\nbind_prot = 1", "[DEFAULT] bind_port"),
        ("[DEFAULT]\nshow_multiple_location = true", "[DEFAULT] show_multiple_locations"),
        ("[DEFAULT]\nworkrs = 3", "[DEFAULT] workers"),
        ("[DEFAULT]\nimage-cache-dri = /x", "[DEFAULT] image_cache_dir"),
        ("[databse]\nmax_retries = 3", "[database] max_retries"),
        ("[databse]\nmax_retires = 3", "[database] max_retries"),
        ("[database]\nmax_overflw = 3", "[database] max_overflow"),
        ("[DEFAULT]\nenforce_new_defaults = true", "[oslo_policy] enforce_new_defaults"),
        ("[oslo_policy]\npolicy_fil = x", "[oslo_policy] policy_file"),
        ("[keystone_authtoken]\nservice_token_role = x", "[keystone_authtoken] service_token_roles"),
        ("[oslo_messaging_rabbit]\nhartbeat_rate = 1", "[oslo_messaging_rabbit] heartbeat_rate"),
        ("[glance_store]\nfilesystem_store_datdir = /x", "[glance_store] filesystem_store_datadir"),
        ("[cors.horizon]\nallowed_orgin = https://h", "[cors.horizon] allowed_origin"),
        ("[oslo_limit]\nendpoint_idd = x", "[oslo_limit] endpoint_id"),
        (
            "[DEFAULT]\nenabled_backends=fast:file\n[glance_store]\ndefault_backend=fast\n[fast]\nwieght=3\n",
            "[fast] weight",
        ),
    ],
)
def test_a_misspelt_option_is_a_warning_that_names_what_may_be_meant(loaded: Loader, text: str, meant: str) -> None:
    [warning] = [line for line in loaded(text).warnings if "is unknown" in line]
    assert warning.endswith(f"is unknown and has no effect; did you mean {meant}?")


def test_a_name_like_nothing_is_a_warning_without_a_guess(loaded: Loader) -> None:
    [warning] = loaded("[DEFAULT]\nzzyzx = 1").warnings
    assert warning.endswith("is unknown and has no effect")


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("OS_DEFAULT__BIND_PROT", "[DEFAULT] bind_port"),
        ("OS_DATABASE__CONECTION", "[database] connection"),
        ("GLIMPSE_DATADIR", "GLIMPSE_DATA_DIR"),
    ],
)
def test_a_misspelt_variable_is_a_warning_too(loaded: Loader, variable: str, meant: str) -> None:
    [warning] = loaded(environ={variable: "x"}).warnings
    assert variable in warning
    assert warning.endswith(f"is unknown and has no effect; did you mean {meant}?")


def test_variables_of_clients_and_of_known_options_are_no_warnings(loaded: Loader) -> None:
    environ = {"OS_AUTH_URL": "http://k", "OS_DEFAULT__WORKERS": "2", "OS_KEYSTONE_AUTHTOKEN__PASSWORD": "p"}
    assert loaded(environ=environ).warnings == ()


def test_what_has_no_effect_is_a_note(loaded: Loader) -> None:
    result = loaded("[DEFAULT]\nbacklog = 4\nimage_cache_dir = /x\n")
    assert (result.warnings, len(result.notes)) == ((), 2)


def test_all_wrong_values_are_told_at_once(loaded: Loader) -> None:
    with pytest.raises(SettingsError) as told:
        loaded(
            "[DEFAULT]\nbind_port = 0\nworkers = many\n[glimpse]\nauth = ldap\ncolour = red\n[cors.x]\nmax_age = -1\n",
            environ={"GLIMPSE_LEASE_TIME": "soon"},
        )
    assert [reason.split(" ")[1].strip(":") for reason in told.value.reasons] == [
        "colour", "auth", "lease_time", "bind_port", "workers", "max_age",
    ]  # fmt: skip


def test_a_wrong_store_and_a_wrong_identity_are_told_together(loaded: Loader) -> None:
    with pytest.raises(SettingsError) as told:
        loaded("[glimpse]\nauth = basic\n[glance_store]\ndefault_store = carrier-pigeon\n")
    assert len(told.value.reasons) == 2


def test_every_broken_file_is_told(loaded: Loader) -> None:
    with pytest.raises(SettingsError) as told:
        loaded("[DEFAULT\n", "nothing\n")
    assert len(told.value.reasons) == 2
