"""``[keystone_authtoken]`` for keystonemiddleware and keystoneauth (configuration 7)."""

from __future__ import annotations

from typing import Any

from glimpse.auth.errors import AuthSettingsError, AuthUnavailable
from glimpse.extras import needs
from glimpse.settings.errors import SettingsError
from glimpse.settings.library_sections import AUTHTOKEN, give_credentials
from glimpse.settings.model import Sections
from glimpse.settings.oslo import give, library_configuration

#: Default timeout in seconds for an answer of Keystone; the library's own default is to wait forever.
TIMEOUT = "30"


class Authtoken:
    """The validated options: ``conf`` for libraries, and ``credentials``, the section with the credentials."""

    def __init__(self, sections: Sections) -> None:
        """``sections`` are strings from the settings.

        :raises AuthUnavailable: the libraries are not installed.
        :raises AuthSettingsError: a value is invalid.
        """
        try:
            from keystonemiddleware import auth_token  # noqa: PLC0415 - an extra
        except ImportError as error:
            raise AuthUnavailable(f"auth keystone {needs(error, 'keystone')}") from error
        texts: dict[str, str] = {**sections.get(AUTHTOKEN, {})}
        texts.setdefault("http_connect_timeout", texts.get("timeout", TIMEOUT))
        self.conf: Any = library_configuration()
        try:
            for section, options in auth_token.list_opts():
                give(self.conf, section, options, texts)
            self.credentials = give_credentials(self.conf, AUTHTOKEN, sections)
        except SettingsError as error:
            raise AuthSettingsError(str(error)) from error
        self.own: Any = self.conf[AUTHTOKEN]

    @property
    def public_uri(self) -> str | None:
        """Keystone URL for clients."""
        login = self.conf[self.credentials]
        return self.own.www_authenticate_uri or (login.auth_url if "auth_url" in login else None)
