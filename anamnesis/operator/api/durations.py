"""Durations as resources have them: ``30s``, ``5m``, ``2h``, ``1d``."""

from datetime import timedelta

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def parse_duration(text: str) -> timedelta:
    """Returns the duration that a validated field holds."""
    return timedelta(**{_UNITS[text[-1]]: int(text[:-1])})
