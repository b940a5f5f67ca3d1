"""Complete configuration files of running installations (configuration 3 to 6; store-formats 2)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from glimpse.settings.load import Loaded, Sources, load
from glimpse.settings.model import Secret, Settings, StoreSettings
from glimpse.stores.all import DRIVERS
from glimpse.stores.filesystem.options import FilesystemOptions

Sample = Callable[[str], Path]


def load_file(*files: Path, environ: dict[str, str] | None = None) -> Loaded:
    return load(Sources(config_files=files, environ=environ or {"HOME": "/home/operator"}), DRIVERS)


@pytest.fixture
def single(sample: Sample) -> Settings:
    return load_file(sample("single-store.conf")).settings


@pytest.fixture
def named(sample: Sample) -> Settings:
    return load_file(sample("named-stores.conf")).settings


class TestSingleStore:
    def test_listens_where_the_file_says(self, single: Settings) -> None:
        assert (single.listen.host, single.listen.port, single.listen.workers) == ("10.1.2.3", 19292, 4)

    def test_limits(self, single: Settings) -> None:
        limits = single.limits
        assert (limits.image_property_quota, limits.image_tag_quota) == (64, -1)
        assert (limits.image_member_quota, limits.image_location_quota) == (10, 5)
        assert (limits.limit_param_default, limits.api_limit_max) == (50, 500)
        assert limits.image_size_cap == 53687091200
        assert limits.max_request_id_length == 80

    def test_formats_are_read_from_their_former_section(self, single: Settings) -> None:
        assert single.formats.disk_formats == ("raw", "qcow2", "iso")
        assert single.formats.container_formats == ("bare", "ova")
        assert single.formats.require_image_format_match is False
        assert single.formats.gpt_safety_checks_nonfatal == ("mbr", "gptmbr")
        assert single.formats.hashing_algorithm == "sha256"

    def test_api(self, single: Settings) -> None:
        assert single.api.public_endpoint == "https://images.example.org/image"
        assert single.api.show_image_direct_url is True
        assert single.api.show_multiple_locations is True
        assert single.api.enable_proxy_headers_parsing is True
        assert single.api.healthcheck_disable_file == Path("/etc/glance/down")

    def test_the_cache_is_not_advertised_before_it_exists(self, single: Settings) -> None:
        assert single.api.image_cache is False

    def test_database(self, single: Settings) -> None:
        database = single.database
        assert database.connection == "mysql+pymysql://glance:GLANCE_DBPASS@controller/glance?charset=utf8mb4"
        assert isinstance(database.connection, Secret)
        assert (database.max_pool_size, database.max_overflow, database.pool_timeout) == (20, 30, 12)
        assert database.connection_recycle_time == 280

    def test_logging(self, single: Settings) -> None:
        assert single.logging.debug is True
        assert single.logging.file == Path("/var/log/glance/glance-api.log")
        assert single.logging.format == "classic"
        assert ("amqp", "WARNING") in single.logging.levels
        assert ("glance_store", "DEBUG") in single.logging.levels

    def test_policy(self, single: Settings, sample: Sample) -> None:
        policy = single.policy
        assert policy.policy_file == "/etc/glance/policy.yaml"
        assert policy.policy_dirs == ("/etc/glance/policy.d", "/etc/glance/site.d")
        assert policy.enforce_new_defaults is False
        assert policy.config_dirs == (sample("single-store.conf").parent,)

    def test_a_flavor_with_keystone_means_tokens(self, single: Settings) -> None:
        assert single.auth.kind == "keystone"

    def test_the_store_has_its_options(self, single: Settings) -> None:
        (store,) = single.stores.stores
        assert (store.id, store.kind, single.stores.default, single.stores.named) == (
            "default", "file", "default", False,
        )  # fmt: skip
        assert isinstance(store.options, FilesystemOptions)
        assert store.options.filesystem_store_datadir == "/srv/glance/images"
        assert store.options.filesystem_store_file_perm == 0o640
        assert store.options.filesystem_store_chunk_size == 131072
        assert store.options.filesystem_thin_provisioning is True

    def test_everything_else_is_reported_and_nothing_is_unknown(self, sample: Sample) -> None:
        remarks = load_file(sample("single-store.conf")).remarks
        text = "\n".join(remarks)
        assert "[DEFAULT] image_cache_dir" in text
        assert "[DEFAULT] owner_is_tenant" in text
        assert any("registry_host" in line and "was removed" in line for line in remarks)
        assert any("[keystone_authtoken] admin_user" in line and "was removed" in line for line in remarks)
        assert "[keystone_authtoken] password" not in text
        assert any("vmware is skipped: this version has no stores of this kind" in line for line in remarks)
        assert any("disk_formats" in line and "has moved to [image_format]" in line for line in remarks)
        assert "is unknown" not in text

    def test_remarks_show_no_value(self, sample: Sample) -> None:
        text = "\n".join(load_file(sample("single-store.conf")).remarks)
        for secret in ("RABBIT_PASS", "GLANCE_DBPASS", "SWIFT_PASS", "GLANCE_PASS", "0123456789abcdef"):
            assert secret not in text


class TestNamedStores:
    def by_id(self, settings: Settings) -> dict[str, StoreSettings]:
        return {store.id: store for store in settings.stores.stores}

    def test_stores_without_a_driver_are_left_out(self, named: Settings) -> None:
        assert list(self.by_id(named)) == ["fast", "cheap", "ext"]
        assert (named.stores.default, named.stores.named) == ("fast", True)

    def test_and_reported(self, sample: Sample) -> None:
        text = "\n".join(load_file(sample("named-stores.conf")).remarks)
        assert "Store vsphere is skipped: this version has no stores of kind vmware" in text
        assert "[vsphere] vmware_server_host" in text
        assert "VMWARE_PASS" not in text
        assert "[os_glance_staging_store]" not in text
        assert "[os_glance_tasks_store] filesystem_store_datadir" in text
        assert "is unknown" not in text

    def test_description_and_weight(self, named: Settings) -> None:
        fast, cheap, _ = self.by_id(named).values()
        assert (fast.description, fast.weight) == ("NVMe tier", 10)
        assert (cheap.description, cheap.weight) == (None, 0)

    def test_own_section_then_backend_defaults_then_the_driver(self, named: Settings) -> None:
        fast, cheap, _ = (store.options for store in named.stores.stores)
        assert isinstance(fast, FilesystemOptions)
        assert isinstance(cheap, FilesystemOptions)
        assert (fast.filesystem_store_file_perm, cheap.filesystem_store_file_perm) == (0o600, 0o640)
        assert (fast.filesystem_store_chunk_size, cheap.filesystem_store_chunk_size) == (262144, 262144)
        assert (fast.filesystem_store_datadir, cheap.filesystem_store_datadir) == ("/srv/fast", "/srv/cheap")
        assert fast.filesystem_store_timeout == 0

    def test_an_empty_value_is_a_value(self, tmp_path: Path) -> None:
        file = tmp_path / "glance-api.conf"
        file.write_text(
            "[DEFAULT]\nenabled_backends = one:file\n[glance_store]\ndefault_backend = one\n"
            "[backend_defaults]\nfilesystem_store_datadir = /srv/all\n"
            "[one]\nfilesystem_store_datadir =\nfilesystem_store_datadirs = /a:2\nfilesystem_store_datadirs = /b\n"
        )
        (store,) = load_file(file).settings.stores.stores
        assert isinstance(store.options, FilesystemOptions)
        assert store.options.filesystem_store_datadir == ""
        assert store.options.filesystem_store_datadirs == ("/a:2", "/b")

    def test_an_id_with_capitals_has_its_section(self, tmp_path: Path) -> None:
        file = tmp_path / "glance-api.conf"
        file.write_text(
            "[DEFAULT]\nenabled_backends = Fast:file\n[glance_store]\ndefault_backend = Fast\n"
            "[Fast]\nfilesystem_store_datadir = /srv/Fast\n"
        )
        loaded = load_file(file)
        (store,) = loaded.settings.stores.stores
        assert isinstance(store.options, FilesystemOptions)
        assert (store.id, store.options.filesystem_store_datadir) == ("Fast", "/srv/Fast")
        assert loaded.remarks == ()
