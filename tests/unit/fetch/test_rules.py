"""Rules for URLs from users (imports-and-stores 2.10)."""

from __future__ import annotations

import ipaddress
import socket

import pytest

from glimpse.errors import Invalid, Unavailable
from glimpse.fetch.address import Address, canonical, is_refused, resolve_name
from glimpse.fetch.rules import UrlRules
from glimpse.settings.model import UriFilter

PUBLIC = "93.184.215.14"


def rules(addresses: str = PUBLIC, **settings: tuple[str, ...]) -> UrlRules:
    """Rules in a world where every name has the same addresses."""
    found = tuple(ipaddress.ip_address(text) for text in addresses.split())
    return UrlRules(UriFilter(**settings), lambda _name: found)


@pytest.mark.parametrize(
    ("url", "host", "port", "path"),
    [
        ("http://mirror.example.org/a.img", "mirror.example.org", 80, "/a.img"),
        ("https://mirror.example.org", "mirror.example.org", 443, "/"),
        ("HTTP://MIRROR.Example.ORG./a?b=c&d#e", "mirror.example.org", 80, "/a?b=c&d"),
        ("https://mirror.example.org:443/a%20b", "mirror.example.org", 443, "/a%20b"),
        ("http://mirror.example.org:80/", "mirror.example.org", 80, "/"),
        (f"http://{PUBLIC}/", PUBLIC, 80, "/"),
        ("http://[2606:2800:21f::1]/", "2606:2800:21f::1", 80, "/"),
        ("http://10.1.2.3/", "10.1.2.3", 80, "/"),
        ("http://192.168.1.1/", "192.168.1.1", 80, "/"),
    ],
)
def test_what_passes_by_default(url: str, host: str, port: int, path: str) -> None:
    target = rules().check(url)
    assert (target.host, target.port, target.path) == (host, port, path)
    assert target.addresses


def test_credentials_are_kept_apart() -> None:
    target = rules().check("http://user:p%40ss@mirror.example.org/a")
    assert (target.host, target.credentials, target.path) == ("mirror.example.org", "user:p%40ss", "/a")


@pytest.mark.parametrize(
    "url",
    [
        "", "mirror.example.org", "//mirror.example.org/a", "http:", "http://", "http:///a", "http://:80/a",
        "/etc/passwd",
        "ftp://mirror.example.org/a", "file:///etc/passwd", "gopher://mirror.example.org/", "rbd://a/b/c/d",
        # ports
        "http://mirror.example.org:22/", "http://mirror.example.org:8080/", "http://mirror.example.org:0/",
        "http://mirror.example.org:65536/", "http://mirror.example.org:x/", "http://mirror.example.org:-1/",
        # numbers that are no canonical address
        "http://2130706433/", "http://0x7f000001/", "http://0x7f.0.0.1/", "http://0177.0.0.1/", "http://127.1/",
        "http://010.0.0.1/", "http://127.0.0.1.2/", "http://1.2.3/", "http://a.0x7f/", "http://a.1/",
        # what parsers read differently
        "http://mirror.example.org\\@127.0.0.1/", "http://mirror.example.org /", " http://mirror.example.org/",
        "http://mirror.example.org/a b", "http://mirror.example.org/\n", "http://mirror.example.org\t/", "http://é.example/",
        "http://mirror%2eexample.org/", "http://127%2e0%2e0%2e1/", "http://[::1", "http://[mirror.example.org]/", "http://::1/",
        "http://①②⑦.0.0.1/", "http://mirror..example.org/", "http://.mirror/", "http://[v1.a]/", "http://[fe80::1%25eth0]/",
        "http://-mirror.example.org/", "http://" + "a" * 64 + ".org/", "http://" + "a." * 127 + "org/",
        # addresses that lead inside
        "http://127.0.0.1/", "http://127.8.9.1/", "http://0.0.0.0/", "http://0.1.2.3/", "http://169.254.169.254/latest/meta-data",
        "http://224.0.0.1/", "http://255.255.255.255/", "http://240.0.0.1/", "http://[::1]/", "http://[::]/",
        "http://[fe80::1]/", "http://[ff02::1]/", "http://[::ffff:127.0.0.1]/", "http://[::ffff:169.254.169.254]/",
        "http://[::127.0.0.1]/", "http://[2002:7f00:1::]/", "http://[64:ff9b::7f00:1]/", "http://[64:ff9b::a9fe:a9fe]/",
        "http://[fec0::1]/",
    ],
)  # fmt: skip
def test_what_is_refused_by_default(url: str) -> None:
    with pytest.raises(Invalid):
        rules().check(url)


@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254", "::1", "fe80::1", "::ffff:127.0.0.1", "0.0.0.0"])
def test_names_do_not_lead_where_addresses_may_not(address: str) -> None:
    with pytest.raises(Invalid):
        rules(address).check("http://innocent.example.org/")


def test_only_the_good_addresses_of_a_name_are_left() -> None:
    target = rules(f"127.0.0.1 {PUBLIC} fe80::1 10.0.0.1").check("http://mixed.example.org/")
    assert [str(one) for one in target.addresses] == [PUBLIC, "10.0.0.1"]


def test_a_name_without_an_address_is_refused() -> None:
    with pytest.raises(Invalid):
        rules("").check("http://nowhere.example.org/")


def test_a_host_that_is_allowed_by_name_may_be_anywhere() -> None:
    allowing = rules("127.0.0.1", allowed_hosts=("Localhost", "169.254.169.254"))
    assert [str(one) for one in allowing.check("http://localhost/").addresses] == ["127.0.0.1"]
    assert allowing.check("http://169.254.169.254/")
    assert allowing.check("http://[::ffff:169.254.169.254]/").host == "169.254.169.254"
    for url in ("http://127.0.0.1/", "http://mirror.example.org/", "http://10.0.0.1/"):
        with pytest.raises(Invalid):
            allowing.check(url)


def test_an_allow_list_beats_its_deny_list() -> None:
    both = rules(
        allowed_hosts=("a.example",), disallowed_hosts=("a.example",), allowed_ports=("8080",),
        disallowed_ports=("8080",),
        allowed_schemes=("https",), disallowed_schemes=("https",),
    )  # fmt: skip
    assert both.check("https://a.example:8080/")
    for url in ("http://a.example:8080/", "https://b.example:8080/", "https://a.example:443/"):
        with pytest.raises(Invalid):
            both.check(url)
    # a URL without a port names none
    assert both.check("https://a.example/").port == 443


def test_deny_lists() -> None:
    denying = rules(
        "192.0.2.7 10.0.0.9", allowed_schemes=(), disallowed_schemes=("http",), allowed_ports=(),
        disallowed_ports=("25",),
        disallowed_hosts=("evil.example", "192.0.2.7", "::ffff:198.51.100.1"),
    )  # fmt: skip
    # a denied address also refuses names that resolve to it
    assert [str(one) for one in denying.check("https://good.example:8443/").addresses] == ["10.0.0.9"]
    for url in (
        "http://good.example/", "https://EVIL.example./", "https://good.example:25/", "https://192.0.2.7/",
        "https://[::ffff:192.0.2.7]/", "https://198.51.100.1/", "ftp://good.example/",
    ):  # fmt: skip
        with pytest.raises(Invalid):
            denying.check(url)


def test_a_message_names_no_address() -> None:
    with pytest.raises(Invalid) as caught:
        rules("169.254.169.254").check("http://innocent.example.org/")
    assert "169.254" not in str(caught.value)


@pytest.mark.parametrize(
    ("address", "real"),
    [
        ("::ffff:10.0.0.1", "10.0.0.1"), ("2002:a00:1::", "10.0.0.1"), ("64:ff9b::a00:1", "10.0.0.1"),
        ("::a00:1", "10.0.0.1"),
        ("2001:0:4136:e378:8000:63bf:3fff:fdd2", "192.0.2.45"), ("10.0.0.1", "10.0.0.1"), ("2606::1", "2606::1"),
        ("::1", "::1"), ("::", "::"),
    ],
)  # fmt: skip
def test_addresses_inside_addresses(address: str, real: str) -> None:
    assert canonical(ipaddress.ip_address(address)) == ipaddress.ip_address(real)


def test_private_networks_are_not_refused() -> None:
    for text in ("10.0.0.1", "172.16.0.1", "192.168.0.1", "100.64.0.1", "fd00::1"):
        assert not is_refused(ipaddress.ip_address(text))


def test_names_of_the_file_of_hosts_are_resolved() -> None:
    loopback: tuple[Address, ...] = (ipaddress.ip_address("127.0.0.1"),)
    assert loopback[0] in resolve_name("localhost")


def test_a_name_is_taken_as_fully_qualified(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def answer(name: str, *_: object, **__: object) -> list[object]:
        asked.append(name)
        raise OSError

    monkeypatch.setattr("socket.getaddrinfo", answer)
    assert resolve_name("intranet") == ()
    assert asked == ["intranet."]


def test_a_name_server_that_does_not_answer_is_no_verdict_on_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(*_: object, **__: object) -> list[object]:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr("socket.getaddrinfo", answer)
    with pytest.raises(Unavailable, match="cannot be resolved now"):
        UrlRules(UriFilter()).check("http://example.org/")
