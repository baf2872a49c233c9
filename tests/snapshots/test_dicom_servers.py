import json
import ssl
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pydicom
import pytest
from builders.orthanc_server import OrthancServer
from urllib3 import Retry

from anamnesis import snapshots
from anamnesis.records import (
    InputError,
    LabelOrigin,
    LabelSource,
    SiteConfig,
    TaskType,
    UnreachableError,
    ignore_progress,
)
from anamnesis.snapshots.phantoms import write_phantom_site
from anamnesis.snapshots.source_files import fetch_files, list_source_items
from anamnesis.sources import ListingProblem, dicom_http, open_source
from anamnesis.sources.dicomweb import DICOMwebDataSource
from anamnesis.storage.store import Store, open_store

KEY = b"0123456789abcdef0123456789abcdef"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("phantoms")


@pytest.fixture(scope="module")
def phantoms(folder: Path) -> SiteConfig:
    """A site of 24 patients with two images each, labelled by folder."""
    settings = {"test_fraction": 0.5, "maximum_quarantine_share": 0.2}  # for so few patients
    return replace(write_phantom_site(folder, "xray", 24, seed=3), **settings)


@pytest.fixture(scope="module")
def files(phantoms: SiteConfig, folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


@pytest.fixture(scope="module")
def expected(phantoms: SiteConfig, tmp_path_factory: pytest.TempPathFactory) -> snapshots.IngestResult:
    """The result of the ingest of the folder."""
    return snapshots.ingest(phantoms, store_at(tmp_path_factory.mktemp("store")), KEY)


@pytest.fixture(scope="module")
def filled_orthanc(orthanc_server: OrthancServer, files: list[Path]) -> Iterator[OrthancServer]:
    """The server with all files; its credentials are in the environment of the process."""
    orthanc_server.clear()
    orthanc_server.send(*files[:20])
    orthanc_server.store(*files[20:])
    with pytest.MonkeyPatch.context() as patch:
        for name, text in orthanc_server.environment.items():
            patch.setenv(name, text)
        yield orthanc_server


def manifest(files: list[Path], path: Path, keyword: str = "StudyInstanceUID") -> LabelSource:
    """Writes a manifest with instances, studies or accessions, and with one row that the source does not have."""
    rows = {str(pydicom.dcmread(file, stop_before_pixels=True)[keyword].value): file.parent.name for file in files}
    lines = [f"{name},{label}" for name, label in rows.items()]
    path.write_text("\n".join(["file,label", *lines, "1.2.3.4,normal"]))
    return LabelSource(LabelOrigin.MANIFEST, path.as_uri())


def store_at(path: Path) -> Store:
    return open_store(path.as_uri())


@pytest.mark.parametrize("keyword", ["SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "AccessionNumber"])
def test_a_dicom_server_gives_the_same_snapshot_as_a_folder(
    phantoms, files, filled_orthanc, expected, tmp_path, keyword
):
    labels = manifest(files, tmp_path / "labels.csv", keyword)
    for source in (f"orthanc+{filled_orthanc.url}", f"dicomweb+{filled_orthanc.web}"):
        config = replace(phantoms, source=source, labels=labels)
        store = store_at(tmp_path / source.partition("+")[0])
        result = snapshots.ingest(config, store, KEY)
        assert (result.snapshot, result.test_set) == (expected.snapshot, expected.test_set)
        assert result.counts == expected.counts
        assert snapshots.find_ingest_result(config, store, KEY) == replace(result, reused=True)


def test_listings_and_stored_documents_contain_no_identifier(phantoms, files, filled_orthanc, tmp_path):
    labels, uid = manifest(files, tmp_path / "labels.csv"), str(pydicom.dcmread(files[0]).StudyInstanceUID)
    text = (tmp_path / "labels.csv").read_text()
    (tmp_path / "labels.csv").write_text(text.replace(f"{uid},normal", f"{uid},strange"))
    config = replace(phantoms, source=f"orthanc+{filled_orthanc.url}", labels=labels)
    store = store_at(tmp_path / "store")
    assert snapshots.ingest(config, store, KEY).counts["quarantined"] == 2
    stored_json = b"".join(store.get(info.key) for info in store.list() if info.key.endswith(".json"))
    assert uid.encode() not in stored_json
    assert b"SANLUCA" not in stored_json
    assert not any(uid in item.key or "SANLUCA" in repr(item) for item in list_source_items(config))


def test_a_corrected_label_is_ingested_again(phantoms, files, filled_orthanc, tmp_path):
    labels = manifest(files, tmp_path / "labels.csv")
    config = replace(phantoms, source=f"orthanc+{filled_orthanc.url}", labels=labels)
    store = store_at(tmp_path / "store")
    first = snapshots.ingest(config, store, KEY)
    text = (tmp_path / "labels.csv").read_text().splitlines()
    (tmp_path / "labels.csv").write_text("\n".join(line for line in text if line != text[1]))
    assert snapshots.find_ingest_result(config, store, KEY) is None
    second = snapshots.ingest(config, store, KEY)
    assert second.counts["pending"] == first.counts["pending"] + 2


def test_a_manifest_elsewhere_serves_a_folder_too(phantoms, expected, tmp_path):
    rows = "file,label\nnormal,normal\nopacity,opacity\nnot there,normal"
    (tmp_path / "labels.csv").write_text(rows)
    labels = LabelSource(LabelOrigin.MANIFEST, (tmp_path / "labels.csv").as_uri())
    result = snapshots.ingest(replace(phantoms, labels=labels), store_at(tmp_path / "store"), KEY)
    assert result.snapshot == expected.snapshot


def test_labels_that_a_dicom_server_cannot_have(phantoms):
    config = replace(phantoms, source="orthanc+http://127.0.0.1:1")
    with pytest.raises(InputError, match=r"labels\.from: a DICOM server has no folders"):
        list_source_items(config)
    with pytest.raises(
        InputError, match=r"labels\.manifest: a DICOM server has no manifest; set the URL of a manifest"
    ):
        list_source_items(replace(config, labels=LabelSource(LabelOrigin.MANIFEST, "labels.csv")))
    task = replace(phantoms.task, type=TaskType.PRETRAINING, classes=(), primary_metric="ProbeAccuracy")
    with pytest.raises(UnreachableError):
        list_source_items(replace(config, task=task))


Answer = Callable[[str], tuple[int, str, bytes]]


@pytest.fixture
def fake_dicomweb() -> Iterator[tuple[str, list[Answer]]]:
    """A DICOMweb server: its URL, and a list; the last function in it gives the response to each path."""
    answers: list[Answer] = []

    class FakeDicomwebHandler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, kind, body = answers[-1](self.path)
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), FakeDicomwebHandler)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"dicomweb+http://127.0.0.1:{server.server_port}", answers
    server.shutdown()
    server.server_close()


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for 127.0.0.1 that no authority signed, with its key beside it."""
    path = tmp_path / "server.pem"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=pacs -addext subjectAltName=IP:127.0.0.1"
    subprocess.run([*command.split(), "-keyout", f"{path}.key", "-out", path], check=True, capture_output=True)
    return path


def test_a_hospital_names_its_own_authority(certificate):
    authorizations: list[str] = []

    class EmptyDicomwebHandler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            authorizations.append(self.headers["Authorization"])
            self.send_response(204)
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), EmptyDicomwebHandler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, f"{certificate}.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    Thread(target=server.serve_forever, daemon=True).start()
    url, token = f"dicomweb+https://127.0.0.1:{server.server_port}", {"DICOM_TOKEN": "secret"}
    with pytest.raises(UnreachableError, match=r"is not trusted: .*; set REQUESTS_CA_BUNDLE to"):
        open_source(url, token).list_items()
    assert open_source(url, {**token, "REQUESTS_CA_BUNDLE": str(certificate)}).list_items() == ()
    assert set(authorizations) == {"Bearer secret"}
    with pytest.raises(InputError, match="AWS_CA_BUNDLE: the file '/nowhere' does not exist"):
        open_source(url, {"AWS_CA_BUNDLE": "/nowhere"})
    server.shutdown()
    server.server_close()


def rows(*uids: str, **tags: object) -> bytes:
    return json.dumps(
        [{tag: {"Value": [value]} for tag, value in {**tags, "0020000D": uid}.items()} for uid in uids]
    ).encode()


def test_a_server_that_gives_short_pages_is_read_to_its_end(fake_dicomweb):
    url, answers = fake_dicomweb
    studies = [f"1.2.{number}" for number in range(7)]

    def answer(path: str) -> tuple[int, str, bytes]:
        if "/instances" in path:
            return 204, "text/plain", b""
        start = int(path.partition("offset=")[2])
        return 200, "application/dicom+json", rows(*studies[start : start + 3], **{"00201208": 2})

    answers.append(answer)
    listed = DICOMwebDataSource.from_url(url.removeprefix("dicomweb+"), {}).list_studies()
    assert [study.uid for study in listed] == studies


@pytest.mark.parametrize("broken", [1, 60])
def test_one_instance_that_the_server_cannot_return_does_not_stop_the_others(fake_dicomweb, monkeypatch, broken):
    monkeypatch.setattr(dicom_http, "_RETRY_POLICY", Retry(0, raise_on_status=False))
    url, answers = fake_dicomweb
    studies = [f"1.2.{number}" for number in range(70)]

    def answer(path: str) -> tuple[int, str, bytes]:
        if path.startswith("/studies?"):
            return 200, "application/json", rows(*studies, **{"00201208": 1}) if "offset=0" in path else b"[]"
        uid = path.split("/")[2]
        if "/instances?" in path:
            tags = {"00080018": f"{uid}.1", "0020000E": "5.5"}
            return 200, "application/json", rows(uid, **tags) if "offset=0" in path else b"[]"
        return (503, "text/plain", b"") if int(uid[4:]) < broken else (200, "application/dicom", b"DICM")

    answers.append(answer)
    items = open_source(url, {}).list_items()
    assert len(items) == 70
    if broken == 60:
        with pytest.raises(UnreachableError, match="status 503"), fetch_files(url, items, ignore_progress):
            pass
        return
    with fetch_files(url, items, ignore_progress) as fetched_files:
        assert [file.problem for file in fetched_files].count(ListingProblem.NOT_RETURNED) == 1


def test_a_server_that_ignores_pages_does_not_go_on_for_ever(fake_dicomweb):
    url, answers = fake_dicomweb
    page = rows("1.2", "1.3", **{"00201208": 0, "00080018": "9.9", "0020000E": "5.5"})
    answers.append(lambda path: (200, "application/dicom+json", page))
    assert len(open_source(url, {}).list_items()) == 2


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((200, "text/html", b"<html>Rossi^Maria</html>"), "request for the studies is not JSON"),
        ((200, "application/json", b'{"Rossi^Maria": 1}'), "request for the studies is not QIDO-RS"),
        ((200, "application/json", rows("1.2")), "does not return NumberOfStudyRelatedInstances"),
        ((400, "text/plain", b"Rossi^Maria"), "request for the studies failed with status 400; check the address"),
        ((503, "text/plain", b"Rossi^Maria"), "failed with status 503: the server is out of order"),
    ],
)
def test_errors_do_not_quote_an_unexpected_response(fake_dicomweb, answer, message):
    url, answers = fake_dicomweb
    answers.append(lambda path: answer)
    with pytest.raises((InputError, UnreachableError), match=message) as caught:
        open_source(url, {}).list_items()
    assert "Rossi" not in str(caught.value)
