"""A DICOMweb server on loopback whose QIDO-RS behaves like those of other products: it serves studies, no images."""

import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from urllib.parse import parse_qs, urlsplit

_TAGS = {"date": "00080020", "time": "00080030", "description": "00081030", "patient": "00100020"}


@dataclass(frozen=True, slots=True)
class FakeStudy:
    """One study; an empty attribute is not in the answer."""

    uid: str
    date: str = ""
    time: str = ""
    modality: str = "DX"
    description: str = ""
    patient: str = "SANLUCA-1"
    instances: int = 1


@dataclass(slots=True)
class FakeDicomweb:
    """How the server behaves.

    Attributes:
        studies: what it has.
        page_limit: most rows of one page; 0 is as many as the client asks for.
        cap: most rows of a query, over all pages; 0 for no limit.
        warns: a cut list has a warning 299.
        counts: the warning says how many results remain.
        refuses: more rows than the cap give the status 413.
        refused: names of parameters that give the status 400.
        largest_limit: a larger ``limit`` gives the status 400; 0 allows all.
        ignored: names of parameters that it ignores.
        shuffles: the order of each answer is another one.
        lower_case: tags are in small letters.
        total_header: ``X-Total-Count`` is sent.
        empty_status: status of an answer without rows.
        hidden: attributes that no row has.
        instance_cap: most instances that the list of a study or series returns; 0 for no limit.
        on_page: called with the number of requests so far before each answer.
        queries: paths of all requests.
    """

    studies: list[FakeStudy]
    page_limit: int = 0
    cap: int = 0
    warns: bool = False
    counts: bool = False
    refuses: bool = False
    refused: tuple[str, ...] = ()
    largest_limit: int = 0
    ignored: tuple[str, ...] = ()
    shuffles: bool = False
    lower_case: bool = False
    total_header: bool = False
    empty_status: int = 204
    hidden: tuple[str, ...] = ()
    instance_cap: int = 0
    on_page: object = None
    queries: list[str] = field(default_factory=list)

    def answer(self, path: str) -> tuple[int, Mapping[str, str], list[dict[str, object]]]:
        """Returns status, headers and rows."""
        self.queries.append(path)
        if callable(self.on_page):
            self.on_page(len(self.queries))
        url = urlsplit(path)
        values = {name: texts[-1] for name, texts in parse_qs(url.query).items()}
        if set(values) & set(self.refused) or int(values.get("limit", 0)) > (self.largest_limit or 10**6):
            return 400, {}, []
        values = {name: text for name, text in values.items() if name not in self.ignored}
        if url.path.endswith(("/instances", "/series")):
            return self._page(self._children(url.path), values, self.instance_cap)
        rows = [self._row(study) for study in self.studies if _matches(study, values)]
        return self._page(rows, values, self.cap)

    def _page(
        self, rows: list[dict[str, object]], values: Mapping[str, str], cap: int
    ) -> tuple[int, Mapping[str, str], list[dict[str, object]]]:
        if self.shuffles:
            rows = Random(len(self.queries)).sample(rows, len(rows))
        if cap and len(rows) > cap and self.refuses:
            return 413, {}, []
        total, rows_of_query = len(rows), rows[:cap] if cap else rows
        start, limit = int(values.get("offset", 0)), int(values.get("limit", 10**6))
        page = rows_of_query[start : start + min(limit, self.page_limit or limit)]
        remaining = total - start - len(page)
        headers = {"X-Total-Count": str(total)} if self.total_header else {}
        if self.warns and remaining > 0 and page:
            number = remaining if self.counts else "some"
            headers["Warning"] = f'299 pacs "There are {number} additional results that can be requested"'
        return (200 if page else self.empty_status), headers, page

    def _row(self, study: FakeStudy) -> dict[str, object]:
        row: dict[str, object] = {
            tag: {"Value": [value]}
            for name, tag in _TAGS.items()
            if (value := getattr(study, name)) and name not in self.hidden
        }
        row |= {"0020000D": {"Value": [study.uid]}, "00080061": {"Value": [study.modality]}}
        row |= {} if "instances" in self.hidden else {"00201208": {"Value": [study.instances]}}
        return {tag.lower(): element for tag, element in row.items()} if self.lower_case else row

    def _children(self, path: str) -> list[dict[str, object]]:
        """Each series has two instances."""
        study = next(study for study in self.studies if f"/{study.uid}/" in path)
        names = [
            (f"{study.uid}.{number // 2}", f"{study.uid}.{number // 2}.{number}") for number in range(study.instances)
        ]
        if path.endswith("/series"):
            return [{"0020000E": {"Value": [series]}} for series in sorted({series for series, _ in names})]
        return [
            {"0020000E": {"Value": [series]}, "00080018": {"Value": [instance]}}
            for series, instance in names
            if "/series/" not in path or f"/series/{series}/" in path
        ]


@contextmanager
def serve_dicomweb(fake: FakeDicomweb) -> Iterator[str]:
    """Serves on loopback; yields the URL."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            with lock:
                status, headers, rows = fake.answer(self.path)
            body = json.dumps(rows).encode() if rows else b""
            self.send_response(status)
            for name, text in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, text)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            pass

    lock = threading.Lock()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def _matches(study: FakeStudy, values: Mapping[str, str]) -> bool:
    description = re.escape(values.get("StudyDescription", "*")).replace(r"\*", ".*").replace(r"\?", ".")
    patient = values.get("PatientID", "*")
    return (
        (study.patient.startswith(patient[:-1]) if patient.endswith("*") else study.patient == patient)
        and _in_range(study.date, values.get("StudyDate", ""))
        and _in_range(study.time, values.get("StudyTime", ""))
        and values.get("ModalitiesInStudy", study.modality) == study.modality
        and bool(re.fullmatch(description, study.description))
    )


def _in_range(text: str, bounds: str) -> bool:
    first, dash, last = bounds.partition("-")
    return not bounds or (bool(text) and first <= text <= (last or "9" if dash else first))
