"""Conversion of operators' database URLs for the drivers that Glimpse uses: psycopg, PyMySQL and Python's sqlite3.

A URL may name another driver (psycopg2, mysqlclient, …), whose parameters are understood: libpq's are the same for
every driver of PostgreSQL, those of MySQL's drivers have different names for the same things.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError

from glimpse.errors import Invalid
from glimpse.extras import needs
from glimpse.tls_files import Fingerprint, fingerprint

# ------------------- TLS options for MySQL and MariaDB: converts the URL parameters of any Python driver to PyMySQL's

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


#: Seconds to wait for a server that does not answer, where the URL does not say (PyMySQL's own default).
CONNECT_TIMEOUT = 10

#: Backend name of a URL → the dialect and driver that serve it.
_DRIVERS = {
    "sqlite": "sqlite",
    "postgresql": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mysql+pymysql",
}

# What other drivers of MySQL do inside themselves: text is always text here, and rows are read as they are needed.
_MYSQL_WITHOUT_MEANING = frozenset(
    {
        "use_unicode", "autocommit", "compress", "named_pipe", "use_pure", "buffered", "raw", "consume_results",
        "raise_on_warnings", "get_warnings", "force_ipv6", "multi_statements", "binary_prefix", "collation",
    }
)  # fmt: skip
_MYSQL_SYNONYMS = {"connection_timeout": "connect_timeout", "ssl_verify_server_cert": "ssl_verify_identity"}
_MYSQL_NUMBERS = ("connect_timeout", "read_timeout", "write_timeout", "max_allowed_packet", "port")


def engine_url(connection: str) -> sa.URL:
    """Parse an operator's database URL and set Glimpse's driver; query parameters are kept.

    :raises Invalid: the URL cannot be read, or names a database that Glimpse does not know.
    """
    try:
        url = sa.make_url(connection)
    except (ArgumentError, ValueError):
        # the error's text may contain the URL, which has a password
        raise Invalid("The database connection is not a URL.") from None
    backend = url.get_backend_name()
    if backend not in _DRIVERS:
        raise Invalid(f"Databases of type {backend} are not supported.")
    if backend == "sqlite" and (url.database in {None, "", ":memory:"} or "memory" in url.query.values()):
        raise Invalid("An SQLite database must be a file.")
    return url.set(drivername=_DRIVERS[backend])


def for_driver(url: sa.URL) -> tuple[sa.URL, dict[str, Any]]:
    """A URL of :func:`engine_url` whose query the driver takes as it is, and what it is given beside it.

    :raises Invalid: the driver is not installed, a parameter is unknown, or its value cannot be used; the text has the
        name and not the value.
    """
    match url.get_backend_name():
        case "postgresql":
            return _for_psycopg(url)
        case "mysql":
            return _for_pymysql(url)
        case _:
            return url, {}


def _for_psycopg(url: sa.URL) -> tuple[sa.URL, dict[str, Any]]:
    try:
        import psycopg  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise Invalid(f"PostgreSQL {needs(error, 'postgresql')}.") from error

    libpq = {option.keyword.decode() for option in psycopg.pq.Conninfo.get_defaults()}
    query = dict(url.query)
    _require_known(query, libpq | {"prepare_threshold"})
    # text is text, whatever the encoding of the database or of the operator's own sessions
    arguments: dict[str, Any] = {"client_encoding": "utf8"}
    query.pop("client_encoding", None)
    _take_number(query, "connect_timeout", arguments)
    arguments.setdefault("connect_timeout", CONNECT_TIMEOUT)
    if str(query.get("prepare_threshold", "")).lower() == "none":
        arguments["prepare_threshold"] = None
        del query["prepare_threshold"]
    else:
        _take_number(query, "prepare_threshold", arguments)
    return url.set(query=query), arguments


def _for_pymysql(url: sa.URL) -> tuple[sa.URL, dict[str, Any]]:
    try:
        import pymysql  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise Invalid(f"MySQL and MariaDB {needs(error, 'mysql')}.") from error

    query = {_MYSQL_SYNONYMS.get(name, name): value for name, value in url.query.items()}
    query = {name: value for name, value in query.items() if name not in _MYSQL_WITHOUT_MEANING}
    known = set(inspect.signature(pymysql.connections.Connection).parameters)
    _require_known(query, (known | TLS) - {"conv", "cursorclass", "defer_connect", "auth_plugin_map", "ssl"})
    arguments: dict[str, Any] = {}
    for name in _MYSQL_NUMBERS:
        _take_number(query, name, arguments)
    tls = {name: str(query.pop(name)) for name in TLS if name in query}
    arguments |= tls_arguments(tls)
    # only how text travels: what is stored has the charset of its column
    arguments["charset"] = "utf8mb3" if query.pop("charset", "") == "utf8mb3" else "utf8mb4"
    if "local_infile" in query:
        arguments["local_infile"] = truth("local_infile", str(query.pop("local_infile")))
    return url.set(query=query), arguments


def _require_known(query: dict[str, Any], known: set[str]) -> None:
    unknown = sorted(set(query) - known)
    if unknown:
        raise Invalid(f"The database connection has parameters that its driver does not support: {', '.join(unknown)}.")


def _take_number(query: dict[str, Any], name: str, arguments: dict[str, Any]) -> None:
    """Move the parameter ``name`` from the query to the arguments, as a number."""
    if name in query:
        try:
            arguments[name] = int(cast("str", query.pop(name)))
        except (TypeError, ValueError):
            raise unusable(name) from None
