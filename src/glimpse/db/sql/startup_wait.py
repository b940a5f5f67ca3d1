"""Waiting for a database server that starts later than the service."""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Callable

from sqlalchemy.exc import SQLAlchemyError

from glimpse.db.sql.driver_errors import cause, may_come_back, translate
from glimpse.db.sql.engine import connect
from glimpse.settings.model import DatabaseSettings

LOG = logging.getLogger(__name__)


def wait_for_database(settings: DatabaseSettings, tell: Callable[[str], None] = LOG.warning) -> None:
    """Wait until the main database accepts a connection.

    Retries only after temporary failures: ``max_retries`` times (-1: no limit), every ``retry_interval`` seconds.
    ``tell`` is called with a message before each wait.

    :raises Invalid: the URL cannot be read.
    :raises DatabaseUnavailable: it did not accept a connection.
    """
    engine = connect(settings)
    try:
        for attempt in itertools.count(1):
            try:
                engine.connect().close()
            except SQLAlchemyError as error:
                if not may_come_back(error) or 0 <= settings.max_retries < attempt:
                    raise translate(error) or error from error
                tell(f"The database does not answer; retrying in {settings.retry_interval:g} seconds ({cause(error)})")
                time.sleep(settings.retry_interval)
            else:
                return
    finally:
        engine.dispose()
