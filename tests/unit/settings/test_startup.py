"""Settings with which the service must not start (ARCHITECTURE.md, Identity)."""

from __future__ import annotations

import pytest

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
