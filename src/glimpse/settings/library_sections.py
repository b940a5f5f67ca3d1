"""Options that libraries read themselves (configuration 5.4 to 5.8 and 7): kept and passed on as text.

Their names and meanings are the libraries' own, so they are not written down again here. What is checked at start is
that each value is of the type that the library asks for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import msgspec

from glimpse.settings.errors import SettingsError
from glimpse.settings.inventory import OPTIONS, State, state_of
from glimpse.settings.model import Secret, Sections, Settings
from glimpse.settings.options import Option
from glimpse.settings.oslo import ConfigOpts, Files, OptionPlace, environment_name, give, normal_section, read

# Options that Keystone's libraries read themselves (configuration 5.7 and 7): kept as text, given to them as text
# Their names and meanings are the libraries' own, so they are not written down again here. What is checked at start is
# that each value is of the type that the library asks for.

AUTHTOKEN = "keystone_authtoken"
LIMIT = "oslo_limit"


def with_keystone(settings: Settings, files: Files, environ: Mapping[str, str]) -> Settings:
    """Return ``settings`` with the sections that the authentication method and the limits need.

    :raises SettingsError: a value names another option that does not exist.
    """
    if settings.auth.kind == "keystone":
        found = sections_of(AUTHTOKEN, files, environ)
        settings = msgspec.structs.replace(settings, auth=msgspec.structs.replace(settings.auth, keystone=found))
    if settings.quotas.use_keystone_limits:
        found = sections_of(LIMIT, files, environ)
        settings = msgspec.structs.replace(settings, quotas=msgspec.structs.replace(settings.quotas, oslo_limit=found))
    return settings


def credential_sections(settings: Settings) -> set[str]:
    """Sections of the operator's naming that hold nothing but credentials for Keystone."""
    return {*settings.auth.keystone, *settings.quotas.oslo_limit} - {AUTHTOKEN, LIMIT}


def sections_of(section: str, files: Files, environ: Mapping[str, str]) -> Sections:
    """Return the values of one section, and of the section in its ``auth_section``; the environment takes
    precedence.
    """
    texts = _texts(section, files, environ)
    credentials = normal_section(texts.get("auth_section", section))
    return (
        {section: texts}
        if credentials == section
        else {section: texts, credentials: _texts(credentials, files, environ)}
    )


def _texts(section: str, files: Files, environ: Mapping[str, str]) -> dict[str, Secret]:
    names = {found.name: None for found in files.present if found.section == section}
    prefix = environment_name(section, "")
    names.update({name.removeprefix(prefix).lower(): None for name in environ if name.startswith(prefix)})
    options = [
        Option(section=section, name=name, kind="string", help="", secret=True)
        for name in names
        if state_of(section, name) is not State.REMOVED
    ]
    # all options are included, so that a $name in a value can refer to any of them
    values = read(files, (*OPTIONS, *options), environ, {}) if options else {}
    return {option.name: Secret(values[option.place]) for option in options if option.place in values}


def give_credentials(conf: ConfigOpts, section: str, sections: Sections) -> str:
    """Set the service's own Keystone credentials in ``conf``; return the section that contains them.

    Needs keystoneauth1.

    :raises SettingsError: ``auth_type`` is missing or unknown, or a value is not of its type.
    """
    from keystoneauth1 import exceptions, loading  # noqa: PLC0415 - an extra, which not every installation has

    give(conf, section, loading.get_auth_common_conf_options(), sections.get(section, {}))
    credentials = normal_section(conf[section].auth_section or section)
    if credentials != section:
        conf.set_override("auth_section", credentials, group=section)
        give(conf, credentials, loading.get_auth_common_conf_options(), sections.get(credentials, {}))
    kind: str | None = conf[credentials].auth_type
    if not kind:
        raise SettingsError.of_option(
            credentials, "auth_type", "must be the authentication method of this service, for instance password"
        )
    try:
        plugin = cast("Any", loading.get_plugin_loader(kind))
    except exceptions.NoMatchingPlugin as error:
        known = ", ".join(sorted(loading.get_available_plugin_names()))
        raise SettingsError.of_option(credentials, "auth_type", f"must be one of {known}", value=kind) from error
    give(conf, credentials, loading.get_auth_plugin_conf_options(plugin), sections.get(credentials, {}))
    return credentials


# The texts of sections that the message bus and the key manager read themselves (configuration 5.4 to 5.8)

#: Sections of the messaging library, and the options that it reads from other sections.
MESSAGING_SECTIONS = ("oslo_messaging_rabbit", "oslo_messaging_kafka")
MESSAGING_OPTIONS = (
    ("DEFAULT", "transport_url"),
    ("DEFAULT", "control_exchange"),
    ("oslo_messaging_notifications", "transport_url"),
)
#: Sections that the key manager's library reads.
KEY_MANAGER_SECTIONS = ("key_manager", "barbican", "barbican_service_user", "vault")


def with_libraries(
    settings: Settings, values: Mapping[OptionPlace, Any], files: Files, environ: Mapping[str, str]
) -> Settings:
    """Return ``settings`` with the sections that notifications (if there are drivers) and signatures need.

    :raises SettingsError: a value names another option that does not exist.
    """
    signatures = msgspec.structs.replace(settings.signatures, library=_texts_of(KEY_MANAGER_SECTIONS, files, environ))
    settings = msgspec.structs.replace(settings, signatures=signatures)
    if not settings.notifications.drivers:
        return settings
    bus = dict(_texts_of(MESSAGING_SECTIONS, files, environ))
    for section, name in MESSAGING_OPTIONS:
        if (section, name) in values:
            bus[section] = {**bus.get(section, {}), name: Secret(values[section, name])}
    return msgspec.structs.replace(settings, notifications=msgspec.structs.replace(settings.notifications, library=bus))


def library_credential_sections(settings: Settings) -> set[str]:
    """Sections of the operator's naming that hold nothing but credentials for Keystone."""
    return set(settings.signatures.library) - set(KEY_MANAGER_SECTIONS)


def _texts_of(sections: tuple[str, ...], files: Files, environ: Mapping[str, str]) -> Sections:
    found = {name: texts for section in sections for name, texts in sections_of(section, files, environ).items()}
    return {name: texts for name, texts in found.items() if texts}
