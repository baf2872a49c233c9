"""A DICOMweb server as a source: QIDO-RS lists, WADO-RS fetches (DICOM PS3.18, chapters 10.6 and 10.4)."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import quote

from requests_toolbelt import MultipartDecoder
from requests_toolbelt.multipart.decoder import ImproperBodyPartContentException, NonMultipartContentTypeException

from anamnesis.records import InputError
from anamnesis.sources.base import IncompleteListError, ListingProblem, SourceItem, instance_key, parallel_map
from anamnesis.sources.dicom_http import DICOMServerClient
from anamnesis.sources.qido_pages import QidoClient, QidoQuery, Row, all_values, first_value
from anamnesis.sources.study_filter import StudyFilter
from anamnesis.sources.study_listing import (
    ACCESSION,
    DESCRIPTION,
    INSTANCE_COUNT,
    MODALITIES,
    PATIENT,
    STUDY,
    STUDY_DATE,
    StudyLister,
    study_keys,
)

_SERIES, _INSTANCE = "0020000E", "00080018"
_MOST_UNLISTED_INSTANCES = 20
"""A server that counts more instances than this, and does not list them, is out of order, and the listing stops."""
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

    def __init__(self, server: DICOMServerClient, study_filter: StudyFilter) -> None:
        self._server, self._filter, self._instances = server, study_filter, QidoClient(server)

    @classmethod
    def from_url(cls, url: str, environment: Mapping[str, str]) -> "DICOMwebDataSource":
        """Opens the server at ``http(s)://host/path``, with the filter in its query; see ``open_source``."""
        address, _, query = url.partition("?")
        return cls(DICOMServerClient(address, environment), StudyFilter.parse(query))

    def list_items(self) -> tuple[SourceItem, ...]:
        """See ``DataSource.list_items``; sends one request for each study."""
        all_items = [
            item for study_items in parallel_map(self._list_instances, self.list_studies()) for item in study_items
        ]
        unlisted_count = sum(item.problem == ListingProblem.NOT_LISTED for item in all_items)
        if unlisted_count > _MOST_UNLISTED_INSTANCES:
            raise IncompleteListError(
                f"{self._server.url}: the server counts {unlisted_count} instances that it does not list; "
                "raise the server's limit of results for each query"
            )
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
        """Returns all studies that the filter takes, in the server's order; see ``list_studies_with_note``."""
        return self.list_studies_with_note()[0]

    def list_studies_with_note(self) -> tuple[list[QidoStudy], str]:
        """Returns all studies that the filter takes, and what could not be checked about their list, or nothing.

        Raises:
            IncompleteListError: the server does not return its whole list.
            InputError: the server does not return an attribute that is needed; also the errors of ``list_items``.
        """
        result = StudyLister(self._server, self._filter).list_all()
        self._check_filter_attributes(result.rows.values())
        rows = [row for row in result.rows.values() if self._takes(row)]
        return [self._parse_study(row) for row in rows], result.note

    def _check_filter_attributes(self, rows: Collection[Row]) -> None:
        """Refuses a filter by an attribute that the server never returns: it may ignore the filter."""
        attributes = {
            "StudyDate (0008,0020)": STUDY_DATE if self._filter.has_dates else "",
            "StudyDescription (0008,1030)": DESCRIPTION if self._filter.description else "",
        }
        for attribute, tag in attributes.items():
            if tag and rows and not any(first_value(row, tag) for row in rows):
                raise self._missing_attribute_error(attribute, "or remove the filter from the query of the source")

    def _takes(self, row: Row) -> bool:
        return (
            self._filter.takes_modalities(all_values(row, MODALITIES))
            and self._filter.takes_date(study_keys(row).day)
            and self._filter.takes_description(first_value(row, DESCRIPTION))
        )

    def _parse_study(self, row: Row) -> QidoStudy:
        count = first_value(row, INSTANCE_COUNT)
        if not count.isdecimal():
            raise self._missing_attribute_error("NumberOfStudyRelatedInstances (0020,1208)")
        return QidoStudy(first_value(row, STUDY), first_value(row, ACCESSION), first_value(row, PATIENT), int(count))

    def _list_instances(self, study: QidoStudy) -> list[SourceItem]:
        """Returns the instances of a study; those that the server counts and does not list have a problem."""
        path = f"studies/{quote(study.uid)}"
        instances = QidoQuery(f"{path}/instances", "the instances of a study", _INSTANCE, (_SERIES,))
        rows = self._instances.read(replace(instances, row_count=study.instance_count)).rows
        if not all(first_value(row, _SERIES) for row in rows.values()):
            raise self._missing_attribute_error("SeriesInstanceUID (0020,000E) of an instance")
        if len(rows) < study.instance_count:  # the server may limit its answers: a series is smaller
            for series in self._instances.read(QidoQuery(f"{path}/series", "the series of a study", _SERIES)).rows:
                query = replace(instances, path=f"{path}/series/{quote(series)}/instances")
                rows |= {
                    uid: {**row, _SERIES: {"Value": [series]}} for uid, row in self._instances.read(query).rows.items()
                }
        items = [_to_item(study, first_value(row, _SERIES), uid) for uid, row in rows.items()]
        return items + [
            replace(_to_item(study, "", f"{study.uid} {number}"), problem=ListingProblem.NOT_LISTED, manifest_names=())
            for number in range(len(rows), study.instance_count)
        ]

    def _missing_attribute_error(self, attribute: str, alternative: str = "") -> InputError:
        return InputError(
            f"{self._server.url}: the server does not return {attribute}; configure its QIDO-RS to return it"
            + (f", {alternative}" if alternative else "")
        )


def _to_item(study: QidoStudy, series: str, instance: str) -> SourceItem:
    locator = f"studies/{quote(study.uid)}/series/{quote(series)}/instances/{quote(instance)}"
    manifest_names = tuple(filter(None, (instance, series, study.uid, study.accession)))
    return SourceItem(
        key=instance_key(study.uid, instance), etag="", size=0, manifest_names=manifest_names, locator=locator
    )
