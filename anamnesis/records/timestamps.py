"""Timestamps: the clock as an argument, and times as text."""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Returns the current time, UTC."""
_TIMESTAMP_FORMAT = "%Y-%m-%dT%H:%M:%SZ"


def utc_now() -> datetime:
    """Returns the current time, UTC."""
    return datetime.now(UTC)


def format_timestamp(time: datetime) -> str:
    """Returns a time as text: UTC, ISO 8601, whole seconds."""
    return time.astimezone(UTC).strftime(_TIMESTAMP_FORMAT)


def parse_timestamp(text: str) -> datetime:
    """Returns the time that ``format_timestamp`` wrote."""
    return datetime.strptime(text, _TIMESTAMP_FORMAT).replace(tzinfo=UTC)
