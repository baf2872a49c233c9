"""An Orthanc server by its own REST interface (https://orthanc.uclouvain.be/book/users/rest.html)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from anamnesis.records import InputError
from anamnesis.sources.base import SourceItem, instance_key
from anamnesis.sources.dicom_http import PAGE_SIZE, DICOMServerClient

_EMPTY_PATIENT = "da39a3ee-5e6b4b0d-3255bfef-95601890-afd80709"
"""Orthanc's name for the patient whose number is empty: the SHA-1 of nothing."""


@dataclass(frozen=True, slots=True)
class OrthancState:
    """Where a server stands; equal ones, with no new instance between, mean equal contents.

    Attributes:
        change_number: number of the last entry in its feed of changes, which knows arrivals and no deletions.
        instance_count: how many there are: finds deletions.
        total_bytes: bytes of all of them.
    """

    change_number: int
    instance_count: int
    total_bytes: int

    def __str__(self) -> str:
        return f"{self.change_number}:{self.instance_count}:{self.total_bytes}"

    @classmethod
    def parse(cls, text: str) -> "OrthancState | None":
        """Returns the state that was written so, or none for another text."""
        numbers = text.split(":")
        if len(numbers) != 3 or not all(number.isdecimal() for number in numbers):
            return None
        return cls(*map(int, numbers))


class OrthancDataSource:
    """Lists and reads the instances of an Orthanc server."""

    def __init__(self, server: DICOMServerClient) -> None:
        self._server = server

    @classmethod
    def from_url(cls, url: str, environment: Mapping[str, str]) -> "OrthancDataSource":
        """Opens the server at ``http(s)://host``; see ``open_source``."""
        return cls(DICOMServerClient(url, environment))

    def list_items(self) -> tuple[SourceItem, ...]:
        """See ``Source.items``."""
        instances = list(self._iter_resources("instances"))  # first, so that the parents of each are there already
        series = {resource["ID"]: resource for resource in self._iter_resources("series")}
        studies = {resource["ID"]: resource for resource in self._iter_resources("studies")}
        items = []
        for instance in instances:
            parent_series = series.get(instance["ParentSeries"])
            study = studies.get(parent_series["ParentStudy"]) if parent_series else None
            if parent_series and study:  # else it was deleted while we listed
                items.append(_to_item(instance, parent_series["MainDicomTags"], study["MainDicomTags"]))
        return tuple(sorted(items, key=lambda item: (item.key, item.locator)))

    def read(self, item: SourceItem) -> bytes:
        """See ``Source.read``: the file as it is stored."""
        return self._server.get(f"instances/{item.locator}/file", "an instance", "application/dicom").content

    def read_state(self) -> OrthancState:
        """Returns where the server stands."""
        changes = self._server.get_json("changes?last", "its last change")
        counts = self._server.get_json("statistics", "its statistics")
        try:
            return OrthancState(int(changes["Last"]), int(counts["CountInstances"]), int(counts["TotalDiskSize"]))
        except (LookupError, TypeError, ValueError):
            raise self._not_orthanc_error() from None

    def has_new_instances_since(self, change: int) -> bool:
        """Returns whether an instance has arrived after an entry of the feed of changes."""
        while True:
            page = self._server.get_json("changes", "its changes", {"since": change, "limit": PAGE_SIZE})
            try:
                if any(change_entry["ChangeType"] == "NewInstance" for change_entry in page["Changes"]):
                    return True
                if page["Done"] or not page["Changes"]:
                    return False
                change = int(page["Last"])
            except (LookupError, TypeError, ValueError):
                raise self._not_orthanc_error() from None

    def list_stored_files(self) -> list[tuple[str, str, int]]:
        """Returns (id, tag, size) of every instance: less to ask for than ``items``."""
        return sorted(
            (instance["ID"], instance["FileUuid"], instance["FileSize"])
            for instance in self._iter_resources("instances")
        )

    def count_patients(self) -> int:
        """Returns how many patients there are; a study without a patient's number counts as one of its own."""
        patient_study_pairs = [
            (resource["ParentPatient"], resource["ID"]) for resource in self._iter_resources("studies")
        ]
        return len({study if patient == _EMPTY_PATIENT else patient for patient, study in patient_study_pairs})

    def _iter_resources(self, level: str) -> Iterator[Any]:
        start = 0
        while True:
            page = self._server.get_json(f"{level}?expand", f"its {level}", {"since": start, "limit": PAGE_SIZE})
            if not isinstance(page, list) or not all(
                isinstance(resource, dict) and "ID" in resource for resource in page
            ):
                raise self._not_orthanc_error()
            if not page:
                return
            yield from page
            start += len(page)

    def _not_orthanc_error(self) -> InputError:
        return InputError(f"{self._server.url}: it does not answer as Orthanc does; check the address")


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
