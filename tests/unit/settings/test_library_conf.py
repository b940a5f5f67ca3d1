"""Options reach other libraries unchanged."""

from __future__ import annotations

import pytest
from oslo_config import cfg

from glimpse.settings.errors import SettingsError
from glimpse.settings.oslo import check_library_conf, library_conf


@pytest.mark.parametrize(
    "value",
    [
        "plain",
        "",
        "  spaces  ",
        '"quoted"',
        "'",
        "a=b#c;d",
        "häßlich",
        "first\nsecond",
        "[x]",
        "100%",
        "$count ${x} $$",
    ],
)
def test_text_arrives_as_it_was(value: str) -> None:
    conf = library_conf({"some_library": {"name": value}})
    conf.register_opt(cfg.StrOpt("name"), group="some_library")
    assert conf.some_library.name == value


def test_types_and_several_sections() -> None:
    conf = library_conf({"DEFAULT": {"count": "7", "flag": "true"}, "other": {"flags": "a,b"}})
    conf.register_opts([cfg.IntOpt("count"), cfg.BoolOpt("flag"), cfg.StrOpt("absent", default="own")])
    conf.register_opt(cfg.ListOpt("flags"), group="other")
    assert (conf.count, conf.flag, conf.absent, conf.other.flags) == (7, True, "own", ["a", "b"])


def test_each_is_on_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OS_DEFAULT__NAME", "from the environment")
    one, two = library_conf({"DEFAULT": {"name": "one"}}), library_conf({})
    for conf in (one, two):
        conf.register_opt(cfg.StrOpt("name"))
    assert (one.name, two.name) == ("one", None)


def test_a_value_of_the_wrong_type_is_named_and_not_shown() -> None:
    conf = library_conf({"other": {"right": "1", "wrong": "hidden"}})
    conf.register_opt(cfg.IntOpt("right"), group="other")
    check_library_conf(conf)
    conf.register_opt(cfg.IntOpt("wrong"), group="other")
    with pytest.raises(SettingsError, match=r"\[other\] wrong") as caught:
        check_library_conf(conf)
    assert "hidden" not in str(caught.value)
