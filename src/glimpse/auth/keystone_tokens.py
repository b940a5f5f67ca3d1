"""Token validation by keystonemiddleware, whose WSGI filter gets one small request for each token."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

import msgspec

from glimpse.auth.base import AuthSettingsError, AuthUnavailable, Identity
from glimpse.errors import Unauthenticated, Unavailable
from glimpse.extras import needs
from glimpse.service_catalog import ServiceCatalog
from glimpse.settings.errors import SettingsError
from glimpse.settings.library_sections import AUTHTOKEN, give_credentials
from glimpse.settings.model import Sections
from glimpse.settings.oslo import give, library_configuration

# --------------------------------- ``[keystone_authtoken]`` for keystonemiddleware and keystoneauth (configuration 7)

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


LOG = logging.getLogger(__name__)

_CONFIRMED = "Confirmed"
_REFUSED = "The token is invalid, has expired or was revoked."


class Shown(msgspec.Struct, frozen=True):
    """The tokens of a request, and its ``method`` and ``path`` if known."""

    token: str
    service_token: str | None
    method: str | None
    path: str | None


class Vouched(msgspec.Struct, frozen=True):
    """Keystone's answer about tokens. With ``restricted`` it is valid only for this method and path."""

    identity: Identity
    expires: datetime
    restricted: bool

    def seconds_left(self) -> float:
        """Seconds until the token expires; negative if it has expired."""
        return (self.expires - datetime.now(UTC)).total_seconds()


class KeystoneTokens:
    """Asks keystonemiddleware, which asks its cache or Keystone. Thread-safe."""

    def __init__(self, options: Authtoken) -> None:
        """Keystone is not contacted before the first token.

        :raises AuthSettingsError: the credentials of the service are incomplete.
        """
        # installed, because the options were validated
        from keystoneauth1 import exceptions  # noqa: PLC0415
        from keystonemiddleware import auth_token  # noqa: PLC0415
        from requests import RequestException  # noqa: PLC0415

        # the last two: another server, for instance a proxy, answered instead of Keystone and sent no token
        self._failures = (exceptions.ClientException, RequestException, KeyError, NotImplementedError)
        # it answers 503 only if the decision is not delayed (images-api 5.1 describes Glance's answer)
        options.conf.set_override("delay_auth_decision", override=False, group=AUTHTOKEN)
        try:
            self._protocol: Any = auth_token.AuthProtocol(_pass, {"oslo_config_config": options.conf})
        except (exceptions.ClientException, auth_token.ConfigurationError, OSError) as error:
            raise AuthSettingsError(f"[{options.credentials}] {error}") from error

    def check(self, shown: Shown) -> Vouched:
        """Validate the tokens with Keystone; an invalid service token is ignored.

        :raises Unauthenticated: the token is not valid, or not for this method and path.
        :raises Unavailable: Keystone does not answer.
        """
        environ = self._ask(shown, shown.service_token)
        if shown.service_token is not None and environ.get("HTTP_X_SERVICE_IDENTITY_STATUS") != _CONFIRMED:
            # again without it: its mere presence disables the check of access rules
            environ = self._ask(shown, None)
        if environ.get("HTTP_X_IDENTITY_STATUS") != _CONFIRMED:
            raise Unauthenticated(_REFUSED)
        found = environ["keystone.token_auth"]
        vouched = _vouched(found.user, found.service)
        if vouched.restricted and shown.path is None:
            raise Unauthenticated(_REFUSED)
        return vouched

    def _ask(self, shown: Shown, service_token: str | None) -> dict[str, Any]:
        """Run a request through the filter and return its environment.

        It contains only the tokens of the real request's headers, so clients cannot forge a confirmed identity.
        """
        environ = _environment(shown, service_token)
        statuses: list[str] = []

        def start(status: str, _headers: object, _error: object = None) -> None:
            statuses.append(status)

        try:
            self._protocol(environ, start)
        except self._failures as error:
            LOG.error("A token cannot be validated: %s: %s", type(error).__name__, error)  # noqa: TRY400 - says all
            raise _unavailable() from error
        if statuses[0].startswith("503"):
            raise _unavailable()
        return environ


def _unavailable() -> Unavailable:
    return Unavailable("The identity service is not responding.")


def _pass(_environ: object, start: Callable[[str, list[object]], object]) -> Iterable[bytes]:
    start("204 No Content", [])
    return ()


def _environment(shown: Shown, service_token: str | None) -> dict[str, Any]:
    environ: dict[str, Any] = {
        "REQUEST_METHOD": shown.method or "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": (shown.path or "/").encode("utf-8", "surrogateescape").decode("latin-1"),
        "QUERY_STRING": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        "HTTP_X_AUTH_TOKEN": shown.token,
    }
    if service_token is not None:
        environ["HTTP_X_SERVICE_TOKEN"] = service_token
    return environ


def _vouched(user: Any, service: Any) -> Vouched:
    """``user`` and ``service`` are keystoneauth's access information; ``service`` may be None."""
    scope: dict[str, Any] = user.system or {}
    identity = Identity(
        user_id=user.user_id,
        project_id=user.project_id,
        roles=_lowered(user.role_names),
        service_roles=_lowered(service.role_names) if service is not None else frozenset(),
        domain_id=user.domain_id,
        system_scope=next(iter(scope)) if scope else None,
        catalog=_catalog(user),
    )
    expires = user.expires
    if service is not None and (service.expires < expires or expires <= datetime.now(UTC)):
        # an expired user token counts as long as the service's token is valid
        expires = service.expires
    return Vouched(identity, expires, user.application_credential_access_rules is not None)


def _catalog(user: Any) -> ServiceCatalog | None:
    """Return the service catalog; None if the token has no catalog, as with ``include_service_catalog = false``."""
    if not user.has_service_catalog():
        return None
    try:
        return ServiceCatalog(user.service_catalog.catalog)
    except ValueError as error:
        LOG.warning("The service catalog of a token cannot be used: %s", error)
        return None


def _lowered(names: Iterable[str]) -> frozenset[str]:
    return frozenset(name.lower() for name in names)
