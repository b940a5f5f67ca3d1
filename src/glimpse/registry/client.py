"""The database protocol over the registry: used by an API node instead of a database."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from glimpse.db.base import Database
from glimpse.db.operations import Repetition
from glimpse.errors import BodyTimeout, DatabaseUnavailable, Invalid, Unauthenticated
from glimpse.registry import errors
from glimpse.registry.client_tls import client_tls
from glimpse.registry.connection import AnswerLost, NotSent, NotTrusted, Unreachable
from glimpse.registry.errors import NotProcessed
from glimpse.registry.methods import METHODS, Method
from glimpse.registry.pool import Pool, Server, WrongVersion
from glimpse.registry.wire import (
    CONTENT_TYPE,
    DEADLINE_HEADER,
    PREFIX,
    REQUEST_ID_HEADER,
    VERSION,
    VERSION_HEADER,
    ServerInfo,
)
from glimpse.settings.database_url import Address
from glimpse.settings.model import RegistryOptions

#: Maximum number of rounds over the servers for one call.
_ROUNDS = 2


def _nobody() -> str | None:
    return None


class RegistryClient:
    """Calls methods of a registry. Shared by threads; a forked process opens its own connections."""

    def __init__(
        self,
        addresses: tuple[Address, ...],
        options: RegistryOptions,
        *,
        request_id: Callable[[], str | None] = _nobody,
    ) -> None:
        """Open no connection yet. ``request_id`` returns the id of the API request of the current call.

        :raises TlsFileError: a certificate or key is missing or cannot be used.
        """
        self._options = options
        self._request_id = request_id
        self._pool = Pool(addresses, client_tls(options), options)

    def server_info(self) -> ServerInfo:
        """Return the information of the first server that answers, about itself and this node.

        :raises DatabaseUnavailable: no server answers.
        """
        failures: list[Exception] = []
        deadline = time.monotonic() + self._options.timeout
        for server in self._pool.in_order():
            try:
                return server.server_info(deadline)
            except (Unreachable, NotProcessed) as failure:
                failures.append(failure)
        raise _unavailable(failures)

    def call(self, method: Method, arguments: Mapping[str, Any]) -> Any:
        """Run a method; return its result or raise its error.

        :raises DatabaseUnavailable: no server answers, or a response is lost.
        """
        body = method.encode_arguments(arguments)
        answer = self._answer(method, body, time.monotonic() + self._options.timeout)
        try:
            return method.decode_result(answer)
        except Invalid as error:
            raise DatabaseUnavailable("The registry sent a response that this version cannot decode.") from error

    def close(self) -> None:
        """See the protocol."""
        self._pool.close()

    def _answer(self, method: Method, body: bytes, deadline: float) -> bytes:
        """Return the body of the response with the result.

        The servers are asked in turn, and those that were reachable but gave no answer a second time. The errors of
        :meth:`_ask` show which failures allow another attempt.
        """
        failures: list[Exception] = []
        servers = self._pool.in_order()
        for _ in range(_ROUNDS):
            there: list[Server] = []
            for server in servers:
                try:
                    answer = self._ask(server, method, body, deadline)
                except (Unreachable, AnswerLost, NotProcessed) as failure:
                    failures.append(failure)
                    server.avoid()
                    if time.monotonic() >= deadline:
                        raise _unavailable(failures) from failure
                    if not isinstance(failure, Unreachable):
                        there.append(server)
                else:
                    server.answered()
                    return answer
            servers = there
        raise _unavailable(failures)

    def _ask(self, server: Server, method: Method, body: bytes, deadline: float) -> bytes:
        """Send one request to one server.

        :raises Unreachable: the server did not receive the request.
        :raises NotProcessed: the server says that it did nothing.
        :raises AnswerLost: the server may have processed the request; repeating it is harmless.
        :raises DatabaseUnavailable: the server may have processed the request, and it must not be repeated.
        """
        while True:
            connection, fresh = server.take(deadline)
            try:
                answer = connection.exchange(self._head(server, method, len(body), deadline), body, deadline)
            except NotSent as error:
                connection.close()
                if fresh:
                    raise Unreachable("The connection to the registry was lost.") from error
                continue
            except AnswerLost as error:
                connection.close()
                if method.repetition is Repetition.WRITE:
                    raise DatabaseUnavailable(f"{error} Whether the change was made is not known.") from error
                raise
            except BaseException:
                connection.close()
                raise
            server.give_back(connection)
            if answer.status == 200:
                return answer.body
            error = errors.decode(answer.status, answer.body)
            match error:
                case NotProcessed():
                    raise error
                case Unauthenticated() | BodyTimeout() if fresh:
                    raise NotTrusted(str(error)) from error
                case Unauthenticated() | BodyTimeout():
                    # the certificate was valid when this connection was opened; nothing was done
                    continue
                case _:
                    raise error

    def _head(self, server: Server, method: Method, length: int, deadline: float) -> bytes:
        left = max(int((deadline - time.monotonic()) * 1000), 0)
        request_id = self._request_id()
        named = f"{REQUEST_ID_HEADER}: {request_id}\r\n" if request_id and _is_header(request_id) else ""
        return (
            f"POST {PREFIX}{method.name} HTTP/1.1\r\nHost: {server.address}\r\n{VERSION_HEADER}: {VERSION}\r\n"
            f"Content-Type: {CONTENT_TYPE}\r\n{DEADLINE_HEADER}: {left}\r\n{named}Content-Length: {length}\r\n\r\n"
        ).encode("ascii")


def _is_header(text: str) -> bool:
    return text.isascii() and text.isprintable()


def _unavailable(failures: list[Exception]) -> DatabaseUnavailable:
    """Return the error of a call that failed on all servers, preferring a reason that an operator can fix."""
    telling = next((each for each in failures if isinstance(each, WrongVersion | NotTrusted)), failures[-1])
    made = DatabaseUnavailable(str(telling))
    made.__cause__ = telling
    return made


class RegistryDatabase(RegistryClient, Database):
    """:class:`glimpse.db.base.Database` on a registry; its methods are generated from :data:`METHODS`."""

    close = RegistryClient.close


def _calling(method: Method) -> Callable[..., Any]:
    names = method.positional

    def call(self: RegistryClient, *given: Any, **named: Any) -> Any:
        if len(given) > len(names):
            raise TypeError(f"{method.name} takes {len(names)} arguments but {len(given)} were given")
        return self.call(method, dict(zip(names, given, strict=False)) | named)

    call.__name__ = method.name
    call.__doc__ = "See the protocol."
    return call


for _method in METHODS.values():
    setattr(RegistryDatabase, _method.name, _calling(_method))


# ---------------------------------------------------------- Waiting for a registry that starts later than the service

LOG = logging.getLogger(__name__)


def wait_for_registry(
    client: RegistryClient, *, max_retries: int, interval: float, tell: Callable[[str], None] = LOG.warning
) -> ServerInfo:
    """Return the registry's information, once it answers.

    Retries ``max_retries`` times (-1: no limit), every ``interval`` seconds, unless it refuses this node. ``tell`` is
    called with a message before each wait.

    :raises DatabaseUnavailable: it did not answer, or refuses this node.
    """
    attempt = 0
    while True:
        attempt += 1
        try:
            return client.server_info()
        except DatabaseUnavailable as error:
            if isinstance(error.__cause__, NotTrusted | WrongVersion) or 0 <= max_retries < attempt:
                raise
            tell(f"The registry does not answer; retrying in {interval:g} seconds ({error})")
            time.sleep(interval)
