"""Reads one list of a QIDO-RS server page by page (DICOM PS3.18, chapter 10.6), and notes what shows that it is cut.

Servers differ: some ignore ``offset``, return smaller pages than asked for, change the order between two pages, refuse
``limit``, or return no more than a number of results, with a warning or without.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from anamnesis.records import InputError
from anamnesis.sources.dicom_http import PAGE_SIZE, DICOMServerClient, RefusedParameterError, TooManyResultsError
from anamnesis.storage.store import MissingObjectError

Row = Mapping[str, Any]
_SMALL_PAGE_SIZE = 100
"""Servers exist that refuse a limit above 200."""
_PASSES = 3
"""Passes over a list whose pages overlap: the server has changed the order, or data arrives."""
_MORE_RESULTS = re.compile(r"additional results|exceed|maximum|truncat|incomplete|partial|too many|not all", re.I)
_REMAINING_RESULTS = re.compile(r"there are (\d+) additional results", re.I)


@dataclass(slots=True)
class QidoList:
    """What a server returned of one list.

    Attributes:
        rows: rows by UID, each UID once.
        is_cut: the server said that it left out rows: a warning 299 on its last page, or the status 413.
        overlaps: a page repeated some rows of earlier pages, so that others may be missing.
        ignores_offset: a later page was the first page again.
        total: number of rows according to the server (``X-Total-Count``, or the warning on the first page), or none.
    """

    rows: dict[str, Row] = field(default_factory=dict)
    is_cut: bool = False
    overlaps: bool = False
    ignores_offset: bool = False
    total: int | None = None

    @property
    def is_limited(self) -> bool:
        """Whether the server says that it left out rows."""
        return self.is_cut or (self.total is not None and self.total > len(self.rows))


@dataclass(frozen=True, slots=True)
class QidoQuery:
    """A query for one list.

    Attributes:
        path: path below the URL, for example ``studies``.
        description: the requested data, in words for a message; never a UID.
        tag: attribute with the UID of a row.
        fields: attributes to include.
        matches: the attributes to match.
        row_count: the number of rows, if known: no further page is read; else 0.
    """

    path: str
    description: str
    tag: str
    fields: tuple[str, ...] = ()
    matches: Mapping[str, str] = field(default_factory=dict)
    row_count: int = 0


class QidoClient:
    """Sends the queries of one listing; it finds out which parameters the server accepts.

    Args:
        server: the server.

    Attributes:
        has_answered: whether the server has answered a query with a list.
    """

    def __init__(self, server: DICOMServerClient) -> None:
        self._server = server
        self._form, self.has_answered = 0, False

    def read(self, query: QidoQuery) -> QidoList:
        """Reads all pages of a list.

        Raises:
            InputError: the response is not QIDO-RS; also the errors of ``DICOMServerClient.get_json``.
        """
        result = QidoList()
        for _ in range(_PASSES):
            row_count = len(result.rows)
            self._read_pass(query, result)
            if not result.overlaps or len(result.rows) == row_count:
                break
        return result

    def _read_pass(self, query: QidoQuery, result: QidoList) -> None:
        start, first_uids, seen_uids = 0, set[str](), set[str]()
        result.overlaps = False
        while True:
            try:
                page, headers = self._request(query, start)
            except TooManyResultsError:
                result.is_cut = True
                return
            except (MissingObjectError, RefusedParameterError):
                if start == 0:
                    raise
                return  # the server has no such page: the caller checks by other queries whether the list is complete
            rows = self._parse_page(page, query)
            warning = headers.get("Warning", "")
            has_more_results = "299" in warning and bool(_MORE_RESULTS.search(warning))
            result.is_cut = has_more_results or (result.is_cut and not rows)  # on the last page that has rows
            if start == 0:
                first_uids, result.total = set(rows), _total(headers, warning, len(rows))
            new_uids = set(rows) - seen_uids
            if start and rows:
                is_first_page = set(rows) == first_uids
                result.ignores_offset |= is_first_page
                result.overlaps |= not is_first_page and len(new_uids) < len(rows)
            seen_uids |= new_uids
            result.rows |= rows
            if not new_uids or 0 < query.row_count <= len(result.rows):
                return
            start += len(page)

    def _request(self, query: QidoQuery, start: int) -> tuple[Any, Mapping[str, str]]:
        """Sends a query in the first form that the server accepts; the next query starts with that form."""
        forms = _query_forms(query.fields, start)
        first_error: RefusedParameterError | None = None
        for number in range(min(self._form, len(forms) - 1), len(forms)):
            try:
                parameters = {**query.matches, **forms[number]}
                answer = self._server.get_json_and_headers(query.path, query.description, parameters)
            except RefusedParameterError as error:
                if isinstance(error, TooManyResultsError) and self.has_answered:
                    raise  # the form of the query is right
                if first_error is None or isinstance(error, TooManyResultsError):
                    first_error = error
                continue
            self._form, self.has_answered = number, True
            return answer
        assert first_error is not None
        raise first_error

    def _parse_page(self, page: object, query: QidoQuery) -> dict[str, Row]:
        """Returns the rows of a page by UID, with the tags in capitals."""
        if isinstance(page, list) and all(isinstance(row, dict) for row in page):
            rows = [{key.upper(): element for key, element in row.items()} for row in page]
            rows_by_uid: dict[str, Row] = {first_value(row, query.tag): row for row in rows}
            if "" not in rows_by_uid:
                return rows_by_uid
        raise InputError(
            f"{self._server.url}: the response to the request for {query.description} is not QIDO-RS; "
            "check that the path of the URL is the root of the DICOMweb service"
        )


def all_values(row: Row, tag: str) -> tuple[str, ...]:
    """Returns the values of an attribute in DICOM JSON, as text."""
    element = row.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    return tuple(str(value).strip() for value in values or () if value is not None)


def first_value(row: Row, tag: str) -> str:
    """Returns the first value of an attribute in DICOM JSON, as text; empty when there is none."""
    return next(iter(all_values(row, tag)), "")


def _query_forms(fields: tuple[str, ...], start: int) -> tuple[Mapping[str, object], ...]:
    """Returns parameters of a query, from what is wanted to what each server has: each of them is optional."""
    include = {"includefield": fields}
    pages: tuple[Mapping[str, object], ...] = (
        {"limit": PAGE_SIZE, "offset": start},
        {"limit": _SMALL_PAGE_SIZE, "offset": start},
    )
    offset: Mapping[str, object] = {"offset": start} if start else {}
    return (*({**include, **page} for page in pages), *pages, {**include, **offset}, offset)


def _total(headers: Mapping[str, str], warning: str, row_count: int) -> int | None:
    """Returns how many rows a server has, where it says so on the first page."""
    text = headers.get("X-Total-Count", "").strip()
    if text.isdecimal():
        return int(text)
    remaining = _REMAINING_RESULTS.search(warning)
    return row_count + int(remaining[1]) if remaining else None
