import errno
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from builders.orthanc_server import OrthancServer

from anamnesis.operator.polling.poll import poll_source
from anamnesis.operator.polling.poller import PollResult
from anamnesis.records import AnamnesisError, InputError, RefusedError, SourceState, UnreachableError
from anamnesis.snapshots.phantoms import write_phantom_site
from anamnesis.storage.store import MissingBucketError, MissingObjectError, open_store


def arrival_of(glance: PollResult) -> SourceState:
    assert glance.source_state is not None
    return glance.source_state


@pytest.fixture
def phantoms(tmp_path: Path) -> list[Path]:
    """DICOM files of three patients, two each."""
    write_phantom_site(tmp_path / "phantoms", "xray", 3, seed=1)
    return sorted(path for path in (tmp_path / "phantoms").rglob("*") if path.is_file())


@pytest.fixture(params=["folder", "bucket"])
def file_source(
    request, tmp_path: Path
) -> tuple[str, dict[str, str], Callable[[str, bytes], None], Callable[[str], None]]:
    """A source of files: URL, environment, what puts a file there, what takes one away."""
    if request.param == "folder":
        folder = tmp_path / "source"
        folder.mkdir()

        def put(name: str, data: bytes) -> None:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)

        return folder.as_uri(), {}, put, lambda name: (folder / name).unlink()
    environment = dict(request.getfixturevalue("s3_environment"))
    url = f"s3://models/{request.node.name}"
    store = open_store(url, environment)
    return url, environment, store.put, store.delete


def test_what_arrives_changes_and_goes_is_seen(file_source):
    url, environment, put, delete = file_source
    empty = arrival_of(poll_source(url, "", "", environment))
    assert (empty.files, empty.patients) == (0, 0)
    put("normal/a.dcm", b"one")
    put("normal/b.dcm", b"two")
    first = arrival_of(poll_source(url, "", "", environment))
    assert (first.files, first.patients) == (2, 2)
    assert arrival_of(poll_source(url, "", "", environment)) == first
    put("normal/b.dcm", b"six")  # the same name and size
    second = arrival_of(poll_source(url, "", "", environment))
    assert second.fingerprint != first.fingerprint
    delete("normal/b.dcm")
    assert arrival_of(poll_source(url, "", "", environment)).files == 1


def test_what_is_hidden_or_not_whole_yet_does_not_count(file_source):
    url, environment, put, _ = file_source
    put("a.png", b"one")
    first = arrival_of(poll_source(url, "", "", environment))
    for name in (".DS_Store", ".cache/b.png", "b.png.part", "c.dcm.tmp", "d.png.filepart"):
        put(name, b"half")
    assert arrival_of(poll_source(url, "", "", environment)) == first
    put("b.png", b"whole")
    assert arrival_of(poll_source(url, "", "", environment)).files == 2


@pytest.mark.parametrize("name", ["many.npz", "labels.csv", "labels.json", "all.zip"])
def test_a_container_may_hold_any_number_of_patients(file_source, name):
    url, environment, put, _ = file_source
    for file_name in ("a.png", "b.JPG", "c.nii.gz", "IM0001"):
        put(file_name, b"x")
    assert arrival_of(poll_source(url, "", "", environment)).patients == 4
    put(name, b"x")
    assert arrival_of(poll_source(url, "", "", environment)).patients == 0


def test_a_manifest_that_lies_elsewhere_is_part_of_what_is_seen(file_source, tmp_path):
    url, environment, put, _ = file_source
    put("a.png", b"x")
    manifest = tmp_path / "labels of ward 7.csv"
    with pytest.raises(MissingObjectError, match=r"labels\.manifest: .* does not exist"):
        poll_source(url, manifest.as_uri(), "", environment)
    manifest.write_text("file,label\na.png,yes")
    first = poll_source(url, manifest.as_uri(), "", environment)
    assert arrival_of(poll_source(url, manifest.as_uri(), first.cursor, environment)) == arrival_of(first)
    manifest.write_text("file,label\na.png,no")
    assert (
        arrival_of(poll_source(url, manifest.as_uri(), first.cursor, environment)).fingerprint
        != arrival_of(first).fingerprint
    )


def test_a_missing_folder_or_bucket_is_an_error(tmp_path, s3_environment):
    with pytest.raises(MissingObjectError, match="the folder does not exist"):
        poll_source((tmp_path / "gone").as_uri(), "", "", {})
    with pytest.raises(MissingBucketError, match="create it first"):
        poll_source("s3://nobody/here", "", "", s3_environment)


def test_a_folder_that_cannot_be_listed_is_not_named(tmp_path, monkeypatch):
    list_folder = Path.iterdir

    def fail_below(path):
        if path != tmp_path:
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
        return list_folder(path)

    (tmp_path / "Rossi^Maria").mkdir()
    monkeypatch.setattr(Path, "iterdir", fail_below)
    with pytest.raises(AnamnesisError, match="a file or folder is unreadable") as caught:
        poll_source(tmp_path.as_uri(), "", "", {})
    assert "Rossi" not in str(caught.value)


@pytest.fixture(params=["orthanc", "dicomweb"])
def server_url(request, orthanc: OrthancServer) -> str:
    return f"orthanc+{orthanc.url}" if request.param == "orthanc" else f"dicomweb+{orthanc.web}"


def test_a_dicom_server_counts_instances_and_patients(orthanc, server_url, phantoms):
    empty = poll_source(server_url, "", "", orthanc.environment)
    assert arrival_of(empty) == replace(arrival_of(empty), files=0, patients=0)
    orthanc.send(*phantoms[:3])
    orthanc.store(*phantoms[3:])
    full = poll_source(server_url, "", empty.cursor, orthanc.environment)
    assert (arrival_of(full).files, arrival_of(full).patients) == (6, 3)
    assert "SANLUCA" not in repr(full)
    orthanc.delete(orthanc.instances()[0])
    less = poll_source(server_url, "", full.cursor, orthanc.environment)
    assert (arrival_of(less).files, arrival_of(less).fingerprint != arrival_of(full).fingerprint) == (5, True)


def test_nothing_new_at_an_orthanc_is_told_by_its_cursor(orthanc, phantoms):
    url = f"orthanc+{orthanc.url}"
    orthanc.send(*phantoms[:4])
    first = poll_source(url, "", "", orthanc.environment)
    orthanc.stop()  # the cursor outlives the server's process
    orthanc.start()
    second = poll_source(url, "", first.cursor, orthanc.environment)
    assert second.source_state is None
    orthanc.send(*phantoms[4:])
    third = poll_source(url, "", second.cursor, orthanc.environment)
    assert arrival_of(third).files == 6
    for stale in ("", "another feed's", "999999999:1:1"):
        assert arrival_of(poll_source(url, "", stale, orthanc.environment)) == arrival_of(third)


def test_an_instance_that_was_overwritten_at_an_orthanc_is_seen(orthanc, phantoms):
    url = f"orthanc+{orthanc.url}"
    orthanc.send(*phantoms)
    first = poll_source(url, "", "", orthanc.environment)
    data = phantoms[0].read_bytes()
    phantoms[0].write_bytes(data[:-2] + bytes(byte ^ 1 for byte in data[-2:]))  # one pixel
    orthanc.send(phantoms[0])
    second = poll_source(url, "", first.cursor, orthanc.environment)
    assert (arrival_of(second).files, arrival_of(second).fingerprint != arrival_of(first).fingerprint) == (6, True)


def test_a_manifest_is_seen_where_the_orthanc_has_nothing_new(orthanc, phantoms, tmp_path):
    url, manifest = f"orthanc+{orthanc.url}", tmp_path / "labels.csv"
    orthanc.send(*phantoms)
    manifest.write_text("file,label")
    first = poll_source(url, manifest.as_uri(), "", orthanc.environment)
    assert poll_source(url, manifest.as_uri(), first.cursor, orthanc.environment).source_state is None
    manifest.write_text("file,label\n1.2.3,yes")
    assert (
        arrival_of(poll_source(url, manifest.as_uri(), first.cursor, orthanc.environment)).fingerprint
        != arrival_of(first).fingerprint
    )


def test_wrong_credentials_and_addresses_are_told_apart(orthanc, server_url):
    with pytest.raises(RefusedError, match=r"status 401: access denied; check user, password or token"):
        poll_source(server_url, "", "", {**orthanc.environment, "DICOM_PASSWORD": "wrong"})
    with pytest.raises(RefusedError):
        poll_source(server_url, "", "", {"DICOM_TOKEN": "x"})
    with pytest.raises(InputError, match="address"):
        poll_source(f"{server_url}/elsewhere", "", "", orthanc.environment)
    with pytest.raises(InputError, match=r"the server is not Orthanc|check the address"):
        poll_source(f"orthanc+{orthanc.web}", "", "", orthanc.environment)
    with pytest.raises(InputError, match="contains a user or a password") as caught:
        poll_source("orthanc+http://ward:secret@127.0.0.1", "", "", {})
    assert "secret" not in str(caught.value)


def test_a_server_that_is_away_is_unreachable_until_it_is_back(orthanc, server_url, phantoms):
    orthanc.send(*phantoms)
    first = poll_source(server_url, "", "", orthanc.environment)
    orthanc.stop()
    with pytest.raises(UnreachableError, match="the server is unreachable"):
        poll_source(server_url, "", first.cursor, orthanc.environment)
    orthanc.start()
    assert poll_source(server_url, "", first.cursor, orthanc.environment).source_state in (None, first.source_state)
