"""Lists of studies from servers that ignore offsets, limit their answers, or change their order."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pydicom
import pytest
from builders.orthanc_server import OrthancServer
from fakes.dicomweb_server import FakeDicomweb, FakeStudy, serve_dicomweb

from anamnesis.operator.polling.poll import poll_source
from anamnesis.records import InputError
from anamnesis.snapshots.phantoms import write_phantom_site
from anamnesis.sources import IncompleteListError, ListingProblem, open_source
from anamnesis.sources.dicomweb import DICOMwebDataSource
from anamnesis.sources.study_listing import UNCHECKED_NOTE, UNDATED_NOTE

STUDIES = [
    FakeStudy(f"1.2.{number}", f"{date(2020, 1, 1) + timedelta(number * 2):%Y%m%d}", f"{number % 24:02}1500")
    for number in range(130)
]
SAME_MINUTE = [
    replace(study, date="20240131", time="101500", patient=f"SANLUCA-{number * 7919 % 10000}-{number}")
    for number, study in enumerate(STUDIES[:60])
]
NO_TIMES = [FakeStudy(f"1.9.{number}", "20240131", "", patient=f"P{number}") for number in range(25)]
ONE_DAY = [
    replace(study, date="20240131", time=f"{number // 6:02}{number % 6}000") for number, study in enumerate(STUDIES)
]
UNDATED = [replace(study, date="", time="") if number % 50 == 40 else study for number, study in enumerate(STUDIES)]


def list_uids(fake: FakeDicomweb, query: str = "") -> tuple[set[str], str]:
    """Returns the studies that the client lists, and its note."""
    with serve_dicomweb(fake) as url:
        studies, note = DICOMwebDataSource.from_url(url + query, {}).list_studies_with_note()
    assert len(studies) == len({study.uid for study in studies})
    return {study.uid for study in studies}, note


@pytest.mark.parametrize(
    ("behaviour", "note"),
    [
        ({}, ""),
        ({"page_limit": 7}, ""),
        ({"page_limit": 7, "warns": True}, ""),
        ({"page_limit": 7, "warns": True, "counts": True}, ""),
        ({"page_limit": 30, "shuffles": True}, UNDATED_NOTE),
        ({"page_limit": 30, "ignored": ("offset",)}, UNDATED_NOTE),
        ({"page_limit": 30, "ignored": ("offset", "limit"), "total_header": True}, ""),
        ({"cap": 10}, UNDATED_NOTE),
        ({"cap": 10, "page_limit": 4}, UNDATED_NOTE),
        ({"cap": 10, "warns": True}, UNDATED_NOTE),
        ({"cap": 10, "warns": True, "counts": True}, ""),
        ({"cap": 10, "refuses": True}, UNDATED_NOTE),
        ({"cap": 10, "refuses": True, "empty_status": 404}, UNDATED_NOTE),
        ({"cap": 20, "shuffles": True}, UNDATED_NOTE),
        ({"largest_limit": 200}, ""),
        ({"refused": ("limit", "offset", "includefield")}, ""),
        ({"refused": ("limit",), "cap": 10}, UNDATED_NOTE),
        ({"refused": ("includefield",), "lower_case": True}, ""),
        ({"ignored": ("offset", "limit", "StudyDate", "StudyTime")}, UNCHECKED_NOTE),
    ],
    ids=str,
)
def test_all_studies_are_listed_once(behaviour, note):
    fake = FakeDicomweb(STUDIES, **behaviour)
    assert list_uids(fake) == ({study.uid for study in STUDIES}, note)
    assert len(fake.queries) < 1000


@pytest.mark.parametrize("behaviour", [{"cap": 10}, {"page_limit": 10, "ignored": ("offset",)}], ids=str)
def test_the_studies_of_one_day_are_split_by_time(behaviour):
    assert list_uids(FakeDicomweb(ONE_DAY, **behaviour))[0] == {study.uid for study in ONE_DAY}


@pytest.mark.parametrize(
    "behaviour",
    [{"cap": 10}, {"cap": 30, "refuses": True}, {"page_limit": 10, "ignored": ("offset", "StudyTime")}],
    ids=str,
)
def test_the_studies_of_one_minute_are_split_by_patient(behaviour):
    assert list_uids(FakeDicomweb(SAME_MINUTE, **behaviour)) == ({study.uid for study in SAME_MINUTE}, UNDATED_NOTE)


@pytest.mark.parametrize(
    "behaviour",
    [
        {"cap": 2},
        {"cap": 10},
        {"cap": 1, "refuses": True},
        {"cap": 10, "refuses": True},
        {"page_limit": 7, "ignored": ("offset",)},
        {"cap": 10, "ignored": ("StudyDate",)},
    ],
    ids=str,
)
def test_the_studies_of_a_day_without_times_are_split_by_patient(behaviour):
    """The identifier P1 is also the start of P10."""
    assert list_uids(FakeDicomweb(NO_TIMES, **behaviour)) == ({study.uid for study in NO_TIMES}, UNDATED_NOTE)


def test_a_server_with_few_studies_needs_few_queries():
    fake = FakeDicomweb(STUDIES)
    list_uids(fake)
    assert len(fake.queries) == 6


@pytest.mark.parametrize(
    ("studies", "behaviour", "missing"),
    [
        (
            [replace(study, date="20240131", time="101500") for study in STUDIES],
            {"cap": 10, "warns": True},
            "10 were listed, an unknown number",
        ),
        (
            [replace(study, time="") for study in ONE_DAY],
            {"cap": 10, "warns": True, "counts": True},
            "120 more are missing",
        ),
        (UNDATED, {"cap": 100}, "an unknown number is missing"),
        (UNDATED, {"cap": 30, "warns": True, "counts": True}, "2 more are missing"),
        (
            [replace(study, patient="P1") for study in NO_TIMES],
            {"cap": 10, "refuses": True},
            "0 were listed, an unknown",
        ),
        (STUDIES, {"cap": 10, "warns": True, "ignored": ("StudyDate",)}, "10 were listed, an unknown number"),
        (STUDIES, {"cap": 10, "refuses": True, "ignored": ("StudyDate",)}, "0 were listed, an unknown number"),
        (STUDIES, {"cap": 30, "total_header": True, "ignored": ("offset", "StudyDate")}, "30 were listed, 100 more"),
    ],
)
def test_a_list_that_cannot_be_completed_is_refused_with_what_is_missing(studies, behaviour, missing):
    with pytest.raises(IncompleteListError, match=missing) as caught:
        list_uids(FakeDicomweb(studies, **behaviour))
    assert not any(word in str(caught.value) for word in ("1.2.1", "SANLUCA"))


def test_a_total_that_counts_only_the_returned_rows_is_not_believed():
    class CountsReturnedRows(FakeDicomweb):
        def answer(self, path: str):  # type: ignore[no-untyped-def]
            status, headers, rows = super().answer(path)
            return status, {**headers, "X-Total-Count": str(len(rows))}, rows

    with pytest.raises(IncompleteListError, match="an unknown number is missing"):
        list_uids(CountsReturnedRows(UNDATED, cap=100))


def test_a_first_date_excludes_studies_without_a_date():
    fake = FakeDicomweb(UNDATED, cap=30)
    assert list_uids(fake, "?from=19000101") == ({study.uid for study in UNDATED if study.date}, "")


def test_studies_that_arrive_or_leave_between_pages():
    studies = list(STUDIES)

    def arrive_or_leave(requests: int) -> None:
        if requests == 3:
            studies.insert(0, FakeStudy("1.3.1", "20240101", "080000"))
        if requests == 6:
            studies.remove(STUDIES[5])

    fake = FakeDicomweb(studies, page_limit=20, on_page=arrive_or_leave)
    assert list_uids(fake)[0] >= {study.uid for study in studies} - {"1.3.1"}


def filtered(query: str, **behaviour: object) -> set[str]:
    modalities = ("DX", "CT", "SEG")
    studies = [
        replace(study, modality=modalities[number % 3], description=("CHEST pa", "Knee", "")[number % 3 - 1])
        for number, study in enumerate(STUDIES)
    ]
    return list_uids(FakeDicomweb(studies, **behaviour), query)[0]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "behaviour",
    [
        {},
        {"cap": 10},
        {"ignored": ("ModalitiesInStudy", "StudyDate", "StudyDescription")},
        {"refused": ("ModalitiesInStudy",)},
    ],
    ids=str,
)
def test_a_filter_is_applied_by_the_server_or_here(behaviour):
    everything = [(number, study) for number, study in enumerate(STUDIES)]
    assert filtered("?modality=CT&modality=SEG", **behaviour) == {s.uid for n, s in everything if n % 3}
    assert filtered("?from=20200105&to=20200301", **behaviour) == {
        s.uid for _, s in everything if "20200105" <= s.date <= "20200301"
    }
    assert filtered("?description=CHE%2A%3Fa", **behaviour) == {s.uid for n, s in everything if n % 3 == 1}


def test_a_filter_that_cannot_be_checked_is_refused():
    for query, hidden in (("?from=20200101", "date"), ("?description=x", "description")):
        with pytest.raises(InputError, match=r"does not return Study.*remove the filter from the query"):
            list_uids(FakeDicomweb(STUDIES, hidden=(hidden,), ignored=("StudyDate", "StudyDescription")), query)


@pytest.mark.parametrize(
    ("query", "message"),
    [("?limit=5", "unknown parameter 'limit'"), ("?from=2024", "parameter 'from': expected a date like 20240131")],
)
def test_a_wrong_query_is_refused(query, message):
    with pytest.raises(InputError, match=message):
        open_source(f"dicomweb+http://pacs{query}", {})


def test_the_instances_of_a_study_are_listed_by_series_where_the_server_limits_them():
    studies = [replace(STUDIES[0], instances=10)]
    with serve_dicomweb(FakeDicomweb(studies, instance_cap=5)) as url:
        items = open_source(f"dicomweb+{url}", {}).list_items()
    assert (len({item.key for item in items}), {item.problem for item in items}) == (10, {""})


def test_instances_that_the_server_counts_and_does_not_list_are_told():
    with serve_dicomweb(FakeDicomweb([replace(STUDIES[0], instances=10)], instance_cap=1)) as url:
        items = open_source(f"dicomweb+{url}", {}).list_items()
    assert sorted(item.problem for item in items) == [""] + [ListingProblem.NOT_LISTED] * 9
    fake = FakeDicomweb([replace(STUDIES[0], instances=90)], instance_cap=1)
    message = "counts 89 instances that it does not list"
    with serve_dicomweb(fake) as url, pytest.raises(IncompleteListError, match=message):
        open_source(f"dicomweb+{url}", {}).list_items()


@pytest.fixture(scope="module")
def limited_orthanc(orthanc_server: OrthancServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrthancServer]:
    """A real server that returns few results of each query, and does not say so."""
    folder: Path = tmp_path_factory.mktemp("phantoms")
    write_phantom_site(folder, "xray", 20, seed=5)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    days: dict[str, str] = {}
    for file in files:
        dataset = pydicom.dcmread(file)
        dataset.StudyDate = days.setdefault(dataset.PatientID, f"{date(2024, 1, 1) + timedelta(9 * len(days)):%Y%m%d}")
        dataset.save_as(file)
    server = OrthancServer(orthanc_server.program, options={"LimitFindResults": 6, "LimitFindInstances": 6})
    try:
        server.start()
        server.send(*files)
        yield server
    finally:
        server.remove()


@pytest.mark.parametrize(
    ("query", "count"),
    [("", 40), ("?modality=DX", 40), ("?modality=CT", 0), ("?from=20240110&to=20240520", 30), ("?to=20240109", 2)],
)
def test_a_real_server_that_limits_its_answers(limited_orthanc: OrthancServer, query: str, count: int):
    environment = dict(limited_orthanc.environment)
    assert len(limited_orthanc.request("GET", f"{limited_orthanc.web}/studies?limit=1000").json()) < 10
    keys = []
    for source in (f"dicomweb+{limited_orthanc.web}{query}", f"orthanc+{limited_orthanc.url}{query}"):
        items = open_source(source, environment).list_items()
        state = poll_source(source, "", "", environment).source_state
        assert state is not None
        assert (len(items), state.files, state.patients) == (count, count, count // 2)
        keys.append([item.key for item in items])
    assert keys[0] == keys[1]
