"""Which studies of a DICOM server a site takes: the query in the URL of the source."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from urllib.parse import parse_qs, quote, urlencode

from anamnesis.records import InputError

_PARAMETERS = ("modality", "from", "to", "description")


@dataclass(frozen=True, slots=True)
class StudyFilter:
    """A filter of studies; an empty field takes all.

    Attributes:
        modalities: DICOM codes; a study with an image of at least one of them is taken.
        first_date: earliest StudyDate. With either date, a study without a StudyDate is not taken.
        last_date: latest StudyDate.
        description: StudyDescription with the wildcards ``*`` and ``?``; upper and lower case are the same here.
    """

    modalities: tuple[str, ...] = ()
    first_date: date | None = None
    last_date: date | None = None
    description: str = ""

    @property
    def has_dates(self) -> bool:
        """Whether the filter has a first or a last date."""
        return bool(self.first_date or self.last_date)

    def takes_modalities(self, modalities: Collection[str]) -> bool:
        """Returns whether a study of these modalities is taken; without any, it is: each image is checked later."""
        return not self.modalities or not modalities or not set(self.modalities).isdisjoint(modalities)

    def takes_date(self, study_date: date | None) -> bool:
        """Returns whether a study of this date is taken."""
        if not self.has_dates:
            return True
        return study_date is not None and (self.first_date or date.min) <= study_date <= (self.last_date or date.max)

    def takes_description(self, description: str) -> bool:
        """Returns whether a study with this description is taken."""
        parts = re.split(r"([*?])", self.description)
        pattern = "".join({"*": ".*", "?": "."}.get(part, re.escape(part)) for part in parts)
        return not self.description or bool(re.fullmatch(pattern, description, re.IGNORECASE | re.DOTALL))

    def encode(self) -> str:
        """Returns the query of the source's URL, ``?modality=CT&from=20240101``, or nothing; ``parse`` reads it."""
        pairs = [("modality", modality) for modality in self.modalities]
        pairs += [("from", f"{self.first_date:%Y%m%d}")] if self.first_date else []
        pairs += [("to", f"{self.last_date:%Y%m%d}")] if self.last_date else []
        pairs += [("description", self.description)] if self.description else []
        return f"?{urlencode(pairs, quote_via=quote)}" if pairs else ""

    @classmethod
    def parse(cls, query: str) -> "StudyFilter":
        """Returns the filter that ``encode`` wrote.

        Raises:
            InputError: a parameter is unknown, or a date is none.
        """
        values: Mapping[str, list[str]] = parse_qs(query)
        if unknown_names := sorted(set(values) - set(_PARAMETERS)):
            raise InputError(
                f"URL of the DICOM server: unknown parameter {unknown_names[0]!r}; use {', '.join(_PARAMETERS)}"
            )
        first, last = (_parse_parameter(name, values.get(name, [""])[-1]) for name in ("from", "to"))
        return cls(tuple(values.get("modality", ())), first, last, values.get("description", [""])[-1])


def parse_dicom_date(text: str) -> date | None:
    """Returns a DICOM date (``20240131``); none for any other text."""
    if not re.fullmatch("[0-9]{8}", text):
        return None
    try:
        return date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        return None


def _parse_parameter(name: str, text: str) -> date | None:
    parsed_date = parse_dicom_date(text)
    if text and parsed_date is None:
        raise InputError(
            f"URL of the DICOM server: parameter {name!r}: expected a date like 20240131, found {text!r}; correct it"
        )
    return parsed_date
