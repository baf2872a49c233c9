from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from toys.documents import document, site_spec
from toys.memory_cluster import MemoryCluster
from toys.orthanc import Orthanc

from anamnesis.operator.api.site import Site
from anamnesis.operator.controllers.site.controller import reconcile_site, source_environment
from anamnesis.operator.runtime.reconcile_key import Key
from anamnesis.records import UnreachableError
from anamnesis.snapshots.phantoms import write_phantom_site
from anamnesis.storage.store import open_store

KEY = Key("Site", "hospital", "ward")


class Ward:
    """A Site on a cluster in memory, with a clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 20, 12, tzinfo=UTC)
        self.cluster = MemoryCluster(lambda: self.now)

    def make(self, source: dict[str, object], **labels: str) -> None:
        spec = {**site_spec(source, "s3://images/ward"), "labels": labels}
        self.cluster.create(Site.model_validate(document("Site", KEY.name, spec, {"namespace": KEY.namespace})))

    @property
    def site(self) -> Site:
        found = self.cluster.get(Site, KEY.namespace, KEY.name)
        assert found is not None
        return found

    def look(self, environment: dict[str, str] | None = None) -> tuple[str, str]:
        """Reconciles a minute later; returns reason and message of ``Readable``."""
        self.now += timedelta(minutes=1)
        again = reconcile_site(self.cluster, KEY, lambda: self.now, environment or {})
        assert again is not None
        assert timedelta(seconds=54) <= again <= timedelta(seconds=66)
        (condition,) = self.site.status.conditions
        assert (condition.type, condition.status) == ("Readable", str(condition.reason == "Readable"))
        return condition.reason, condition.message

    def point_at(self, source: dict[str, object]) -> None:
        changed = self.site.model_dump(mode="json", by_alias=True, exclude_none=True)
        changed["spec"]["source"] = source
        self.cluster.edit(Site.model_validate(changed))

    def writes(self) -> int:
        return sum(verb == "status" for verb, _ in self.cluster.writes)


@pytest.fixture
def ward() -> Ward:
    return Ward()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "arrives"
    made.mkdir()
    return made


def of(folder: Path) -> dict[str, object]:
    return {"type": "Folder", "folder": {"path": str(folder)}}


def test_a_site_is_told_what_arrives_and_since_when(ward: Ward, folder):
    ward.make(of(folder))
    assert ward.look() == ("Readable", "nothing has arrived yet")
    (folder / "a.png").write_bytes(b"x")
    assert ward.look() == ("Readable", "1 file, at most 1 patient")
    first = ward.site.status.source
    ward.look()
    assert ward.site.status.source == first
    assert first.changed == datetime(2026, 11, 20, 12, 2, tzinfo=UTC)
    (folder / "labels.csv").write_text("")
    assert ward.look() == ("Readable", "2 files")
    assert ward.site.status.source.changed == ward.now
    assert ward.site.status.observed_generation == 1
    assert [event[2] for event in ward.cluster.events] == ["Readable"]


def test_nothing_new_is_told_now_and_then_only(ward: Ward, folder):
    ward.make(of(folder))
    for _ in range(10):
        ward.look()
    assert ward.writes() == 4
    assert ward.now - ward.site.status.polled < timedelta(minutes=3)


def test_an_unreadable_source_keeps_what_was_known(ward: Ward, folder):
    (folder / "a.png").write_bytes(b"x")
    ward.make(of(folder))
    ward.look()
    known = ward.site.status.source
    folder.rename(folder.with_name("away"))
    reason, message = ward.look()
    assert reason == "NotFound"
    assert "there is no such folder" in message
    assert ward.site.status.source == known
    folder.with_name("away").rename(folder)
    ward.look()
    assert ward.site.status.source == known
    assert [event[1:3] for event in ward.cluster.events] == [
        ("Normal", "Readable"),
        ("Warning", "NotFound"),
        ("Normal", "Readable"),
    ]


def test_what_a_person_mends_is_seen_soon_however_rarely_the_site_is_polled(ward: Ward, folder):
    ward.make({**of(folder / "later"), "pollInterval": "6h"})
    assert reconcile_site(ward.cluster, KEY, lambda: ward.now, {}) < timedelta(minutes=2)
    (folder / "later").mkdir()
    assert reconcile_site(ward.cluster, KEY, lambda: ward.now, {}) > timedelta(hours=5)


def test_what_was_known_is_not_told_of_another_source(ward: Ward, folder):
    ward.make(of(folder))
    ward.look()
    ward.point_at(of(folder / "elsewhere"))
    assert ward.look()[0] == "NotFound"
    assert ward.site.status.source is None


def test_a_relative_path_means_nothing_on_a_cluster(ward: Ward):
    ward.make({"type": "Folder", "folder": {"path": "data/cxr"}})
    reason, message = ward.look()
    assert reason == "Invalid"
    assert "spec.source.folder.path: 'data/cxr' is relative" in message


def test_a_bucket_is_read_with_the_credentials_of_its_secret(ward: Ward, s3_environment):
    open_store("s3://models/ward", s3_environment).put("a.png", b"x")
    source = {"type": "S3", "s3": {"url": "s3://models/ward"}, "credentialsSecret": {"name": "bucket"}}
    ward.make(source)
    reason, message = ward.look()
    assert (reason, "no Secret 'bucket'" in message) == ("SecretMissing", True)
    ward.cluster.secrets["hospital", "bucket"] = {name: f"{text}\n" for name, text in s3_environment.items()}
    assert ward.look({"AWS_ACCESS_KEY_ID": "somebody else"}) == ("Readable", "1 file, at most 1 patient")
    ward.cluster.secrets["hospital", "bucket"] = {**s3_environment, "AWS_SECRET_ACCESS_KEY": "wrong"}
    assert ward.look()[0] == "Refused"
    ward.cluster.secrets["hospital", "bucket"] = dict(s3_environment)
    ward.point_at({**source, "s3": {"url": "s3://nobody/ward"}})
    assert ward.look()[0] == "NotFound"


def test_a_dicom_server_that_goes_and_comes_back(ward: Ward, orthanc: Orthanc, tmp_path):
    write_phantom_site(tmp_path, "xray", 2, seed=1)
    orthanc.send(*(path for path in tmp_path.rglob("*") if path.is_file()))
    (tmp_path / "labels.csv").write_text("file,label")
    source = {"type": "Orthanc", "orthanc": {"url": orthanc.url}, "credentialsSecret": {"name": "pacs"}}
    ward.make(source, **{"from": "Manifest", "manifest": (tmp_path / "labels.csv").as_uri()})
    user = orthanc.environment["DICOM_USERNAME"]
    ward.cluster.secrets["hospital", "pacs"] = {"username": user, "password": "wrong"}
    assert ward.look(dict(orthanc.environment))[0] == "Refused"  # the operator's own credentials are not for this
    ward.cluster.secrets["hospital", "pacs"] = {"username": user, "password": orthanc.environment["DICOM_PASSWORD"]}
    assert ward.look() == ("Readable", "4 files, at most 2 patients")
    known = ward.site.status.source
    orthanc.stop()
    assert ward.look()[0] == "Unreachable"
    assert ward.site.status.source == known
    orthanc.start()
    assert ward.look()[0] == "Readable"
    assert ward.site.status.source == known
    assert "SANLUCA" not in ward.site.status.model_dump_json()


def test_a_manifest_outside_counts(ward: Ward, folder, tmp_path):
    (folder / "a.png").write_bytes(b"x")
    manifest = tmp_path / "labels.csv"
    ward.make(of(folder), **{"from": "Manifest", "manifest": manifest.as_uri()})
    assert ward.look()[0] == "NotFound"
    manifest.write_text("file,label\na.png,yes")
    ward.look()
    first = ward.site.status.source
    manifest.write_text("file,label\na.png,no")
    ward.look()
    assert ward.site.status.source.fingerprint != first.fingerprint


def test_a_site_that_is_gone_is_left_alone(ward: Ward):
    assert reconcile_site(ward.cluster, KEY, lambda: ward.now, {}) is None


def test_an_api_server_that_is_away_is_no_fault_of_the_source(ward: Ward, folder):
    ward.make(of(folder))
    ward.cluster.down = True
    with pytest.raises(UnreachableError):
        reconcile_site(ward.cluster, KEY, lambda: ward.now, {})


def test_keys_of_a_secret_become_the_environment():
    given = {"username": "a", "password": "b\n", "token": "c", "AWS_REGION": "eu", "ca.crt": "x", "note": "y"}
    expected = {"DICOM_USERNAME": "a", "DICOM_PASSWORD": "b", "DICOM_TOKEN": "c", "AWS_REGION": "eu"}
    assert source_environment(given) == expected
