"""A DICOMweb server as a source: QIDO-RS lists, WADO-RS fetches (DICOM PS3.18, chapters 10.6 and 10.4)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from requests_toolbelt import MultipartDecoder
from requests_toolbelt.multipart.decoder import ImproperBodyPartContentException, NonMultipartContentTypeException

from anamnesis.records import InputError
from anamnesis.sources.base import SourceItem, instance_key, parallel_map
from anamnesis.sources.dicom_http import PAGE_SIZE, DICOMServerClient

_ACCESSION, _PATIENT = "00080050", "00100020"
_STUDY, _SERIES, _INSTANCE = "0020000D", "0020000E", "00080018"
_INSTANCE_COUNT = "00201208"
_ACCEPT_AS_STORED = 'multipart/related; type="application/dicom"; transfer-syntax=*'


@dataclass(frozen=True, slots=True)
class QidoStudy:
    """One row of the list of studies.

    Attributes:
        uid: StudyInstanceUID.
        accession: AccessionNumber, or empty.
        patient: PatientID, or empty; for counting only, never stored.
        instance_count: NumberOfStudyRelatedInstances.
    """

    uid: str
    accession: str
    patient: str = field(repr=False)
    instance_count: int


class DICOMwebDataSource:
    """Lists and reads the instances of a DICOMweb server.

    It does not detect that an instance was replaced by another one with the same UID, which DICOM forbids.
    """

    def __init__(self, server: DICOMServerClient) -> None:
        self._server = server

    @classmethod
    def from_url(cls, url: str, environment: Mapping[str, str]) -> "DICOMwebDataSource":
        """Opens the server at ``http(s)://host/path``; see ``open_source``."""
        return cls(DICOMServerClient(url, environment))

    def list_items(self) -> tuple[SourceItem, ...]:
        """See ``DataSource.list_items``; sends one request for each study."""
        all_items = [
            item for study_items in parallel_map(self._list_instances, self.list_studies()) for item in study_items
        ]
        return tuple(sorted(all_items, key=lambda item: (item.key, item.locator)))

    def read(self, item: SourceItem) -> bytes:
        """See ``DataSource.read``; returns the file as the server stores it."""
        response = self._server.get(item.locator, "an instance", _ACCEPT_AS_STORED)
        if response.headers.get("Content-Type", "").partition(";")[0].strip() == "application/dicom":
            return response.content
        try:
            (part,) = MultipartDecoder.from_response(response).parts
        except (NonMultipartContentTypeException, ImproperBodyPartContentException, ValueError):
            raise InputError(
                f"{self._server.url}: the response to the request for an instance is not a DICOM instance; "
                "check the address and the WADO-RS service"
            ) from None
        return bytes(part.content)

    def list_studies(self) -> list[QidoStudy]:
        """Returns all studies, in the server's order.

        Raises:
            InputError: the server does not return the number of instances; also the errors of ``list_items``.
        """
        fields = {"includefield": [_INSTANCE_COUNT, _ACCESSION, _PATIENT]}
        return [self._parse_study(row) for row in self._iter_rows("studies", "the studies", _STUDY, fields)]

    def _parse_study(self, row: Mapping[str, Any]) -> QidoStudy:
        count = _first_value(row, _INSTANCE_COUNT)
        if not count.isdecimal():
            raise self._missing_attribute_error("NumberOfStudyRelatedInstances (0020,1208)")
        return QidoStudy(
            _first_value(row, _STUDY), _first_value(row, _ACCESSION), _first_value(row, _PATIENT), int(count)
        )

    def _list_instances(self, study: QidoStudy) -> list[SourceItem]:
        path = f"studies/{quote(study.uid)}/instances"
        rows = list(self._iter_rows(path, "the instances of a study", _INSTANCE, {"includefield": [_SERIES]}))
        if not all(_first_value(row, _SERIES) for row in rows):
            raise self._missing_attribute_error("SeriesInstanceUID (0020,000E) of an instance")
        return [_to_item(study, _first_value(row, _SERIES), _first_value(row, _INSTANCE)) for row in rows]

    def _iter_rows(
        self, path: str, description: str, tag: str, parameters: Mapping[str, object]
    ) -> Iterator[Mapping[str, Any]]:
        """Yields all rows of a list, each UID once; a server may return short pages, or ignore the offset."""
        seen_uids: set[str] = set()
        start = 0
        while True:
            page = self._server.get_json(path, description, {**parameters, "limit": PAGE_SIZE, "offset": start})
            if not isinstance(page, list) or not all(isinstance(row, dict) and _first_value(row, tag) for row in page):
                raise InputError(
                    f"{self._server.url}: the response to the request for {description} is not QIDO-RS; "
                    "check that the path of the URL is the root of the DICOMweb service"
                )
            new_rows = {uid: row for row in page if (uid := _first_value(row, tag)) not in seen_uids}
            if not new_rows:
                return
            seen_uids.update(new_rows)
            yield from new_rows.values()
            start += len(page)

    def _missing_attribute_error(self, attribute: str) -> InputError:
        return InputError(
            f"{self._server.url}: the server does not return {attribute}; configure its QIDO-RS to return it"
        )


def _to_item(study: QidoStudy, series: str, instance: str) -> SourceItem:
    locator = f"studies/{quote(study.uid)}/series/{quote(series)}/instances/{quote(instance)}"
    manifest_names = tuple(filter(None, (instance, series, study.uid, study.accession)))
    return SourceItem(
        key=instance_key(study.uid, instance), etag="", size=0, manifest_names=manifest_names, locator=locator
    )


def _first_value(row: Mapping[str, Any], tag: str) -> str:
    """Returns the first value of an attribute in DICOM JSON, as text; empty when there is none."""
    values = (row.get(tag) or {}).get("Value") or [""]
    return str(values[0] if values[0] is not None else "").strip()
