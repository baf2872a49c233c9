"""The query of a DICOM server: which of its studies a Site takes."""

from datetime import datetime
from typing import Annotated, Self

from pydantic import ConfigDict, Field, model_validator

from anamnesis.operator.api.api_model import ApiModel
from anamnesis.operator.api.cel import cel_rules
from anamnesis.operator.api.string_types import DicomDate, Modality, StudyDescription
from anamnesis.operator.api.value_types import OrderedUniqueItems

_DATES_MESSAGE = "from is later than to, so that no study matches; exchange them"


class StudyQuery(ApiModel):
    """Studies to take from the server. Each field narrows the list; the Site ingests nothing else of the server."""

    model_config = ConfigDict(
        json_schema_extra=cel_rules(("!has(self.from) || !has(self.to) || self.from <= self.to", _DATES_MESSAGE))
    )

    modalities: Annotated[tuple[Modality, ...], Field(max_length=8), OrderedUniqueItems] | None = None
    """Take studies with an image of at least one of these modalities. If omitted, those of the Site; if empty, all."""
    first_date: Annotated[DicomDate | None, Field(alias="from")] = None
    """Take studies from this StudyDate on, for example "20240131". With a date, studies without one are not taken."""
    last_date: Annotated[DicomDate | None, Field(alias="to")] = None
    """Take studies up to this StudyDate, for example "20241231"."""
    description: StudyDescription | None = None
    """Take studies with this StudyDescription, in capitals or not, for example "*CHEST*": * and ? are wildcards."""

    @model_validator(mode="after")
    def _check_dates(self) -> Self:
        for name, text in (("from", self.first_date), ("to", self.last_date)):
            if text:
                _check_day(name, text)
        if self.first_date and self.last_date and self.first_date > self.last_date:
            raise ValueError(_DATES_MESSAGE)
        return self


def _check_day(name: str, text: str) -> None:
    try:
        datetime.strptime(text, "%Y%m%d")
    except ValueError:
        raise ValueError(f"{name}: expected a day of the calendar, like 20240131, found {text!r}") from None
