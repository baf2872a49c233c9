"""Any DICOMweb server: QIDO-RS to list, WADO-RS to fetch (DICOM PS3.18, chapters 10.6 and 10.4)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from requests_toolbelt import MultipartDecoder
from requests_toolbelt.multipart.decoder import ImproperBodyPartContentException, NonMultipartContentTypeException

from anamnesis.records import InputError
from anamnesis.sources.base import Item, instance_key, spread
from anamnesis.sources.dicom_http import PAGE, Server

_ACCESSION, _PATIENT = "00080050", "00100020"
_STUDY, _SERIES, _INSTANCE = "0020000D", "0020000E", "00080018"
_COUNT = "00201208"
_AS_STORED = 'multipart/related; type="application/dicom"; transfer-syntax=*'


@dataclass(frozen=True, slots=True)
class Study:
    """One line of the list of studies.

    Attributes:
        uid: StudyInstanceUID.
        accession: AccessionNumber, or empty.
        patient: PatientID, or empty; to be counted, never kept.
        instances: NumberOfStudyRelatedInstances.
    """

    uid: str
    accession: str
    patient: str = field(repr=False)
    instances: int


class DICOMweb:
    """Lists and reads the instances of a DICOMweb server.

    Nothing there tells whether an instance was replaced by another of the same UID; DICOM forbids that.
    """

    def __init__(self, server: Server) -> None:
        self._server = server

    @classmethod
    def at(cls, url: str, environment: Mapping[str, str]) -> "DICOMweb":
        """Opens the server at ``http(s)://host/path``; see ``open_source``."""
        return cls(Server(url, environment))

    def items(self) -> tuple[Item, ...]:
        """See ``Source.items``; asks once for each study."""
        found = [item for items in spread(self._instances, self.studies()) for item in items]
        return tuple(sorted(found, key=lambda item: (item.key, item.place)))

    def read(self, item: Item) -> bytes:
        """See ``Source.read``: the file as it is stored."""
        answer = self._server.get(item.place, "an instance", _AS_STORED)
        if answer.headers.get("Content-Type", "").partition(";")[0].strip() == "application/dicom":
            return answer.content
        try:
            (part,) = MultipartDecoder.from_response(answer).parts
        except (NonMultipartContentTypeException, ImproperBodyPartContentException, ValueError):
            raise InputError(f"{self._server.url}: asked for an instance, it answers with something else") from None
        return bytes(part.content)

    def studies(self) -> list[Study]:
        """Returns every study, in the server's order.

        Raises:
            InputError: the server does not count a study's instances; raises as ``items`` does, too.
        """
        fields = {"includefield": [_COUNT, _ACCESSION, _PATIENT]}
        return [self._study(row) for row in self._rows("studies", "its studies", _STUDY, fields)]

    def _study(self, row: Mapping[str, Any]) -> Study:
        count = _value(row, _COUNT)
        if not count.isdecimal():
            raise InputError(f"{self._server.url}: it does not tell NumberOfStudyRelatedInstances (0020,1208)")
        return Study(_value(row, _STUDY), _value(row, _ACCESSION), _value(row, _PATIENT), int(count))

    def _instances(self, study: Study) -> list[Item]:
        path = f"studies/{quote(study.uid)}/instances"
        rows = list(self._rows(path, "a study's instances", _INSTANCE, {"includefield": [_SERIES]}))
        if not all(_value(row, _SERIES) for row in rows):
            raise InputError(f"{self._server.url}: it does not tell an instance's SeriesInstanceUID (0020,000E)")
        return [_item(study, _value(row, _SERIES), _value(row, _INSTANCE)) for row in rows]

    def _rows(self, path: str, what: str, tag: str, parameters: Mapping[str, object]) -> Iterator[Mapping[str, Any]]:
        """Yields every line of a list, each UID once: a server may give fewer lines than asked for, or ignore pages."""
        seen: set[str] = set()
        start = 0
        while True:
            page = self._server.json(path, what, {**parameters, "limit": PAGE, "offset": start})
            if not isinstance(page, list) or not all(isinstance(row, dict) and _value(row, tag) for row in page):
                raise InputError(f"{self._server.url}: asked for {what}, it does not answer as QIDO-RS; check the path")
            fresh = {uid: row for row in page if (uid := _value(row, tag)) not in seen}
            if not fresh:
                return
            seen.update(fresh)
            yield from fresh.values()
            start += len(page)


def _item(study: Study, series: str, instance: str) -> Item:
    place = f"studies/{quote(study.uid)}/series/{quote(series)}/instances/{quote(instance)}"
    names = tuple(filter(None, (instance, series, study.uid, study.accession)))
    return Item(instance_key(study.uid, instance), "", 0, names, place)


def _value(row: Mapping[str, Any], tag: str) -> str:
    """The first value of an attribute in DICOM's JSON, as text, or nothing."""
    values = (row.get(tag) or {}).get("Value") or [""]
    return str(values[0] if values[0] is not None else "").strip()
