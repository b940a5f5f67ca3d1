"""Every configuration error is one line that names the place and the allowed values."""

from __future__ import annotations

from pathlib import Path

import pytest

from glimpse.settings.errors import SettingsError
from tests.unit.settings.conftest import Loader

NAMED = "[DEFAULT]\nenabled_backends = a:file, b:file\n"

#: A configuration file, and what the message must say.
WRONG = [
    ("[DEFAULT]\nbind_port = http\n", "[DEFAULT] bind_port = http", "a whole number from 1 to 65535"),
    ("[DEFAULT]\nbind_port = 70000\n", "[DEFAULT] bind_port = 70000", "from 1 to 65535"),
    ("[DEFAULT]\nbind_port = 0\n", "[DEFAULT] bind_port = 0", "from 1 to 65535"),
    ("[DEFAULT]\nbind_host =\n", '[DEFAULT] bind_host = ""', "must not be empty"),
    ("[DEFAULT]\nworkers = -1\n", "[DEFAULT] workers = -1", "from 0"),
    ("[DEFAULT]\ndebug = perhaps\n", "[DEFAULT] debug = perhaps", "true or false"),
    ("[DEFAULT]\nimage_size_cap = 0\n", "[DEFAULT] image_size_cap = 0", "a whole number from 1"),
    ("[DEFAULT]\napi_limit_max = 0\n", "[DEFAULT] api_limit_max = 0", "of at least 1"),
    ("[DEFAULT]\nlimit_param_default = -3\n", "[DEFAULT] limit_param_default = -3", "of at least 1"),
    ("[DEFAULT]\nmax_request_id_length = -1\n", "[DEFAULT] max_request_id_length = -1", "of at least 0"),
    ("[DEFAULT]\npublic_endpoint = images.example.org\n", "[DEFAULT] public_endpoint", "http://"),
    ("[DEFAULT]\npublic_endpoint = http://[1\n", "[DEFAULT] public_endpoint", "http://"),
    ("[DEFAULT]\nhashing_algorithm = sha513\n", "[DEFAULT] hashing_algorithm = sha513", "hashlib"),
    ("[DEFAULT]\nhashing_algorithm = shake_128\n", "[DEFAULT] hashing_algorithm = shake_128", "hashlib"),
    ("[DEFAULT]\ndefault_log_levels = amqp\n", "[DEFAULT] default_log_levels = amqp", "logger=LEVEL"),
    ("[DEFAULT]\ndefault_log_levels = amqp=LOUD\n", "default_log_levels", "logger=LEVEL"),
    ("[image_format]\ndisk_formats =\n", '[image_format] disk_formats = ""', "at least one format"),
    ("[DEFAULT]\ndisk_formats = raw,raw\n", "[image_format] disk_formats = raw,raw", "twice"),
    ("[image_format]\ncontainer_formats = bare,,ova\n", "container_formats", "no empty one"),
    ("[DEFAULT]\nenabled_import_methods = [web-download\n", "enabled_import_methods", "square brackets"),
    ("[DEFAULT]\nenabled_import_methods = [web-upload]\n", "enabled_import_methods", "'web-upload'"),
    ("[image_import_opts]\nimage_import_plugins = image_conversion]\n", "image_import_plugins", "square brackets"),
    ("[image_import_opts]\nimage_import_plugins = no_op,site\n", "image_import_plugins", "'site'"),
    ("[image_import_opts]\nimage_import_plugins = no_op,no_op\n", "image_import_plugins", "twice"),
    ("[import_filtering_opts]\nallowed_ports = [80,x]\n", "allowed_ports", "'x'"),
    ("[DEFAULT]\nuser_storage_quota = 10gb\n", "user_storage_quota = 10gb", "upper case"),
    ("[DEFAULT]\nnode_staging_uri = /srv/staging\n", "node_staging_uri", "file:///path"),
    ("[DEFAULT]\nimage_cache_driver = redis\n", "image_cache_driver = redis", "centralized_db"),
    ("[image_conversion]\noutput_format = vhd\n", "output_format = vhd", "qcow2, raw, vmdk"),
    ("[inject_metadata_properties]\ninject = a\n", "inject = a", "name:value"),
    ("[inject_metadata_properties]\ninject = owner:x\n", "inject = owner:x", "owner is an attribute"),
    ("[healthcheck]\nallowed_source_ranges = 10.0.0.0/64\n", "allowed_source_ranges", "'10.0.0.0/64'"),
    ("[database]\nmax_pool_size = -1\n", "[database] max_pool_size = -1", "of at least 0"),
    ("[database]\nconnection = glance\n", "[database] connection", "a database URL"),
    ("[DEFAULT]\nlog_file = $nowhere/x.log\n", "log_file = $nowhere/x.log", "after a $"),
    ("[paste_deploy]\nflavor = keystone+audit\n", "flavor = keystone+audit", "[glimpse] auth"),
    ("[glimpse]\nauth = ldap\n", "[glimpse] auth = ldap", "none, basic, headers, keystone"),
    ("[glimpse]\nauth = basic\n", "[glimpse] htpasswd_file", "must be set for auth basic"),
    ("[glimpse]\nauth = headers\ntrusted_proxies =\n", "[glimpse] trusted_proxies", "must list at least one network"),
    ("[glimpse]\ntrusted_proxies = 10.0.0.1/8\n", "trusted_proxies = 10.0.0.1/8", "IP addresses or networks"),
    ("[glimpse]\nserver = gunicorn\n", "server = gunicorn", "granian, uvicorn"),
    ("[glimpse]\ndrain_time = -1\n", "drain_time = -1", "of at least 0"),
    ("[glimpse]\nbody_timeout = 0\n", "body_timeout = 0", "more than 0"),
    ("[glimpse]\nrequest_threads = 0\n", "request_threads = 0", "from 1 to 1024"),
    ("[glimpse]\nlog_format = xml\n", "log_format = xml", "classic, json"),
    ("[glimpse]\nlease_time = 4\n", "lease_heartbeat = 5", "half of lease_time"),
    ("[glimpse]\nmetrics_port = 9292\n", "metrics_port = 9292", "must not be bind_port"),
    ("[glimpse]\ndata_dir = /srv/what?\n", "data_dir = /srv/what?", "question mark"),
    ("[glimpse]\natuh = basic\n", "[glimpse] atuh", "did you mean auth?"),
    ("[DEFAULT]\nenabled_backends = a\n", "enabled_backends = a", "name:value"),
    ("[DEFAULT]\nenabled_backends = os_glance_x:file\n", "os_glance_x:file", "reserved"),
    ("[DEFAULT]\nenabled_backends = database:file\n", "database:file", "reserved"),
    ("[DEFAULT]\nenabled_backends = a:tape\n", "a:tape", "each id: file, memory"),
    (NAMED, "[glance_store] default_backend", "one of a, b"),
    (NAMED + "[glance_store]\ndefault_backend = c\n", "default_backend = c", "one of a, b"),
    (
        "[DEFAULT]\nenabled_backends = a:vmware\n[glance_store]\ndefault_backend = a\n",
        "default_backend = a",
        "no stores of kind vmware",
    ),
    (NAMED + "[glance_store]\ndefault_backend = a\n[a]\nweight = heavy\n", "[a] weight = heavy", "a whole number"),
    (
        NAMED + "[glance_store]\ndefault_backend = a\n[b]\nfilesystem_store_file_perm = 680\n",
        "[b] filesystem_store_file_perm = 680",
        "octal",
    ),
    (
        NAMED + "[glance_store]\ndefault_backend = a\n[backend_defaults]\nfilesystem_store_chunk_size = 0\n",
        "[backend_defaults] filesystem_store_chunk_size = 0",
        "of at least 1",
    ),
    ("[glance_store]\nstores =\n", '[glance_store] stores = ""', "must not be empty"),
    ("[glance_store]\ndefault_store = rbd\n", "default_store = rbd", "file, http"),
    ("[glance_store]\nstores = vsphere\ndefault_store = vsphere\n", "default_store = vsphere", "kind vmware"),
]


@pytest.mark.parametrize(("text", "option", "allowed"), WRONG, ids=[f"{o} {a}" for _, o, a in WRONG])
def test_wrong_values(loaded: Loader, text: str, option: str, allowed: str) -> None:
    with pytest.raises(SettingsError) as raised:
        loaded(text)
    message = str(raised.value)
    assert option in message
    assert allowed in message
    assert "\n" not in message


def test_the_file_is_named(loaded: Loader, tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as raised:
        loaded("[DEFAULT]\nworkers = 1\n", "[DEFAULT]\nworkers = many\n")
    assert str(tmp_path / "file1.conf") in str(raised.value)


def test_the_variable_is_named(loaded: Loader) -> None:
    with pytest.raises(SettingsError, match=r"bind_port = x \(environment variable OS_DEFAULT__BIND_PORT\)"):
        loaded(environ={"OS_DEFAULT__BIND_PORT": "x"})


def test_the_switch_is_named(loaded: Loader) -> None:
    with pytest.raises(SettingsError, match=r"bind_port = 0 \(--switch\)"):
        loaded(command_line={("DEFAULT", "bind_port"): "0"})


@pytest.mark.parametrize(
    "text",
    [
        "[database]\nconnection = hunter2hunter2\n",
        "[database]\nslave_connection = hunter2hunter2\n",
        "[DEFAULT]\ntransport_url = rabbit://u:hunter2hunter2$x@h\n",
    ],
)
def test_values_of_secrets_are_not_shown(loaded: Loader, text: str) -> None:
    with pytest.raises(SettingsError) as raised:
        loaded(text)
    assert "hunter2" not in str(raised.value)


def test_long_values_are_cut(loaded: Loader) -> None:
    with pytest.raises(SettingsError) as raised:
        loaded(f"[DEFAULT]\nhashing_algorithm = {'x' * 5000}\n")
    assert len(str(raised.value)) < 500


def test_values_of_several_lines_stay_on_one(loaded: Loader) -> None:
    with pytest.raises(SettingsError) as raised:
        loaded("[DEFAULT]\nhashing_algorithm = one\n  two\n")
    assert r"one\ntwo" in str(raised.value)


class TestFiles:
    def test_missing(self, loaded: Loader, tmp_path: Path) -> None:
        (tmp_path / "conf").mkdir()
        (tmp_path / "conf" / "gone.conf").symlink_to(tmp_path / "nowhere")
        with pytest.raises(SettingsError, match=r"gone\.conf cannot be read: No such file"):
            loaded(config_dirs=(tmp_path / "conf",))

    def test_missing_directory(self, loaded: Loader, tmp_path: Path) -> None:
        with pytest.raises(SettingsError, match="nowhere does not exist"):
            loaded(config_dirs=(tmp_path / "nowhere",))

    def test_not_a_configuration_file(self, loaded: Loader) -> None:
        with pytest.raises(SettingsError) as raised:
            loaded("[DEFAULT]\nbind_port = 1\nhunter2hunter2\n")
        assert "line 3" in str(raised.value)
        assert "hunter2" not in str(raised.value)

    def test_option_without_a_section(self, loaded: Loader) -> None:
        with pytest.raises(SettingsError, match="line 1"):
            loaded("bind_port = 1\n")

    def test_not_text(self, loaded: Loader, tmp_path: Path) -> None:
        (tmp_path / "conf").mkdir()
        (tmp_path / "conf" / "a.conf").write_bytes(b"[DEFAULT]\nx = \xff\xfe\n")
        with pytest.raises(SettingsError, match="not UTF-8 text"):
            loaded(config_dirs=(tmp_path / "conf",))

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("{", "is not JSON"),
            ("[]", "must be a JSON object"),
            ('{"a": 1}', "each property"),
            ('{"properties": []}', "each property"),
        ],
    )
    def test_custom_schema(self, loaded: Loader, tmp_path: Path, content: str, message: str) -> None:
        (tmp_path / "schema-image.json").write_text(content)
        with pytest.raises(SettingsError, match=message):
            loaded("")
