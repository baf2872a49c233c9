"""When things happen: updates, and evaluations of the champion."""

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
_EMPTY_WINDOW_MESSAGE = "start and end are the same: leave window out for any time, or let it end at another time"


def validate_with(spec: SpecT, check: Callable[[SpecT], None]) -> SpecT:
    """Returns a part that passes a check, whose error becomes one that pydantic places."""
    try:
        check(spec)
    except InputError as error:
        raise ValueError(str(error)) from None
    return spec


class ScheduleSpec(ApiModel):
    """Points in time, as cron writes them; in daylight saving's lost hour at its end, in its doubled hour once."""

    cron: Cron
    """Minute, hour, day of the month, month, day of the week: 30 2 * * 1 is half past two on every Monday."""
    time_zone: TimeZone = "Etc/UTC"
    """Whose clock it is, for example Europe/Rome."""

    @model_validator(mode="after")
    def _check_schedule_fires(self) -> Self:
        from anamnesis.operator.api.schedule import check_schedule  # brings a library that few resources need

        return validate_with(self, check_schedule)


class MaintenanceWindow(ApiModel):
    """When updates may begin; one that runs is finished."""

    model_config = ConfigDict(json_schema_extra=cel_rules(("self.start != self.end", _EMPTY_WINDOW_MESSAGE)))

    start: TimeOfDay
    """From when, for example "22:00"."""
    end: TimeOfDay
    """Until when, for example "05:30"; before start, it is on the next day."""
    days: Annotated[tuple[Weekday, ...], Field(max_length=7), UniqueItems] = ()
    """Days on which it starts; empty for every day."""
    time_zone: TimeZone = "Etc/UTC"
    """Whose clock it is, for example Europe/Rome."""

    @model_validator(mode="after")
    def _check_not_empty(self) -> Self:
        if self.start == self.end:
            raise ValueError(_EMPTY_WINDOW_MESSAGE)
        from anamnesis.operator.api.schedule import check_window

        return validate_with(self, check_window)


class TriggerSpec(ApiModel):
    """When an update begins on a cluster. Locally the person at the command line is the trigger.

    A site's new data begins an update when it brings enough new patients, has not changed for the quiet period, and
    schedule and window allow it. The annotation update.anamnesis.dev/<site> with a higher number begins one at once.
    """

    minimum_new_patients: Annotated[int, Field(ge=0, le=10_000_000, strict=True)] = 0
    """New patients that a site's data must bring; below it, the site waits for more."""
    quiet_period: Duration = "5m"
    """How long the source must not have changed: an upload that is still going on is not learned half."""
    schedule: ScheduleSpec | None = None
    """Points in time at which updates begin; left out, they begin when the data is there."""
    window: MaintenanceWindow | None = None


class EvaluationSpec(ApiModel):
    """When the champion is evaluated again, on every frozen test set and on recent cases."""

    schedule: ScheduleSpec
    minimum_recent_cases: Annotated[int, Field(ge=2, le=1_000_000, strict=True)] = 20
    """Recent labelled cases of a site below which nothing is said about drift."""
    tolerance: Share = Decimal("0.01")
    """How far the score on a frozen set may move before the model counts as forgetting, a decimal in quotes."""
    recent_floor: Share | None = None
    """The least score on recent cases before the model counts as drifting; left out, the gate's floor."""
