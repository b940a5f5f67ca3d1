"""Which sources are read, and which wins (configuration 1)."""

from __future__ import annotations

from pathlib import Path

import pytest

from glimpse.settings.errors import SettingsError
from glimpse.settings.files import configuration_files
from glimpse.settings.load import Sources, load
from glimpse.stores.filesystem.options import FilesystemOptions
from tests.unit.settings.conftest import DRIVERS, Loader


def write(file: Path, text: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


class TestDefault:
    def test_nothing_is_sought(self, loaded: Loader) -> None:
        settings = loaded().settings
        assert settings.config_files == ()
        assert (settings.listen.host, settings.listen.port, settings.auth.kind) == ("127.0.0.1", 9292, "none")

    def test_everything_is_below_the_data_directory(self, loaded: Loader) -> None:
        settings = loaded().settings
        assert settings.data_dir == Path("/home/operator/.local/share/glimpse")
        assert settings.database.connection == "sqlite:////home/operator/.local/share/glimpse/glimpse.sqlite"
        (store,) = settings.stores.stores
        assert isinstance(store.options, FilesystemOptions)
        assert store.options.filesystem_store_datadir == "/home/operator/.local/share/glimpse/images"

    @pytest.mark.parametrize(
        ("environ", "expected"),
        [
            ({"XDG_DATA_HOME": "/x"}, "/x/glimpse"),
            ({"XDG_DATA_HOME": "relative"}, "/home/operator/.local/share/glimpse"),
            ({"XDG_DATA_HOME": "/x", "GLIMPSE_DATA_DIR": "/y"}, "/y"),
        ],
    )
    def test_data_directory(self, loaded: Loader, environ: dict[str, str], expected: str) -> None:
        assert str(loaded(environ=environ).settings.data_dir) == expected

    def test_without_a_home(self) -> None:
        with pytest.raises(SettingsError, match="no home directory"):
            load(Sources(), DRIVERS)

    def test_images_stay_where_the_field_has_them_with_a_database_of_the_operator(self, loaded: Loader) -> None:
        (store,) = loaded("[database]\nconnection = sqlite:////srv/glance.sqlite\n").settings.stores.stores
        assert isinstance(store.options, FilesystemOptions)
        assert store.options.filesystem_store_datadir == "/var/lib/glance/images"

    def test_an_own_file_without_a_database_is_embedded(self, loaded: Loader) -> None:
        settings = loaded("[glimpse]\ndata_dir = /srv/glimpse\n").settings
        assert settings.database.connection == "sqlite:////srv/glimpse/glimpse.sqlite"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[web-download,copy-image]", ("web-download", "copy-image")),
        ("web-download, copy-image", ("web-download", "copy-image")),
        ("[ glance-direct ]", ("glance-direct",)),
        ("[]", ()),
        ("", ()),
    ],
)
def test_lists_that_glance_wants_in_brackets_may_be_without(
    loaded: Loader, text: str, expected: tuple[str, ...]
) -> None:
    """imports-and-stores 12."""
    found = loaded(f"[DEFAULT]\nenabled_import_methods = {text}\n").settings
    assert found.imports.enabled_import_methods == expected


class TestPrecedence:
    def test_later_files_win(self, loaded: Loader) -> None:
        settings = loaded("[DEFAULT]\nbind_port = 1001\nworkers = 2\n", "[DEFAULT]\nbind_port = 1002\n").settings
        assert (settings.listen.port, settings.listen.workers) == (1002, 2)

    def test_the_environment_wins_over_files(self, loaded: Loader) -> None:
        environ = {"OS_DEFAULT__BIND_PORT": "1003", "GLIMPSE_LOG_FORMAT": "json"}
        settings = loaded("[DEFAULT]\nbind_port = 1001\n[glimpse]\nlog_format = classic\n", environ=environ).settings
        assert (settings.listen.port, settings.logging.format) == (1003, "json")

    def test_the_command_line_wins_over_the_environment(self, loaded: Loader) -> None:
        settings = loaded(
            "[DEFAULT]\nbind_port = 1001\n",
            environ={"OS_DEFAULT__BIND_PORT": "1003"},
            command_line={("DEFAULT", "bind_port"): "1004"},
        ).settings
        assert settings.listen.port == 1004

    def test_the_environment_reaches_sections_of_stores(self, loaded: Loader) -> None:
        settings = loaded(
            "[DEFAULT]\nenabled_backends = one:file\n[glance_store]\ndefault_backend = one\n",
            environ={"OS_ONE__FILESYSTEM_STORE_DATADIR": "/srv/one"},
        ).settings
        (store,) = settings.stores.stores
        assert isinstance(store.options, FilesystemOptions)
        assert store.options.filesystem_store_datadir == "/srv/one"

    def test_a_repeated_option_from_the_environment_is_one_value(self, loaded: Loader) -> None:
        settings = loaded(environ={"OS_OSLO_POLICY__POLICY_DIRS": "/etc/site.d"}).settings
        assert settings.policy.policy_dirs == ("/etc/site.d",)

    def test_an_unknown_variable_is_reported(self, loaded: Loader) -> None:
        assert loaded(environ={"GLIMPSE_ATUH": "basic"}).remarks == (
            "Environment variable GLIMPSE_ATUH is unknown and has no effect; did you mean GLIMPSE_AUTH?",
        )

    def test_dashes_are_underscores(self, loaded: Loader) -> None:
        assert loaded("[DEFAULT]\nbind-port = 1001\n").settings.listen.port == 1001

    def test_references_to_other_options(self, loaded: Loader) -> None:
        settings = loaded("[DEFAULT]\nlog_dir = /var/log/x\nlog_file = $log_dir/a.log\n").settings
        assert settings.logging.file == Path("/var/log/x/a.log")

    def test_zero_workers_are_one(self, loaded: Loader) -> None:
        assert loaded("[DEFAULT]\nworkers = 0\n").settings.listen.workers == 1

    def test_the_page_size_is_cut_to_the_largest(self, loaded: Loader) -> None:
        settings = loaded("[DEFAULT]\nlimit_param_default = 99\napi_limit_max = 10\n").settings
        assert settings.limits.limit_param_default == 10


class TestFiles:
    def test_order(self, tmp_path: Path) -> None:
        api = write(tmp_path / "etc/glance-api.conf", "")
        imports = write(tmp_path / "etc/glance-image-import.conf", "")
        second = write(tmp_path / "etc/glance-api.conf.d/20.conf", "")
        first = write(tmp_path / "etc/glance-api.conf.d/10.conf", "")
        common = write(tmp_path / "etc/glance.conf.d/50.conf", "")
        write(tmp_path / "etc/glance-api.conf.d/notes.txt", "")
        extra = write(tmp_path / "extra/one.conf", "")
        found = configuration_files((api,), (tmp_path / "extra",))
        assert found == (imports, api, common, first, second, extra)

    def test_import_options_are_read_before_the_api_file(self, tmp_path: Path) -> None:
        write(tmp_path / "glance-image-import.conf", "[DEFAULT]\nworkers = 2\nbind_port = 1000\n")
        api = write(tmp_path / "glance-api.conf", "[DEFAULT]\nworkers = 3\n")
        settings = load(Sources(config_files=(api,), environ={"HOME": "/h"}), DRIVERS).settings
        assert (settings.listen.workers, settings.listen.port) == (3, 1000)

    def test_a_directory_alone(self, loaded: Loader, tmp_path: Path) -> None:
        write(tmp_path / "conf/a.conf", "[DEFAULT]\nworkers = 7\n")
        settings = loaded(config_dirs=(tmp_path / "conf",)).settings
        assert settings.listen.workers == 7
        assert settings.policy.config_dirs == (tmp_path / "conf",)

    def test_custom_schema(self, loaded: Loader, tmp_path: Path) -> None:
        write(tmp_path / "schema-image.json", '{"kernel_id": {"type": "string"}}')
        assert loaded("").settings.custom_schema == {"kernel_id": {"type": "string"}}


class TestIdentity:
    @pytest.mark.parametrize(
        ("flavor", "kind"),
        [
            ("", "none"),
            ("caching", "none"),
            ("cachemanagement", "none"),
            ("keystone", "keystone"),
            ("keystone+caching", "keystone"),
            ("keystone+cachemanagement", "keystone"),
        ],
    )
    def test_flavor_decides(self, loaded: Loader, flavor: str, kind: str) -> None:
        assert loaded(f"[paste_deploy]\nflavor = {flavor}\n").settings.auth.kind == kind

    def test_own_option_wins_over_the_flavor(self, loaded: Loader) -> None:
        text = "[paste_deploy]\nflavor = keystone+audit\n[glimpse]\nauth = headers\ntrusted_proxies = 10.0.0.0/8\n"
        auth = loaded(text).settings.auth
        assert (auth.kind, auth.trusted_proxies) == ("headers", ("10.0.0.0/8",))

    def test_basic(self, loaded: Loader) -> None:
        auth = loaded("[glimpse]\nauth = basic\nhtpasswd_file = /etc/glimpse/htpasswd\n").settings.auth
        assert (auth.kind, auth.htpasswd_file) == ("basic", Path("/etc/glimpse/htpasswd"))


@pytest.mark.parametrize(
    ("text", "store"),
    [
        ("[DEFAULT]\nenabled_backends = ram:memory\n[glance_store]\ndefault_backend = ram\n", "ram"),
        ("[glance_store]\nstores = memory\ndefault_store = memory\n", "default"),
    ],
)
def test_a_store_in_memory_is_warned_of(loaded: Loader, text: str, store: str) -> None:
    (warning,) = loaded(text).warnings
    assert warning.startswith(f"Store {store} keeps images in memory: all of them are lost when the process ends")
