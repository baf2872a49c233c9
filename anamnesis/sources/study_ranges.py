"""Ranges of StudyDate, StudyTime and PatientID: they split a list that a server does not return whole. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from enum import Enum
from string import ascii_uppercase, digits

_FIRST_DAY = date(1900, 1, 1)
_LAST_MINUTE = 24 * 60 - 1
_WILDCARDS = set("*?\\")
_USUAL_CHARACTERS = set(digits + ascii_uppercase + "-")


@dataclass(frozen=True, slots=True)
class StudyKeys:
    """The attributes of a study by which a list is split.

    Attributes:
        day: StudyDate; none where the server returns none.
        minute: minutes since midnight of StudyTime; none where the server returns none.
        patient: PatientID, or empty.
    """

    day: date | None
    minute: int | None = None
    patient: str = field(default="", repr=False)


class Axis(Enum):
    """The attribute by which a range is split next."""

    DAY = "StudyDate"
    MINUTE = "StudyTime"
    KNOWN_PATIENT = "PatientID, by the next character of the known ones"
    ANY_PATIENT = "PatientID, by all usual characters"


@dataclass(frozen=True, slots=True)
class StudyRange:
    """Studies of some days, of some minutes of one day, and of patients whose identifiers start alike.

    Attributes:
        first_day: first day of the range, or none.
        last_day: last day of the range, or none.
        minutes: first and last minute of the one day, or none.
        patient: start of the PatientID; empty is any.
        is_whole_patient: ``patient`` is the PatientID, not its start.
        axis: how ``split`` splits the range.
    """

    first_day: date | None = None
    last_day: date | None = None
    minutes: tuple[int, int] | None = None
    patient: str = field(default="", repr=False)
    is_whole_patient: bool = False
    axis: Axis = Axis.DAY

    def contains(self, keys: StudyKeys) -> bool:
        """Returns whether a study belongs to the range; without the attribute, it belongs to no part of a range."""
        if not keys.patient.startswith(self.patient) or (self.is_whole_patient and keys.patient != self.patient):
            return False
        if not self.first_day and not self.last_day:
            return True
        if keys.day is None or not (self.first_day or date.min) <= keys.day <= (self.last_day or date.max):
            return False
        return self.minutes is None or (keys.minute is not None and self.minutes[0] <= keys.minute <= self.minutes[1])

    def parameters(self) -> dict[str, str]:
        """Returns the parameters of a QIDO-RS query."""
        parameters: dict[str, str] = {}
        if self.first_day or self.last_day:
            first, last = (f"{day:%Y%m%d}" if day else "" for day in (self.first_day, self.last_day))
            parameters["StudyDate"] = first if first == last else f"{first}-{last}"
        if self.minutes:
            first, last = (f"{minute // 60:02}{minute % 60:02}" for minute in self.minutes)
            parameters["StudyTime"] = f"{first}00-{last}59"
        if self.patient:
            parameters["PatientID"] = self.patient if self.is_whole_patient else f"{self.patient}*"
        return parameters

    def lacks_key(self, keys: StudyKeys) -> bool:
        """Returns whether a study has no value of the attribute by which the range is split."""
        return {Axis.DAY: keys.day is None, Axis.MINUTE: keys.minute is None}.get(self.axis, not keys.patient)

    def split(self, known_keys: Iterable[StudyKeys], today: date) -> tuple["StudyRange", ...]:
        """Returns parts of the range; none where the axis gives none.

        Two parts or more hold known studies where these differ. A server that returns at most n studies of a query then
        returns more for the parts than for the whole, if it left out any.

        Args:
            known_keys: those of the studies that are known.
            today: the current day.
        """
        known_keys = [keys for keys in known_keys if self.contains(keys)]
        if self.axis is Axis.DAY:
            return self._split_days([keys.day.toordinal() for keys in known_keys if keys.day], today)
        if self.axis is Axis.MINUTE:
            return self._split_minutes([keys.minute for keys in known_keys if keys.minute is not None])
        return self._split_patients([keys.patient for keys in known_keys if keys.patient])

    def with_next_axis(self) -> "StudyRange | None":
        """Returns the range with the axis after this one; none after the last."""
        if self.axis is Axis.ANY_PATIENT:
            return None
        is_one_day = self.first_day is not None and self.first_day == self.last_day
        if self.axis is Axis.DAY and is_one_day:
            return replace(self, axis=Axis.MINUTE)
        return replace(self, axis=Axis.ANY_PATIENT if self.axis is Axis.KNOWN_PATIENT else Axis.KNOWN_PATIENT)

    def _split_days(self, known_days: Sequence[int], today: date) -> tuple["StudyRange", ...]:
        first = self.first_day or min(_FIRST_DAY, self.last_day or _FIRST_DAY)
        last = self.last_day or max(today, self.first_day or today)
        one_day = timedelta(days=1)
        ordinals = _cuts(known_days, first.toordinal(), last.toordinal())
        cuts = [date.fromordinal(cut) for cut in ordinals if 0 < cut < date.max.toordinal()]
        bounds = zip((self.first_day, *(cut + one_day for cut in cuts)), (*cuts, self.last_day), strict=True)
        parts = [replace(self, first_day=start, last_day=end) for start, end in bounds]
        parts = [part for part in parts if not (part.first_day and part.last_day) or part.first_day <= part.last_day]
        return tuple(parts) if len(parts) > 1 else ()

    def _split_minutes(self, known_minutes: Sequence[int]) -> tuple["StudyRange", ...]:
        first, last = self.minutes or (0, _LAST_MINUTE)
        starts = (first, *(cut + 1 for cut in _cuts(known_minutes, first, last)))
        ends = (*(start - 1 for start in starts[1:]), last)
        parts = [replace(self, minutes=bounds) for bounds in zip(starts, ends, strict=True) if bounds[0] <= bounds[1]]
        return tuple(parts) if len(parts) > 1 else ()

    def _split_patients(self, known_patients: Sequence[str]) -> tuple["StudyRange", ...]:
        start = self.patient
        is_sweep = self.axis is Axis.ANY_PATIENT
        if not is_sweep and known_patients:
            start = _common_start(known_patients)
        characters = {patient[len(start)] for patient in known_patients if len(patient) > len(start)} - _WILDCARDS
        if (
            self.is_whole_patient
            or _WILDCARDS & set(start)
            or (not is_sweep and len(characters) < 2)
            or (known_patients and not characters)
        ):
            return ()
        characters |= _USUAL_CHARACTERS if is_sweep else set()
        parts = [replace(self, patient=start + character, axis=Axis.KNOWN_PATIENT) for character in sorted(characters)]
        if start and (is_sweep or start in known_patients):  # the start of other identifiers may be one itself
            parts.append(replace(self, patient=start, is_whole_patient=True, axis=Axis.ANY_PATIENT))
        return tuple(parts)


def _cuts(values: Sequence[int], first: int, last: int) -> tuple[int, ...]:
    """Returns the values after which a range is cut: the median, or before and after a single value."""
    distinct_values = sorted(set(values))
    if len(distinct_values) > 1:
        median = sorted(values)[(len(values) - 1) // 2]
        return (median if median < distinct_values[-1] else distinct_values[-2],)
    if distinct_values:
        return distinct_values[0] - 1, distinct_values[0]
    return ((first + last) // 2,) if first < last else ()


def _common_start(texts: Sequence[str]) -> str:
    first, last = min(texts), max(texts)
    length = next(
        (number for number, pair in enumerate(zip(first, last, strict=False)) if len(set(pair)) > 1), len(first)
    )
    return first[:length]
