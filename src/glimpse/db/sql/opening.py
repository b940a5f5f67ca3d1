"""The database of an installation, as its options describe it."""

from __future__ import annotations

from glimpse.db.sql.database import SqlDatabase
from glimpse.db.sql.engine import connect
from glimpse.settings.model import DatabaseSettings


def open_database(settings: DatabaseSettings) -> SqlDatabase:
    """Make the object; nothing is connected yet.

    :raises Invalid: the URL cannot be read.
    """
    engine = connect(settings)
    key = settings.metadata_encryption_key
    if not key:
        return SqlDatabase(engine)
    # imported here: few installations have a key, and the library is not small
    from glimpse.db.sql.encrypting import EncryptingDatabase  # noqa: PLC0415
    from glimpse.db.sql.location_cipher import LocationCipher  # noqa: PLC0415

    return EncryptingDatabase(engine, LocationCipher(key))
