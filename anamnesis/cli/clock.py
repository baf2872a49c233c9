"""The time, as an argument for what is below the commands."""

from datetime import UTC, datetime


def utc_now() -> datetime:
    """Returns the time."""
    return datetime.now(UTC)
