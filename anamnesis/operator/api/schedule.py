"""When a schedule fires and when a maintenance window is open. Pure: the time comes in.

A schedule follows Debian's cron: a time that daylight saving leaves out fires at the end of the gap, one that comes
twice fires the first time; where minute or hour begin with ``*``, each real minute or hour that matches counts.
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
"""More than any clock is put back at once; a doubled hour's first pass lies before what its wall time suggests."""


def check_schedule(spec: "ScheduleSpec") -> None:
    """Checks what the types leave open.

    Raises:
        InputError: ``cron`` or ``timeZone`` is not known, or the schedule never fires.
    """
    next_firing(spec, datetime(2024, 1, 1, 12, tzinfo=UTC))


def check_window(window: "MaintenanceWindow") -> None:
    """Checks what the types leave open.

    Raises:
        InputError: ``timeZone`` is not known.
    """
    _load_zone(window.time_zone)


def next_firing(spec: "ScheduleSpec", after: datetime) -> datetime:
    """Returns the first firing after a time, UTC.

    Raises:
        InputError: see ``check_schedule``.
    """
    firing = _find_firing(spec, after, reverse=False)
    if firing is None:
        raise InputError(f"cron: {spec.cron!r} never fires")
    return firing


def last_firing(spec: "ScheduleSpec", at: datetime) -> datetime | None:
    """Returns the last firing at or before a time, UTC; none where there was none in 50 years.

    Raises:
        InputError: see ``check_schedule``.
    """
    return _find_firing(spec, at, reverse=True)


def is_window_open(window: "MaintenanceWindow", at: datetime) -> bool:
    """Returns whether a window is open: from ``start`` up to ``end``, which is out.

    ``days`` are those on which it opens; none given are all. Daylight saving: a start or end in the gap is at the end
    of the gap, one that comes twice is the first.

    Raises:
        InputError: see ``check_window``.
    """
    zone = _load_zone(window.time_zone)
    today = at.astimezone(zone).date()
    spans = (_opening_span(window, day, zone) for day in (today - timedelta(days=1), today))
    return any(opening <= at < closing for opening, closing in spans)


def next_opening(window: "MaintenanceWindow", at: datetime) -> datetime:
    """Returns when a window opens next, UTC; ``at`` itself where it is open.

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
        raise InputError(f"cron: {spec.cron!r}: {str(error).lower()}") from None
    return None


def _opening_span(window: "MaintenanceWindow", day: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """From when to when a window is open that opens on a day; empty where it does not."""
    start, end = time.fromisoformat(window.start), time.fromisoformat(window.end)
    opening = _first_instant(datetime.combine(day, start), zone)
    if window.days and _DAYS[day.weekday()] not in window.days:
        return opening, opening
    return opening, _first_instant(datetime.combine(day + timedelta(days=end <= start), end), zone)


def _first_instant(wall_time: datetime, zone: ZoneInfo) -> datetime:
    """The first time that a clock shows ``wall_time``, UTC, or the end of the gap that leaves it out."""
    while (instant := wall_time.replace(tzinfo=zone).astimezone(UTC)).astimezone(zone).replace(
        tzinfo=None
    ) != wall_time:
        wall_time += timedelta(minutes=1)
    return instant


def _load_zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, LookupError):  # what it raises depends on what of a name is wrong
        raise InputError(f"timeZone: {name!r} is not in the time zone database; write it like Europe/Rome") from None
