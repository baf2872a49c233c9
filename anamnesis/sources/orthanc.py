"""An Orthanc server by its own REST interface (https://orthanc.uclouvain.be/book/users/rest.html)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from anamnesis.records import InputError
from anamnesis.sources.base import Item, instance_key
from anamnesis.sources.dicom_http import PAGE, Server

_EMPTY = "da39a3ee-5e6b4b0d-3255bfef-95601890-afd80709"
"""Orthanc's name for the patient whose number is empty: the SHA-1 of nothing."""


@dataclass(frozen=True, slots=True)
class State:
    """Where a server stands; equal ones, with no new instance between, mean equal contents.

    Attributes:
        change: number of the last entry in its feed of changes, which knows arrivals and no deletions.
        instances: how many there are: finds deletions.
        size: bytes of all of them.
    """

    change: int
    instances: int
    size: int

    def __str__(self) -> str:
        return f"{self.change}:{self.instances}:{self.size}"

    @classmethod
    def parse(cls, text: str) -> "State | None":
        """Returns the state that was written so, or none for another text."""
        numbers = text.split(":")
        if len(numbers) != 3 or not all(number.isdecimal() for number in numbers):
            return None
        return cls(*map(int, numbers))


class Orthanc:
    """Lists and reads the instances of an Orthanc server."""

    def __init__(self, server: Server) -> None:
        self._server = server

    @classmethod
    def at(cls, url: str, environment: Mapping[str, str]) -> "Orthanc":
        """Opens the server at ``http(s)://host``; see ``open_source``."""
        return cls(Server(url, environment))

    def items(self) -> tuple[Item, ...]:
        """See ``Source.items``."""
        instances = list(self._pages("instances"))  # first, so that the parents of each are there already
        series = {one["ID"]: one for one in self._pages("series")}
        studies = {one["ID"]: one for one in self._pages("studies")}
        found = []
        for instance in instances:
            parent = series.get(instance["ParentSeries"])
            study = studies.get(parent["ParentStudy"]) if parent else None
            if parent and study:  # else it was deleted while we listed
                found.append(_item(instance, parent["MainDicomTags"], study["MainDicomTags"]))
        return tuple(sorted(found, key=lambda item: (item.key, item.place)))

    def read(self, item: Item) -> bytes:
        """See ``Source.read``: the file as it is stored."""
        return self._server.get(f"instances/{item.place}/file", "an instance", "application/dicom").content

    def state(self) -> State:
        """Returns where the server stands."""
        changes = self._server.json("changes?last", "its last change")
        counts = self._server.json("statistics", "its statistics")
        try:
            return State(int(changes["Last"]), int(counts["CountInstances"]), int(counts["TotalDiskSize"]))
        except (LookupError, TypeError, ValueError):
            raise self._stranger() from None

    def arrived_since(self, change: int) -> bool:
        """Returns whether an instance has arrived after an entry of the feed of changes."""
        while True:
            page = self._server.json("changes", "its changes", {"since": change, "limit": PAGE})
            try:
                if any(one["ChangeType"] == "NewInstance" for one in page["Changes"]):
                    return True
                if page["Done"] or not page["Changes"]:
                    return False
                change = int(page["Last"])
            except (LookupError, TypeError, ValueError):
                raise self._stranger() from None

    def files(self) -> list[tuple[str, str, int]]:
        """Returns (id, tag, size) of every instance: less to ask for than ``items``."""
        return sorted((one["ID"], one["FileUuid"], one["FileSize"]) for one in self._pages("instances"))

    def patients(self) -> int:
        """Returns how many patients there are; a study without a patient's number counts as one of its own."""
        parents = [(one["ParentPatient"], one["ID"]) for one in self._pages("studies")]
        return len({study if patient == _EMPTY else patient for patient, study in parents})

    def _pages(self, level: str) -> Iterator[Any]:
        start = 0
        while True:
            page = self._server.json(f"{level}?expand", f"its {level}", {"since": start, "limit": PAGE})
            if not isinstance(page, list) or not all(isinstance(one, dict) and "ID" in one for one in page):
                raise self._stranger()
            if not page:
                return
            yield from page
            start += len(page)

    def _stranger(self) -> InputError:
        return InputError(f"{self._server.url}: it does not answer as Orthanc does; check the address")


def _item(instance: Mapping[str, Any], series: Mapping[str, str], study: Mapping[str, str]) -> Item:
    own, above = instance["MainDicomTags"].get("SOPInstanceUID", ""), study.get("StudyInstanceUID", "")
    names = (own, series.get("SeriesInstanceUID", ""), above, study.get("AccessionNumber", "").strip())
    return Item(
        key=instance_key(above, own),
        etag=instance["FileUuid"],
        size=int(instance["FileSize"]),
        names=tuple(filter(None, names)),
        place=instance["ID"],
    )
