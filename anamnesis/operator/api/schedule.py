"""When a schedule fires, and when a maintenance window is open. Pure: the time is an argument.

A schedule follows Debian's cron. A time in the hour that daylight saving skips fires at the end of that hour; a time in
the repeated hour fires once, the first time. If minute or hour begin with ``*``, every matching real hour counts.
"""

from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from anamnesis.records import InputError

if TYPE_CHECKING:
    from anamnesis.operator.api.trigger import MaintenanceWindow, ScheduleSpec

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_CRON_FIELDS = 5
_MAX_CLOCK_SHIFT = timedelta(hours=3)
"""More than any clock is put back at once: the first pass of a repeated hour is earlier than its wall time suggests."""


def check_schedule(spec: "ScheduleSpec") -> None:
    """Checks that a schedule fires at all.

    Raises:
        InputError: ``cron`` or ``timeZone`` is invalid, or the schedule never fires.
    """
    next_firing(spec, datetime(2024, 1, 1, 12, tzinfo=UTC))


def check_window(window: "MaintenanceWindow") -> None:
    """Checks the time zone of a window.

    Raises:
        InputError: ``timeZone`` is invalid.
    """
    _load_zone(window.time_zone)


def next_firing(spec: "ScheduleSpec", after: datetime) -> datetime:
    """Returns the first firing after a time, UTC.

    Raises:
        InputError: see ``check_schedule``.
    """
    firing = _find_firing(spec, after, reverse=False)
    if firing is None:
        raise InputError(f"cron: {spec.cron!r} never fires; check day of month and month")
    return firing


def last_firing(spec: "ScheduleSpec", at: datetime) -> datetime | None:
    """Returns the last firing at or before a time, UTC; none where the last 50 years had none.

    Raises:
        InputError: see ``check_schedule``.
    """
    return _find_firing(spec, at, reverse=True)


def is_window_open(window: "MaintenanceWindow", at: datetime) -> bool:
    """Returns whether a window is open: from ``start`` on, until just before ``end``.

    The window opens on ``days``; no days mean every day. A start or end in the hour that daylight saving skips moves to
    the end of that hour; one in the repeated hour is the first.

    Raises:
        InputError: see ``check_window``.
    """
    zone = _load_zone(window.time_zone)
    today = at.astimezone(zone).date()
    spans = (_opening_span(window, day, zone) for day in (today - timedelta(days=1), today))
    return any(opening <= at < closing for opening, closing in spans)


def next_opening(window: "MaintenanceWindow", at: datetime) -> datetime:
    """Returns when a window opens next, UTC; ``at`` itself if the window is open.

    Raises:
        InputError: see ``check_window``.
    """
    if is_window_open(window, at):
        return at
    zone = _load_zone(window.time_zone)
    today = at.astimezone(zone).date()
    spans = (_opening_span(window, today + timedelta(days=days), zone) for days in range(15))  # the gap may swallow one
    return next(opening for opening, closing in spans if at < opening < closing)


def _find_firing(spec: "ScheduleSpec", at: datetime, reverse: bool) -> datetime | None:
    from cronsim import CronSim, CronSimError

    if len(spec.cron.split()) != _CRON_FIELDS:
        raise InputError(f"cron: {spec.cron!r}: expected five fields: minute, hour, day of month, month, day of week")
    start = (at + _MAX_CLOCK_SHIFT if reverse else at).astimezone(_load_zone(spec.time_zone))
    try:
        for local_time in CronSim(spec.cron, start, reverse=reverse):
            firing = local_time.astimezone(UTC)
            if firing <= at if reverse else firing > at:
                return firing
    except CronSimError as error:
        raise InputError(f"cron: {spec.cron!r}: {str(error).lower()}; correct that field, as in 30 2 * * 1") from None
    return None


def _opening_span(window: "MaintenanceWindow", day: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """Returns from when to when a window is open that opens on this day; an empty span if it does not open."""
    start, end = time.fromisoformat(window.start), time.fromisoformat(window.end)
    opening = _first_instant(datetime.combine(day, start), zone)
    if window.days and _DAYS[day.weekday()] not in window.days:
        return opening, opening
    return opening, _first_instant(datetime.combine(day + timedelta(days=end <= start), end), zone)


def _first_instant(wall_time: datetime, zone: ZoneInfo) -> datetime:
    """Returns the first time, UTC, at which a clock shows ``wall_time``, or the end of the gap that skips it."""
    while (instant := wall_time.replace(tzinfo=zone).astimezone(UTC)).astimezone(zone).replace(
        tzinfo=None
    ) != wall_time:
        wall_time += timedelta(minutes=1)
    return instant


def _load_zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, LookupError):  # the kind of error depends on the name
        raise InputError(f"timeZone: {name!r} is not in the time zone database; write one like Europe/Rome") from None
