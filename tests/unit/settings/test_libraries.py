"""Options that oslo.messaging and castellan read themselves (configuration 5.4 to 5.8)."""

from __future__ import annotations

import pytest

from glimpse.settings.errors import SettingsError
from glimpse.settings.show import shown
from tests.unit.settings.conftest import Loader

BUS = "[oslo_messaging_notifications]\ndriver = messagingv2\n"
URL = "rabbit://glance:s3cr3t@bus1:5672,glance:s3cr3t@bus2:5672/"


def test_the_message_bus(loaded: Loader) -> None:
    result = loaded(
        f"[DEFAULT]\ntransport_url = {URL}\ndefault_publisher_id = image.host1\n"
        "disabled_notifications = image.send,task\n"
        f"{BUS}driver = log\ntopics = a,b\nretry = 3\n[oslo_messaging_rabbit]\nheartbeat-rate = 5\ncolour = red\n",
        environ={"OS_OSLO_MESSAGING_RABBIT__SSL": "true"},
    )
    options = result.settings.notifications
    assert options.drivers == ("messagingv2", "log")
    assert (options.topics, options.retry) == (("a", "b"), 3)
    assert (options.publisher_id, options.disabled) == ("image.host1", ("image.send", "task"))
    assert options.library == {
        "DEFAULT": {"transport_url": URL},
        "oslo_messaging_rabbit": {"heartbeat_rate": "5", "colour": "red", "ssl": "true"},
    }
    assert [line.split(" (")[0] for line in result.remarks] == ["[oslo_messaging_rabbit] colour"]
    assert "s3cr3t" not in repr(result.settings)


def test_what_of_it_is_shown(loaded: Loader) -> None:
    sections = shown(
        loaded(
            f"[DEFAULT]\ntransport_url = {URL}\nbind_port = 1234\n{BUS}transport_url = kafka://a:b@c/\n"
            "[oslo_messaging_kafka]\nssl_client_key_password = p\nsecurity_protocol = SSL\n"
            "[vault]\nroot_token_id = r\nvault_url = http://v:8200\n"
        ).settings
    )
    assert sections["DEFAULT"]["transport_url"] == "rabbit://glance:***@bus2:5672/"
    assert sections["DEFAULT"]["bind_port"] == 1234
    assert sections["oslo_messaging_notifications"]["transport_url"] == "kafka://a:***@c/"
    assert sections["oslo_messaging_notifications"]["driver"] == ["messagingv2"]
    assert sections["oslo_messaging_kafka"] == {"ssl_client_key_password": "***", "security_protocol": "SSL"}
    assert sections["vault"] == {"root_token_id": "***", "vault_url": "http://v:8200"}


def test_without_a_driver_the_bus_is_not_looked_at(loaded: Loader) -> None:
    options = loaded("[DEFAULT]\ntransport_url = rabbit://\n[oslo_messaging_rabbit]\nhostname = $nobody\n").settings
    assert (options.notifications.drivers, options.notifications.library) == ((), {})


def test_the_key_manager(loaded: Loader) -> None:
    result = loaded(
        "[glimpse]\nsignature_trusted_certificates = one, two\n[key_manager]\nbackend = barbican\n"
        "[barbican]\nbarbican_endpoint = http://b:9311\n[barbican_service_user]\nauth_section = Service\n"
        "[Service]\npassword = s3cr3t\n"
    )
    options = result.settings.signatures
    assert options.trusted_certificates == ("one", "two")
    assert options.library == {
        "key_manager": {"backend": "barbican"},
        "barbican": {"barbican_endpoint": "http://b:9311"},
        "barbican_service_user": {"auth_section": "Service"},
        "service": {"password": "s3cr3t"},
    }
    assert result.remarks == ()
    assert "s3cr3t" not in repr(result.settings)


@pytest.mark.parametrize(
    "text",
    [
        "[key_manager]\npassword = s3cr3t$nobody\n",
        f"{BUS}[oslo_messaging_kafka]\nssl_client_key_password = s3cr3t$nobody\n",
        f"{BUS}retry = -2\n",
    ],
)
def test_values_that_cannot_be_used(loaded: Loader, text: str) -> None:
    with pytest.raises(SettingsError) as raised:
        loaded(text)
    assert "s3cr3t" not in str(raised.value)
