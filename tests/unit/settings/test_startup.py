"""Settings with which the service must not start (ARCHITECTURE.md, Identity)."""

from __future__ import annotations

import pytest

from glimpse.domain.limits import PROPERTY_NAME_LENGTH
from glimpse.domain.properties import BASE_ATTRIBUTES, RESERVED_NAMES
from glimpse.settings import checks
from glimpse.settings.startup import is_loopback, refusals
from tests.unit.settings.conftest import Loader


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "[::1]", "localhost"])
def test_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "images.example.org", "localhost.example.org", ""])
def test_beyond_loopback(host: str) -> None:
    assert not is_loopback(host)


def test_everybody_is_admin_only_on_loopback(loaded: Loader) -> None:
    (reason,) = refusals(loaded("[DEFAULT]\nbind_host = 0.0.0.0\n").settings)
    assert "[glimpse] auth" in reason
    assert "0.0.0.0" in reason
    assert refusals(loaded("[DEFAULT]\nbind_host = ::1\n").settings) == ()


def test_known_callers_may_come_from_anywhere(loaded: Loader) -> None:
    text = "[DEFAULT]\nbind_host = 0.0.0.0\n[glimpse]\nauth = basic\nhtpasswd_file = /etc/glimpse/htpasswd\n"
    assert refusals(loaded(text).settings) == ()


def test_tokens_need_a_keystone(loaded: Loader) -> None:
    (reason,) = refusals(loaded("[paste_deploy]\nflavor = keystone\n").settings)
    assert "Keystone" in reason
    text = "[paste_deploy]\nflavor = keystone\n[keystone_authtoken]\nauth_url = http://controller:5000\n"
    assert refusals(loaded(text).settings) == ()


def test_conversion_needs_a_program_where_jobs_run(loaded: Loader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    text = "[image_import_opts]\nimage_import_plugins = [image_conversion]\n"
    (reason,) = refusals(loaded(text).settings)
    assert "qemu-img" in reason
    assert refusals(loaded(f"{text}[glimpse]\njob_threads = 0\n").settings) == ()


def test_options_of_glance_without_effect_have_their_reason(loaded: Loader) -> None:
    notes = loaded("[image_import_opts]\nmax_parallel_stores = 4\n[wsgi]\ntask_pool_threads = 2\n").notes
    assert any("max_parallel_stores" in note and "at the same time" in note for note in notes)
    assert any("task_pool_threads" in note and "job_threads" in note for note in notes)


def test_what_cannot_be_injected_is_what_is_no_custom_property() -> None:
    for name in BASE_ATTRIBUTES | RESERVED_NAMES:
        assert checks.injected_properties({name: "x"})
    assert checks.injected_properties({"x" * (PROPERTY_NAME_LENGTH + 1): "x"})
    assert checks.injected_properties({"x" * PROPERTY_NAME_LENGTH: "x"}) is None
