"""TLS options for MySQL and MariaDB: converts the URL parameters of any Python driver to PyMySQL's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from glimpse.errors import Invalid
from glimpse.tls_files import Fingerprint, fingerprint

_FILES = {"ssl_ca": "ca", "ssl_capath": "capath", "ssl_cert": "cert", "ssl_key": "key"}
_TEXTS = {"ssl_cipher": "cipher", "ssl_key_password": "password"}
_FLAGS = ("ssl_disabled", "ssl_verify_cert", "ssl_check_hostname", "ssl_verify_identity")

#: URL parameters that :func:`tls_arguments` reads.
TLS = frozenset({*_FILES, *_TEXTS, *_FLAGS, "ssl_mode"})

#: Value of ``ssl_mode`` → whether the certificate is verified, and whether it must name the host; None: with a CA.
_MODES: dict[str, tuple[bool | None, bool | None]] = {
    "": (None, None),
    "PREFERRED": (None, None),
    "REQUIRED": (None, False),
    "VERIFY_CA": (True, False),
    "VERIFY_IDENTITY": (True, True),
}
_TRUTH = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}


def tls_arguments(given: dict[str, str]) -> dict[str, Any]:
    """What PyMySQL is given: a CA alone has certificate and host name verified; nothing at all takes TLS where it is.

    :raises Invalid: a value cannot be used, or a file is not there.
    """
    if not given:
        return {}
    flags = {name: truth(name, given[name]) for name in _FLAGS if name in given}
    mode = given.get("ssl_mode", "").upper()
    if mode == "DISABLED" or flags.get("ssl_disabled"):
        return {"ssl_disabled": True}
    if mode not in _MODES:
        raise unusable("ssl_mode")
    context: dict[str, Any] = {key: _existing(name, given[name]) for name, key in _FILES.items() if name in given}
    context |= {key: given[name] for name, key in _TEXTS.items() if name in given}
    certificate, identity = _verified(_MODES[mode], flags, has_ca="ca" in context or "capath" in context)
    if mode in {"", "PREFERRED"} and not context and not certificate:
        return {}
    return {"ssl": {**context, "verify_mode": certificate, "check_hostname": identity}}


def _verified(mode: tuple[bool | None, bool | None], flags: dict[str, bool], *, has_ca: bool) -> tuple[bool, bool]:
    certificate, identity = (has_ca if verified is None else verified for verified in mode)
    if "ssl_verify_cert" in flags:
        certificate = flags["ssl_verify_cert"]
        identity = identity and certificate
    for name in ("ssl_check_hostname", "ssl_verify_identity"):
        identity = flags.get(name, identity)
    certificate = certificate or identity
    if certificate and not has_ca:
        raise Invalid("To verify the database server's certificate, the connection needs the parameter ssl_ca.")
    return certificate, identity


def _existing(name: str, path: str) -> str:
    if not Path(path).exists():
        raise Invalid(f"The parameter {name} of the database connection refers to a file that does not exist.")
    return path


def truth(name: str, text: str) -> bool:
    """:raises Invalid: ``text`` is neither yes nor no."""
    if text.lower() not in _TRUTH:
        raise unusable(name)
    return _TRUTH[text.lower()]


def unusable(name: str) -> Invalid:
    """Build the error for an invalid parameter value, which may be secret and is not repeated."""
    return Invalid(f"The parameter {name} of the database connection has an invalid value.")


def with_one_context(connection: Any) -> Any:
    """PyMySQL's class ``connection``, with one TLS context for all that it makes, until a file of it changes.

    A new context reads the certificates of all authorities of the system, which takes longer than the connection.
    """
    made: dict[Fingerprint, Any] = {}

    def context_of(of: Any, parts: dict[str, Any]) -> Any:
        files = [Path(parts[key]) for key in _FILES.values() if parts.get(key)]
        read_at = fingerprint(files)
        if read_at not in made:
            context = connection._create_ssl_ctx(of, parts)  # noqa: SLF001 - there is no other place
            made.clear()
            made[read_at] = context
        return made[read_at]

    return type("Connection", (connection,), {"_create_ssl_ctx": context_of})
