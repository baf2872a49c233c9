from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anamnesis.operator.api.schedule import check_schedule, is_window_open, last_firing, next_firing, next_opening
from anamnesis.operator.api.trigger import MaintenanceWindow, ScheduleSpec
from anamnesis.records import InputError

ZONES = ("Europe/Rome", "America/New_York")
CHANGES = (  # a day before each change of the clock in 2026
    datetime(2026, 3, 7, tzinfo=UTC),
    datetime(2026, 3, 28, tzinfo=UTC),
    datetime(2026, 10, 24, tzinfo=UTC),
    datetime(2026, 10, 31, tzinfo=UTC),
)
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

zones = st.sampled_from(ZONES)
moments = st.builds(
    lambda day, seconds: day + timedelta(seconds=seconds),
    st.sampled_from(CHANGES),
    st.floats(0, 3 * 86400, allow_nan=False),
)
hours, minutes = st.integers(0, 23), st.integers(0, 59)


def cron(text: str, zone: str = "Etc/UTC") -> ScheduleSpec:
    return ScheduleSpec.model_construct(cron=text, time_zone=zone)


def window(start: str, end: str, zone: str = "Etc/UTC", days: tuple[str, ...] = ()) -> MaintenanceWindow:
    return MaintenanceWindow.model_validate({"start": start, "end": end, "timeZone": zone, "days": days})


def local(text: str, zone: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


def firings(hour: int, minute: int, zone: str, around: datetime) -> list[datetime]:
    """The plain rule: each local day once; a time that does not exist is at the end of the gap, of two the first."""
    firing_times = []
    for days in range(-3, 5):
        day = around.astimezone(ZoneInfo(zone)).date() + timedelta(days=days)
        instants = (
            datetime.combine(day, time(), ZoneInfo(zone)).astimezone(UTC) + timedelta(minutes=m) for m in range(1600)
        )
        at_least = (i for i in instants if i.astimezone(ZoneInfo(zone)).time() >= time(hour, minute))
        firing_times.append(next(at_least))
    return firing_times


@given(hours, minutes, zones, moments)
def test_a_daily_time_fires_once_a_day_also_when_the_clock_changes(hour, minute, zone, at):
    schedule, expected = cron(f"{minute} {hour} * * *", zone), firings(hour, minute, zone, at)
    assert next_firing(schedule, at) == min(firing for firing in expected if firing > at)
    assert last_firing(schedule, at) == max(firing for firing in expected if firing <= at)


EXPRESSIONS = (
    "* * * * *",
    "*/7 * * * *",
    "15 */2 * * *",
    "15,45 2,3 * * *",
    "0 2 * * SUN",
    "*/20 2 * * *",
    "0 0 1 * *",
)


@given(st.sampled_from(EXPRESSIONS), zones, moments)
def test_between_two_firings_there_is_none(expression, zone, at):
    schedule = cron(expression, zone)
    last, following = last_firing(schedule, at), next_firing(schedule, at)
    assert last is not None
    assert last <= at < following
    assert next_firing(schedule, last) == following
    assert last_firing(schedule, following - timedelta(microseconds=1)) == last
    assert last_firing(schedule, following) == following


def test_half_past_two_in_rome_when_the_clock_changes():
    schedule = cron("30 2 * * *", "Europe/Rome")
    assert next_firing(schedule, datetime(2026, 3, 29, tzinfo=UTC)) == datetime(2026, 3, 29, 1, 0, tzinfo=UTC)
    assert next_firing(schedule, datetime(2026, 10, 25, tzinfo=UTC)) == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    second_occurrence = datetime(2026, 10, 25, 1, 15, tzinfo=UTC)  # 2:15 for the second time
    assert next_firing(schedule, second_occurrence) == datetime(2026, 10, 26, 1, 30, tzinfo=UTC)
    assert last_firing(schedule, second_occurrence) == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        (cron("0 0 30 2 *"), r"cron: '0 0 30 2 \*': bad day-of-month"),
        (cron("0 25 * * *"), "bad hour"),
        (cron("* * *"), "expected five fields"),
        (cron("0 * * * * *"), "expected five fields"),
        (cron("@daily"), "expected five fields"),
        (cron("0 2 * * *", "Europe/Rom"), "timeZone: 'Europe/Rom' is not in the time zone database"),
        (cron("0 2 * * *", "../etc/passwd"), "timeZone"),
    ],
)
def test_a_schedule_that_cannot_be_kept_names_its_field(schedule, message):
    with pytest.raises(InputError, match=message):
        check_schedule(schedule)
    with pytest.raises(ValueError, match=r"cron|timeZone"):
        ScheduleSpec.model_validate({"cron": schedule.cron, "timeZone": schedule.time_zone})


def test_a_window_knows_its_time_zone():
    with pytest.raises(ValueError, match="timeZone: 'Mars/North' is not in the time zone database"):
        window("22:00", "05:30", "Mars/North")


def test_a_window_over_midnight():
    night = window("22:00", "05:30", "Europe/Rome", ("Friday", "Saturday"))
    assert not is_window_open(night, local("2026-11-20 21:59:59", "Europe/Rome"))  # a Friday
    assert is_window_open(night, local("2026-11-20 22:00", "Europe/Rome"))
    assert is_window_open(night, local("2026-11-22 05:29:59", "Europe/Rome"))
    assert not is_window_open(night, local("2026-11-22 05:30", "Europe/Rome"))
    assert not is_window_open(night, local("2026-11-22 23:00", "Europe/Rome"))
    assert next_opening(night, local("2026-11-22 05:30", "Europe/Rome")) == local("2026-11-27 22:00", "Europe/Rome")
    now = local("2026-11-21 00:00", "Europe/Rome")
    assert next_opening(night, now) == now


def test_a_window_when_the_clock_changes():
    lost = window("02:10", "02:50", "Europe/Rome")
    assert next_opening(lost, local("2026-03-28 03:00", "Europe/Rome")) == local("2026-03-30 02:10", "Europe/Rome")
    half = window("02:30", "03:30", "Europe/Rome")
    assert next_opening(half, local("2026-03-28 04:00", "Europe/Rome")) == local("2026-03-29 03:00", "Europe/Rome")
    twice = window("01:00", "02:30", "Europe/Rome")
    assert is_window_open(twice, datetime(2026, 10, 25, 0, 29, tzinfo=UTC))
    assert not is_window_open(twice, datetime(2026, 10, 25, 1, 15, tzinfo=UTC))  # 2:15 for the second time


ends = st.builds("{:02d}:{:02d}".format, hours, minutes)


@given(start=ends, end=ends, zone=zones, at=moments, days=st.sets(st.sampled_from(DAYS), max_size=3))
def test_a_window_opens_when_it_says_and_not_before(start, end, zone, at, days):
    if start == end:
        return
    maintenance_window = window(start, end, zone, tuple(days))
    opens = next_opening(maintenance_window, at)
    assert opens >= at
    assert is_window_open(maintenance_window, opens)
    assert (opens == at) == is_window_open(maintenance_window, at)
    if opens > at:
        assert not is_window_open(maintenance_window, opens - timedelta(seconds=1))
        assert not is_window_open(maintenance_window, at + (opens - at) / 2)
        assert not days or opens.astimezone(ZoneInfo(zone)).strftime("%A") in days


@given(ends, ends, zones, st.floats(0, 20 * 86400))
def test_without_a_clock_change_the_wall_time_decides(start, end, zone, seconds):
    if start == end:
        return
    at = datetime(2026, 6, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    wall = at.astimezone(ZoneInfo(zone)).strftime("%H:%M")
    expected = start <= wall < end if start < end else wall >= start or wall < end
    assert is_window_open(window(start, end, zone), at) == expected
