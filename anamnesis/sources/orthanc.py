"""An Orthanc server as a source, with its own REST interface (https://orthanc.uclouvain.be/book/users/rest.html)."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from anamnesis.records import InputError
from anamnesis.sources.base import IncompleteListError, SourceItem, instance_key
from anamnesis.sources.dicom_http import PAGE_SIZE, DICOMServerClient
from anamnesis.sources.study_filter import StudyFilter, parse_dicom_date

Resource = Mapping[str, Any]
_PASSES = 3
"""Passes over the list of instances while data arrives or is deleted."""
_EMPTY_PATIENT = "da39a3ee-5e6b4b0d-3255bfef-95601890-afd80709"
"""Orthanc's identifier of the patient with an empty PatientID: the SHA-1 of the empty string."""


@dataclass(frozen=True, slots=True)
class OrthancState:
    """The state of a server. Equal states, without a new instance in between, mean equal contents.

    Attributes:
        change_number: number of the last entry in the feed of changes, which lists arrivals, but no deletions.
        instance_count: number of instances; it shows deletions.
        total_bytes: size of all instances.
    """

    change_number: int
    instance_count: int
    total_bytes: int

    def __str__(self) -> str:
        return f"{self.change_number}:{self.instance_count}:{self.total_bytes}"

    @classmethod
    def parse(cls, text: str) -> "OrthancState | None":
        """Returns the state that ``str`` wrote, or none for any other text."""
        numbers = text.split(":")
        if len(numbers) != 3 or not all(number.isdecimal() for number in numbers):
            return None
        return cls(*map(int, numbers))


class OrthancDataSource:
    """Lists and reads the instances of an Orthanc server."""

    def __init__(self, server: DICOMServerClient, study_filter: StudyFilter) -> None:
        self._server, self._filter = server, study_filter

    @classmethod
    def from_url(cls, url: str, environment: Mapping[str, str]) -> "OrthancDataSource":
        """Opens the server at ``http(s)://host``, with the filter in its query; see ``open_source``."""
        address, _, query = url.partition("?")
        return cls(DICOMServerClient(address, environment), StudyFilter.parse(query))

    def list_items(self) -> tuple[SourceItem, ...]:
        """See ``DataSource.list_items``."""
        items = [
            _to_item(instance, series["MainDicomTags"], study["MainDicomTags"])
            for instance, series, study in self._list_instances()
        ]
        return tuple(sorted(items, key=lambda item: (item.key, item.locator)))

    def read(self, item: SourceItem) -> bytes:
        """See ``DataSource.read``; returns the file as the server stores it."""
        return self._server.get(f"instances/{item.locator}/file", "an instance", "application/dicom").content

    def read_state(self) -> OrthancState:
        """Returns the state of the server."""
        changes = self._server.get_json("changes?last", "the last change")
        counts = self._server.get_json("statistics", "the statistics")
        try:
            return OrthancState(int(changes["Last"]), int(counts["CountInstances"]), int(counts["TotalDiskSize"]))
        except (LookupError, TypeError, ValueError):
            raise self._not_orthanc_error() from None

    def has_new_instances_since(self, change: int) -> bool:
        """Returns whether an instance has arrived after the entry ``change`` of the feed of changes."""
        while True:
            page = self._server.get_json("changes", "the changes", {"since": change, "limit": PAGE_SIZE})
            try:
                if any(change_entry["ChangeType"] == "NewInstance" for change_entry in page["Changes"]):
                    return True
                if page["Done"] or not page["Changes"]:
                    return False
                change = int(page["Last"])
            except (LookupError, TypeError, ValueError):
                raise self._not_orthanc_error() from None

    def list_stored_files(self) -> tuple[list[tuple[str, str, int]], int]:
        """Returns (id, tag, size) of all instances that the filter takes, and the number of their patients.

        A study without a PatientID counts as a patient of its own.
        """
        rows = self._list_instances()
        files = sorted((instance["ID"], instance["FileUuid"], instance["FileSize"]) for instance, _, _ in rows)
        patient_of_study = {study["ID"]: study["ParentPatient"] for _, _, study in rows}
        patients = {study if patient == _EMPTY_PATIENT else patient for study, patient in patient_of_study.items()}
        return files, len(patients)

    def _list_instances(self) -> list[tuple[Resource, Resource, Resource]]:
        """Returns each instance with its series and its study, of the studies that the filter takes.

        Orthanc does not limit these lists. The filter is applied here: its own query (``/tools/find``) is limited by
        the option LimitFindResults, and says nothing where it left out studies.

        Raises:
            IncompleteListError: resources were deleted during each of several passes, which moves pages.
        """
        for _ in range(_PASSES):
            count = self.read_state().instance_count
            instances = list(self._iter_resources("instances"))  # first, so that the parents of each already exist
            series = {resource["ID"]: resource for resource in self._iter_resources("series")}
            studies = {resource["ID"]: resource for resource in self._iter_resources("studies")}
            rows = [
                (instance, parent, studies[parent["ParentStudy"]])
                for instance in instances
                if (parent := series.get(instance["ParentSeries"])) and parent["ParentStudy"] in studies
            ]
            if len(rows) == len(instances) >= count:
                taken_studies = self._filter_studies(series.values(), studies)
                return [row for row in rows if row[2]["ID"] in taken_studies]
        raise IncompleteListError(
            f"{self._server.url}: data was deleted on the server while it was listed, {_PASSES} times; "
            "the list is read again at the next poll; pause the deletion if this message stays"
        )

    def _filter_studies(self, series: Iterable[Resource], studies: Mapping[str, Resource]) -> set[str]:
        """Returns the identifiers of the studies that the filter takes."""
        modalities: dict[str, set[str]] = {}
        for resource in series:
            modality = resource["MainDicomTags"].get("Modality", "").strip()
            modalities.setdefault(resource["ParentStudy"], set()).update({modality} - {""})
        return {
            name
            for name, study in studies.items()
            if self._filter.takes_modalities(modalities.get(name, ()))
            and self._filter.takes_date(parse_dicom_date(study["MainDicomTags"].get("StudyDate", "").strip()))
            and self._filter.takes_description(study["MainDicomTags"].get("StudyDescription", "").strip())
        }

    def _iter_resources(self, level: str) -> Iterator[Any]:
        start = 0
        while True:
            page = self._server.get_json(f"{level}?expand", f"the {level}", {"since": start, "limit": PAGE_SIZE})
            if not isinstance(page, list) or not all(
                isinstance(resource, dict) and "ID" in resource for resource in page
            ):
                raise self._not_orthanc_error()
            if not page:
                return
            yield from page
            start += len(page)

    def _not_orthanc_error(self) -> InputError:
        return InputError(
            f"{self._server.url}: the server is not Orthanc; correct the address, or use dicomweb+https://host/path"
        )


def _to_item(instance: Mapping[str, Any], series: Mapping[str, str], study: Mapping[str, str]) -> SourceItem:
    instance_uid, study_uid = instance["MainDicomTags"].get("SOPInstanceUID", ""), study.get("StudyInstanceUID", "")
    manifest_names = (
        instance_uid,
        series.get("SeriesInstanceUID", ""),
        study_uid,
        study.get("AccessionNumber", "").strip(),
    )
    return SourceItem(
        key=instance_key(study_uid, instance_uid),
        etag=instance["FileUuid"],
        size=int(instance["FileSize"]),
        manifest_names=tuple(filter(None, manifest_names)),
        locator=instance["ID"],
    )
