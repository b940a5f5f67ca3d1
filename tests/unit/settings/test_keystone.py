"""Options that Keystone's libraries read themselves (configuration 5.7 and 7)."""

from __future__ import annotations

import pytest
from oslo_config import cfg

from glimpse.settings.errors import SettingsError
from glimpse.settings.oslo import give, library_configuration
from glimpse.settings.show import shown
from tests.unit.settings.conftest import Loader

KEYSTONE = "[glimpse]\nauth = keystone\n"


def test_texts_are_kept_as_they_are(loaded: Loader) -> None:
    text = (
        KEYSTONE + "[keystone_authtoken]\nmemcached-servers = a:1,b:2\npassword = p,w;\nadmin_user = x\ncolour = red\n"
    )
    result = loaded(text)
    own = {"memcached_servers": "a:1,b:2", "password": "p,w;", "colour": "red"}
    assert result.settings.auth.keystone == {"keystone_authtoken": own}
    assert "p,w;" not in repr(result.settings)
    assert [line.split(" (")[0] for line in result.remarks] == [
        "[keystone_authtoken] colour", "[keystone_authtoken] admin_user",
    ]  # fmt: skip
    assert shown(result.settings)["keystone_authtoken"] == {
        "memcached_servers": "a:1,b:2", "password": "***", "colour": "***",
    }  # fmt: skip


def test_other_kinds_need_none_of_it(loaded: Loader) -> None:
    settings = loaded("[keystone_authtoken]\npassword = $nobody\n[oslo_limit]\npassword = $nobody\n").settings
    assert (settings.auth.keystone, settings.quotas.oslo_limit) == ({}, {})


def test_later_files_and_the_environment_win(loaded: Loader) -> None:
    texts = loaded(
        KEYSTONE + "[keystone_authtoken]\nusername = a\npassword = one\n",
        "[keystone_authtoken]\npassword = two\n",
        environ={"OS_KEYSTONE_AUTHTOKEN__PASSWORD": "three", "OS_KEYSTONE_AUTHTOKEN__AUTH_TYPE": "password"},
    ).settings.auth.keystone
    assert texts == {"keystone_authtoken": {"username": "a", "password": "three", "auth_type": "password"}}


def test_other_options_can_be_named(loaded: Loader) -> None:
    text = KEYSTONE + "[DEFAULT]\nbind_host = 10.0.0.1\n[keystone_authtoken]\n"
    named = "auth_url = http://$bind_host:5000\nusername = $auth_type\nauth_type = password\npassword = a$$b\n"
    texts = loaded(text + named).settings.auth.keystone["keystone_authtoken"]
    assert (texts["auth_url"], texts["username"], texts["password"]) == ("http://10.0.0.1:5000", "password", "a$b")
    for unknown in ("$nobody", "${nowhere.nobody}"):
        with pytest.raises(SettingsError) as raised:
            loaded(f"{text}password = s3cr3t{unknown}\n")
        assert "[keystone_authtoken] password" in str(raised.value)
        assert "s3cr3t" not in str(raised.value)


def test_credentials_in_a_section_of_their_own(loaded: Loader) -> None:
    text = "[keystone_authtoken]\nauth_section = Login\n[Login]\nauth_type = password\npassword = p\n"
    result = loaded(KEYSTONE + text)
    assert result.settings.auth.keystone == {
        "keystone_authtoken": {"auth_section": "Login"},
        "login": {"auth_type": "password", "password": "p"},
    }
    assert result.remarks == ()


def test_limits(loaded: Loader) -> None:
    text = "[DEFAULT]\nuse_keystone_limits = true\n[oslo_limit]\nendpoint_id = e\n"
    quotas = loaded(text).settings.quotas
    assert quotas.use_keystone_limits
    assert quotas.oslo_limit == {"oslo_limit": {"endpoint_id": "e"}}


def test_a_library_gets_values_of_its_types() -> None:
    options = [
        cfg.IntOpt("seconds", default=3),
        cfg.ListOpt("servers", deprecated_name="old-servers"),
        cfg.StrOpt("word", secret=True),
        cfg.BoolOpt("flag"),
    ]
    conf = library_configuration()
    give(conf, "part", options, {"old_servers": "a, b", "word": "$x$$", "flag": "yes", "unknown": "1"})
    assert (conf.part.seconds, conf.part.servers, conf.part.word, conf.part.flag) == (3, ["a", "b"], "$x$$", True)
    give(conf, "part", options, {"seconds": "5"})
    assert (conf.part.seconds, conf.part.servers, conf.part.word) == (5, None, None)
    with pytest.raises(SettingsError, match=r"^\[part\] seconds: is not of the type Integer$"):
        give(conf, "part", options, {"seconds": "s3cr3t"})
