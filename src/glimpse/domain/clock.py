"""Time stamps of images."""

from datetime import UTC, datetime


def now() -> datetime:
    """Return the current time as naive UTC with microseconds, the form of all timestamps in the domain and the
    database.
    """
    return datetime.now(UTC).replace(tzinfo=None)


def wire_time(moment: datetime) -> str:
    """``YYYY-MM-DDTHH:MM:SSZ`` (images-api 0.3)."""
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
