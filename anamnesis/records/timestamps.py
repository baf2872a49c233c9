"""The time, as an argument, and as text."""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Returns the time, UTC."""
_TIMESTAMP_FORMAT = "%Y-%m-%dT%H:%M:%SZ"


def utc_now() -> datetime:
    """Returns the time."""
    return datetime.now(UTC)


def format_timestamp(time: datetime) -> str:
    """Returns a time as text: UTC, ISO 8601, whole seconds."""
    return time.astimezone(UTC).strftime(_TIMESTAMP_FORMAT)


def parse_timestamp(text: str) -> datetime:
    """Returns the time that ``timestamp`` wrote."""
    return datetime.strptime(text, _TIMESTAMP_FORMAT).replace(tzinfo=UTC)
