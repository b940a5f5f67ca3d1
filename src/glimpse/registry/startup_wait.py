"""Waiting for a registry that starts later than the service."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from glimpse.errors import DatabaseUnavailable
from glimpse.registry.client import RegistryClient
from glimpse.registry.connection import NotTrusted
from glimpse.registry.pool import WrongVersion
from glimpse.registry.wire import ServerInfo

LOG = logging.getLogger(__name__)


def wait_for_registry(
    client: RegistryClient, *, max_retries: int, interval: float, tell: Callable[[str], None] = LOG.warning
) -> ServerInfo:
    """Return the registry's information, once it answers.

    Retries ``max_retries`` times (-1: without limit), every ``interval`` seconds, unless it refuses this node. ``tell``
    is called with a message before each wait.

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
