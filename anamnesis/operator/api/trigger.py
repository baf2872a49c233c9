"""When updates start, and when the champion is evaluated."""

from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, Literal, Self, TypeVar

from pydantic import ConfigDict, Field, model_validator

from anamnesis.operator.api.api_model import ApiModel
from anamnesis.operator.api.cel import cel_rules
from anamnesis.operator.api.string_types import Cron, Duration, TimeOfDay, TimeZone
from anamnesis.operator.api.value_types import Share, UniqueItems
from anamnesis.records import InputError

Weekday = Literal["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
SpecT = TypeVar("SpecT", bound=ApiModel)
_EMPTY_WINDOW_MESSAGE = "start and end are the same; remove window to allow any time, or set another end"


def validate_with(spec: SpecT, check: Callable[[SpecT], None]) -> SpecT:
    """Returns a part that passes a check. Turns the check's error into one that pydantic reports with its field."""
    try:
        check(spec)
    except InputError as error:
        raise ValueError(str(error)) from None
    return spec


class ScheduleSpec(ApiModel):
    """Points in time, written for cron. A time in the hour that daylight saving skips fires at the end of that hour."""

    cron: Cron
    """Minute, hour, day of month, month, day of week: 30 2 * * 1 is 02:30 on every Monday."""
    time_zone: TimeZone = "Etc/UTC"
    """Time zone of these times, for example Europe/Rome."""

    @model_validator(mode="after")
    def _check_schedule_fires(self) -> Self:
        from anamnesis.operator.api.schedule import check_schedule  # loads a library that few resources need

        return validate_with(self, check_schedule)


class MaintenanceWindow(ApiModel):
    """The hours in which updates may start. If omitted, at any time. A running update finishes after the window."""

    model_config = ConfigDict(json_schema_extra=cel_rules(("self.start != self.end", _EMPTY_WINDOW_MESSAGE)))

    start: TimeOfDay
    """When the window opens, for example "22:00"."""
    end: TimeOfDay
    """When the window closes, for example "05:30". An end before start is on the next day."""
    days: Annotated[tuple[Weekday, ...], Field(max_length=7), UniqueItems] = ()
    """Days on which the window opens. If empty, every day."""
    time_zone: TimeZone = "Etc/UTC"
    """Time zone of these times, for example Europe/Rome."""

    @model_validator(mode="after")
    def _check_not_empty(self) -> Self:
        if self.start == self.end:
            raise ValueError(_EMPTY_WINDOW_MESSAGE)
        from anamnesis.operator.api.schedule import check_window

        return validate_with(self, check_window)


class TriggerSpec(ApiModel):
    """When an update starts on a cluster. On a laptop, the command line starts updates.

    New data of a Site starts an update if it has enough new patients, has not changed for the quiet period, and
    schedule and window allow it. The annotation update.anamnesis.dev/<site> with a higher number starts an update at
    once.
    """

    minimum_new_patients: Annotated[int, Field(ge=0, le=10_000_000, strict=True)] = 20
    """Lowest number of new patients in a Site's data that starts an update."""
    quiet_period: Duration = "5m"
    """How long the source must be unchanged, so that no update learns half of an upload."""
    schedule: ScheduleSpec | None = None
    """Points in time at which updates start. If omitted, updates start as soon as the data is ready."""
    window: MaintenanceWindow | None = None


class EvaluationSpec(ApiModel):
    """Scheduled evaluations of the champion, on every frozen test set and on recent cases."""

    schedule: ScheduleSpec
    minimum_recent_cases: Annotated[int, Field(ge=2, le=1_000_000, strict=True)] = 20
    """Lowest number of recent labelled cases of a Site for which drift is judged."""
    tolerance: Share = Decimal("0.01")
    """Largest change of a score on a frozen test set before the model is Forgetting, a decimal in quotes."""
    recent_floor: Share | None = None
    """A lower score on recent cases makes the model Drifting. If omitted, the gate's floor."""
