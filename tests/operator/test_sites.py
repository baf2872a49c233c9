from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from toys.documents import document, site_spec
from toys.memory_cluster import MemoryCluster
from toys.orthanc import OrthancServer

from anamnesis.operator.api.site import Site
from anamnesis.operator.controllers.site.controller import reconcile_site, source_environment
from anamnesis.operator.runtime.reconcile_key import ReconcileKey
from anamnesis.records import UnreachableError
from anamnesis.snapshots.phantoms import write_phantom_site
from anamnesis.storage.store import open_store

KEY = ReconcileKey("Site", "hospital", "ward")


class PolledSite:
    """A Site on a cluster in memory, with a clock that is moved by hand."""

    def __init__(self) -> None:
        self.time = datetime(2026, 11, 20, 12, tzinfo=UTC)
        self.cluster = MemoryCluster(lambda: self.time)

    def create(self, source: dict[str, object], **labels: str) -> None:
        spec = {**site_spec(source, "s3://images/ward"), "labels": labels}
        self.cluster.create(Site.model_validate(document("Site", KEY.name, spec, {"namespace": KEY.namespace})))

    @property
    def site(self) -> Site:
        stored_site = self.cluster.get(Site, KEY.namespace, KEY.name)
        assert stored_site is not None
        return stored_site

    def poll(self, environment: dict[str, str] | None = None) -> tuple[str, str]:
        """Reconciles a minute later; returns reason and message of ``Readable``."""
        self.time += timedelta(minutes=1)
        requeue_after = reconcile_site(self.cluster, KEY, lambda: self.time, environment or {})
        assert requeue_after is not None
        assert timedelta(seconds=54) <= requeue_after <= timedelta(seconds=66)
        (condition,) = self.site.status.conditions
        assert (condition.type, condition.status) == ("Readable", str(condition.reason == "Readable"))
        return condition.reason, condition.message

    def set_source(self, source: dict[str, object]) -> None:
        changed = self.site.model_dump(mode="json", by_alias=True, exclude_none=True)
        changed["spec"]["source"] = source
        self.cluster.edit(Site.model_validate(changed))

    def count_status_writes(self) -> int:
        return sum(verb == "status" for verb, _ in self.cluster.writes)


@pytest.fixture
def ward() -> PolledSite:
    return PolledSite()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "arrives"
    path.mkdir()
    return path


def folder_source(folder: Path) -> dict[str, object]:
    return {"type": "Folder", "folder": {"path": str(folder)}}


def test_a_site_is_told_what_arrives_and_since_when(ward: PolledSite, folder):
    ward.create(folder_source(folder))
    assert ward.poll() == ("Readable", "nothing has arrived yet")
    (folder / "a.png").write_bytes(b"x")
    assert ward.poll() == ("Readable", "1 file, at most 1 patient")
    first = ward.site.status.source
    ward.poll()
    assert ward.site.status.source == first
    assert first.last_change_time == datetime(2026, 11, 20, 12, 2, tzinfo=UTC)
    (folder / "labels.csv").write_text("")
    assert ward.poll() == ("Readable", "2 files")
    assert ward.site.status.source.last_change_time == ward.time
    assert ward.site.status.observed_generation == 1
    assert [event[2] for event in ward.cluster.events] == ["Readable"]


def test_nothing_new_is_told_now_and_then_only(ward: PolledSite, folder):
    ward.create(folder_source(folder))
    for _ in range(10):
        ward.poll()
    assert ward.count_status_writes() == 4
    assert ward.time - ward.site.status.last_poll_time < timedelta(minutes=3)


def test_an_unreadable_source_keeps_what_was_known(ward: PolledSite, folder):
    (folder / "a.png").write_bytes(b"x")
    ward.create(folder_source(folder))
    ward.poll()
    source_state = ward.site.status.source
    folder.rename(folder.with_name("away"))
    reason, message = ward.poll()
    assert reason == "NotFound"
    assert "there is no such folder" in message
    assert ward.site.status.source == source_state
    folder.with_name("away").rename(folder)
    ward.poll()
    assert ward.site.status.source == source_state
    assert [event[1:3] for event in ward.cluster.events] == [
        ("Normal", "Readable"),
        ("Warning", "NotFound"),
        ("Normal", "Readable"),
    ]


def test_what_a_person_mends_is_seen_soon_however_rarely_the_site_is_polled(ward: PolledSite, folder):
    ward.create({**folder_source(folder / "later"), "pollInterval": "6h"})
    assert reconcile_site(ward.cluster, KEY, lambda: ward.time, {}) < timedelta(minutes=2)
    (folder / "later").mkdir()
    assert reconcile_site(ward.cluster, KEY, lambda: ward.time, {}) > timedelta(hours=5)


def test_what_was_known_is_not_told_of_another_source(ward: PolledSite, folder):
    ward.create(folder_source(folder))
    ward.poll()
    ward.set_source(folder_source(folder / "elsewhere"))
    assert ward.poll()[0] == "NotFound"
    assert ward.site.status.source is None


def test_a_relative_path_means_nothing_on_a_cluster(ward: PolledSite):
    ward.create({"type": "Folder", "folder": {"path": "data/cxr"}})
    reason, message = ward.poll()
    assert reason == "Invalid"
    assert "spec.source.folder.path: 'data/cxr' is relative" in message


def test_a_bucket_is_read_with_the_credentials_of_its_secret(ward: PolledSite, s3_environment):
    open_store("s3://models/ward", s3_environment).put("a.png", b"x")
    source = {"type": "S3", "s3": {"url": "s3://models/ward"}, "credentialsSecret": {"name": "bucket"}}
    ward.create(source)
    reason, message = ward.poll()
    assert (reason, "no Secret 'bucket'" in message) == ("SecretMissing", True)
    ward.cluster.secrets["hospital", "bucket"] = {name: f"{text}\n" for name, text in s3_environment.items()}
    assert ward.poll({"AWS_ACCESS_KEY_ID": "somebody else"}) == ("Readable", "1 file, at most 1 patient")
    ward.cluster.secrets["hospital", "bucket"] = {**s3_environment, "AWS_SECRET_ACCESS_KEY": "wrong"}
    assert ward.poll()[0] == "Refused"
    ward.cluster.secrets["hospital", "bucket"] = dict(s3_environment)
    ward.set_source({**source, "s3": {"url": "s3://nobody/ward"}})
    assert ward.poll()[0] == "NotFound"


def test_a_dicom_server_that_goes_and_comes_back(ward: PolledSite, orthanc: OrthancServer, tmp_path):
    write_phantom_site(tmp_path, "xray", 2, seed=1)
    orthanc.send(*(path for path in tmp_path.rglob("*") if path.is_file()))
    (tmp_path / "labels.csv").write_text("file,label")
    source = {"type": "Orthanc", "orthanc": {"url": orthanc.url}, "credentialsSecret": {"name": "pacs"}}
    ward.create(source, **{"from": "Manifest", "manifest": (tmp_path / "labels.csv").as_uri()})
    user = orthanc.environment["DICOM_USERNAME"]
    ward.cluster.secrets["hospital", "pacs"] = {"username": user, "password": "wrong"}
    assert ward.poll(dict(orthanc.environment))[0] == "Refused"  # the operator's own credentials are not for this
    ward.cluster.secrets["hospital", "pacs"] = {"username": user, "password": orthanc.environment["DICOM_PASSWORD"]}
    assert ward.poll() == ("Readable", "4 files, at most 2 patients")
    source_state = ward.site.status.source
    orthanc.stop()
    assert ward.poll()[0] == "Unreachable"
    assert ward.site.status.source == source_state
    orthanc.start()
    assert ward.poll()[0] == "Readable"
    assert ward.site.status.source == source_state
    assert "SANLUCA" not in ward.site.status.model_dump_json()


def test_a_manifest_outside_counts(ward: PolledSite, folder, tmp_path):
    (folder / "a.png").write_bytes(b"x")
    manifest = tmp_path / "labels.csv"
    ward.create(folder_source(folder), **{"from": "Manifest", "manifest": manifest.as_uri()})
    assert ward.poll()[0] == "NotFound"
    manifest.write_text("file,label\na.png,yes")
    ward.poll()
    first = ward.site.status.source
    manifest.write_text("file,label\na.png,no")
    ward.poll()
    assert ward.site.status.source.fingerprint != first.fingerprint


def test_a_site_that_is_gone_is_left_alone(ward: PolledSite):
    assert reconcile_site(ward.cluster, KEY, lambda: ward.time, {}) is None


def test_an_api_server_that_is_away_is_no_fault_of_the_source(ward: PolledSite, folder):
    ward.create(folder_source(folder))
    ward.cluster.down = True
    with pytest.raises(UnreachableError):
        reconcile_site(ward.cluster, KEY, lambda: ward.time, {})


def test_keys_of_a_secret_become_the_environment():
    secret_values = {"username": "a", "password": "b\n", "token": "c", "AWS_REGION": "eu", "ca.crt": "x", "note": "y"}
    expected = {"DICOM_USERNAME": "a", "DICOM_PASSWORD": "b", "DICOM_TOKEN": "c", "AWS_REGION": "eu"}
    assert source_environment(secret_values) == expected
