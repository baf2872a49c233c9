"""Lists all studies of a QIDO-RS server, also where it returns a limited number for each query.

A list is complete when its parts (by StudyDate, then StudyTime, then PatientID) contain no study that the whole lacks.
Else each part is checked in the same way. Where that gives no complete list, an error says how many are missing.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from anamnesis.sources.base import IncompleteListError, parallel_map
from anamnesis.sources.dicom_http import DICOMServerClient, RefusedParameterError
from anamnesis.sources.qido_pages import QidoClient, QidoList, QidoQuery, Row, first_value
from anamnesis.sources.study_filter import StudyFilter, parse_dicom_date
from anamnesis.sources.study_ranges import Axis, StudyKeys, StudyRange
from anamnesis.storage.store import MissingObjectError

STUDY, PATIENT, ACCESSION, INSTANCE_COUNT = "0020000D", "00100020", "00080050", "00201208"
STUDY_DATE, STUDY_TIME, DESCRIPTION, MODALITIES = "00080020", "00080030", "00081030", "00080061"
_FIELDS = (INSTANCE_COUNT, ACCESSION, PATIENT, STUDY_DATE, STUDY_TIME, DESCRIPTION, MODALITIES)
_MAXIMUM_QUERIES = 10_000
"""Queries of one listing. With 8 connections and 20 ms for each, they take less than a minute."""
_MAXIMUM_REFUSED_QUERIES = 50
"""A server that answers none of so many queries, each for a smaller part, will answer none."""
UNDATED_NOTE = (
    "the server limits its answers and was asked by StudyDate, StudyTime and PatientID: "
    "studies without these, or with unusual characters in a PatientID, if there are any, are not listed"
)
UNCHECKED_NOTE = "the server ignores the parameter offset, and its list cannot be split: studies may be missing"


@dataclass(frozen=True, slots=True)
class StudyRows:
    """All studies that a server lists.

    Attributes:
        rows: their rows by StudyInstanceUID.
        note: what could not be checked, for a person; else empty.
    """

    rows: dict[str, Row]
    note: str = ""


@dataclass(slots=True)
class _Part:
    """A range and its list.

    Attributes:
        range: the range.
        listing: what the server returned.
        keys: those of each study.
    """

    range: StudyRange
    listing: QidoList
    keys: dict[str, StudyKeys] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.keys = {uid: study_keys(row) for uid, row in self.listing.rows.items()}

    @property
    def ignores_range(self) -> bool:
        """Whether the server returned studies outside of the range, so that it ignores the query for it."""
        return not all(self.range.contains(keys) for keys in self.keys.values())

    @property
    def may_be_incomplete(self) -> bool:
        """Whether the server may have left out studies; it returns some of them, or says that it did."""
        return bool(self.keys) or self.listing.is_limited


class StudyLister:
    """Lists the studies of one server that match one filter.

    Args:
        server: the server.
        study_filter: which studies; the server may ignore it, and the caller filters again.
    """

    def __init__(self, server: DICOMServerClient, study_filter: StudyFilter) -> None:
        self._server, self._client, self._filter = server, QidoClient(server), study_filter
        self._query_count = 0

    def list_all(self) -> StudyRows:
        """Returns all studies.

        Raises:
            IncompleteListError: the server does not return all studies, or needs too many queries.
            InputError: the response is not QIDO-RS; also the errors of ``DataSource.list_items``.
        """
        results = [self._list_modality(modality) for modality in self._filter.modalities or ("",)]
        rows = {uid: row for result in results for uid, row in result.rows.items()}
        return StudyRows(rows, next((result.note for result in results if result.note), ""))

    def _list_modality(self, modality: str) -> StudyRows:
        query = {"StudyDescription": self._filter.description} if self._filter.description else {}
        if modality:
            try:
                return self._list_query({**query, "ModalitiesInStudy": modality})
            except RefusedParameterError:
                pass  # the server may lack this parameter; the caller filters again
        return self._list_query(query)

    def _list_query(self, query: dict[str, str]) -> StudyRows:
        root = self._list_part(StudyRange(self._filter.first_date, self._filter.last_date), query)
        checks = _Checks(dict(root.listing.rows))
        unchecked_parts = [root] if root.may_be_incomplete else []
        while unchecked_parts:
            unchecked_parts = [
                smaller_part
                for part, smaller_parts in self._list_smaller_parts(unchecked_parts, query)
                for smaller_part in checks.find_parts_to_check(part, smaller_parts)
            ]
            if not self._client.has_answered and self._query_count > _MAXIMUM_REFUSED_QUERIES:
                checks.lacks_rows = True
                break
        total, count = root.listing.total, len(checks.rows)
        if total is not None and total < count:
            total = None  # the server counts the rows that it returns, not those that it has
        if checks.lacks_rows or (total is not None and total > count) or checks.lacks_studies_without_key(total):
            missing = f"{total - count} more are missing" if total and total > count else "an unknown number is missing"
            raise IncompleteListError(
                f"{self._server.url}: the server does not return its whole list of studies: {count} were listed, "
                f"{missing}; raise the server's limit of results for each query, or narrow the query of the source "
                "(a first date excludes studies without a date)"
            )
        return StudyRows(checks.rows, checks.note(self._filter, total))

    def _list_smaller_parts(self, parts: Iterable[_Part], query: dict[str, str]) -> Iterator[tuple[_Part, list[_Part]]]:
        """Yields each part with the smaller parts of it, which are listed here."""
        today = datetime.now(UTC).date()
        split_ranges = [(part, part.range.split(part.keys.values(), today)) for part in parts]
        ranges = [smaller_range for _, smaller_ranges in split_ranges for smaller_range in smaller_ranges]
        self._query_count += len(ranges)
        if self._query_count > _MAXIMUM_QUERIES:
            raise IncompleteListError(
                f"{self._server.url}: the server limits its answers, so that the list of all studies needs more than "
                f"{_MAXIMUM_QUERIES} queries; raise the server's limit of results, or narrow the query of the source"
            )
        listed_parts = iter(list(parallel_map(lambda study_range: self._list_part(study_range, query), ranges)))
        for part, smaller_ranges in split_ranges:
            yield part, [next(listed_parts) for _ in smaller_ranges]

    def _list_part(self, study_range: StudyRange, query: dict[str, str]) -> _Part:
        matches = {**query, **study_range.parameters()}
        try:
            listing = self._client.read(QidoQuery("studies", "the studies", STUDY, _FIELDS, matches))
        except MissingObjectError:
            if not self._query_count:
                raise  # the first list: the address is wrong
            listing = QidoList()  # some servers answer so when nothing matches
        return _Part(study_range, listing)


@dataclass(slots=True)
class _Checks:
    """What the comparison of lists with their smaller parts has shown.

    Attributes:
        rows: all rows so far.
        cut_parts: lists that lacked studies.
        fewest_rows: length of the shortest list that the server has limited; none so far.
        lacks_rows: a list that cannot be split further lacks studies.
        has_unchecked_list: a list cannot be checked, because the server ignores offsets, and the list cannot be split.
    """

    rows: dict[str, Row]
    cut_parts: list[_Part] = field(default_factory=list)
    fewest_rows: int | None = None
    lacks_rows: bool = False
    has_unchecked_list: bool = False

    def find_parts_to_check(self, part: _Part, smaller_parts: list[_Part]) -> list[_Part]:
        """Compares a list with its smaller parts; returns those to check next: none where the list is complete."""
        smaller_rows = {uid: row for smaller in smaller_parts for uid, row in smaller.listing.rows.items()}
        self.rows |= smaller_rows
        is_split = bool(smaller_parts) and not any(_ignores_query(part, smaller) for smaller in smaller_parts)
        more_rows = (row for uid, row in smaller_rows.items() if uid not in part.keys)
        has_more_rows = any(part.range.contains(study_keys(row)) for row in more_rows)
        is_limited = part.listing.is_limited or has_more_rows
        if is_limited and part.keys:
            self.fewest_rows = min(len(part.keys), self.fewest_rows or len(part.keys))
        is_cut = is_limited or part.listing.overlaps
        is_as_long_as_cut_list = self.fewest_rows is not None and len(part.keys) >= self.fewest_rows
        next_range = part.range.with_next_axis()
        if not is_split or (part.range.axis is Axis.KNOWN_PATIENT and (is_cut or is_as_long_as_cut_list)):
            if next_range and (next_range.axis is not Axis.ANY_PATIENT or is_cut or is_as_long_as_cut_list):
                return [_Part(next_range, part.listing)]
            self.lacks_rows |= is_cut or is_as_long_as_cut_list
            self.has_unchecked_list |= part.listing.ignores_offset and len(part.keys) > 1
            return []
        parts_with_rows = [smaller for smaller in smaller_parts if smaller.may_be_incomplete]
        if is_cut:
            self.cut_parts.append(part)
        is_proven = len(parts_with_rows) > 1 and part.range.axis is not Axis.ANY_PATIENT
        if not is_cut and any(part.range.lacks_key(keys) for keys in part.keys.values()):
            is_proven = False
            parts_with_rows += [_Part(next_range, part.listing)] if next_range else []
        elif (
            part.listing.is_limited
            and not has_more_rows
            and not any(smaller.listing.is_limited for smaller in smaller_parts)
        ):
            # no smaller part has what the server left out: those studies lack the attribute
            parts_with_rows += [_Part(next_range, part.listing)] if next_range else []
            self.lacks_rows |= next_range is None
        return [] if is_proven and not is_cut else parts_with_rows

    def lacks_studies_without_key(self, total: int | None) -> bool:
        """Whether a list that was split has studies without the attribute, of which others may be missing."""
        if total is not None:
            return False
        return any(part.range.lacks_key(keys) for part in self.cut_parts for keys in part.keys.values())

    def note(self, study_filter: StudyFilter, total: int | None) -> str:
        """Returns what could not be checked, or nothing."""
        if total is not None:
            return ""
        is_split_by_day_alone = all(part.range.axis is Axis.DAY for part in self.cut_parts)
        if self.cut_parts and not (study_filter.has_dates and is_split_by_day_alone):
            return UNDATED_NOTE
        return UNCHECKED_NOTE if self.has_unchecked_list else ""


def _ignores_query(part: _Part, smaller_part: _Part) -> bool:
    """Returns whether the server ignores the query for a part of a list, or answers it with nothing."""
    if smaller_part.may_be_incomplete:
        return smaller_part.ignores_range
    return any(smaller_part.range.contains(keys) for keys in part.keys.values())


def study_keys(row: Row) -> StudyKeys:
    """Returns the attributes of a study by which a list is split, from its row."""
    text = first_value(row, STUDY_TIME).replace(":", "")
    hour, minute = text[:2], text[2:4] or "00"
    is_time = hour.isdecimal() and minute.isdecimal() and len(hour) == len(minute) == 2
    minutes = int(hour) * 60 + int(minute) if is_time and int(hour) < 24 and int(minute) < 60 else None
    return StudyKeys(parse_dicom_date(first_value(row, STUDY_DATE)), minutes, first_value(row, PATIENT))
