from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NoReturn

import pytest
from builders.kstatus import CURRENT, FAILED, IN_PROGRESS, kstatus
from builders.orthanc_server import OrthancServer
from builders.resource_documents import document, site_spec
from fakes.dicomweb_server import FakeDicomweb, FakeStudy, serve_dicomweb
from fakes.memory_cluster import MemoryCluster

from anamnesis.operator.api.site import Site
from anamnesis.operator.controllers.options import ReconcileOptions
from anamnesis.operator.controllers.site.controller import SiteReconciler
from anamnesis.operator.runtime.cache import Cache
from anamnesis.operator.runtime.reconcile_key import ReconcileKey
from anamnesis.operator.source_credentials import source_environment
from anamnesis.records import UnreachableError
from anamnesis.snapshots.phantoms import write_phantom_site
from anamnesis.sources.study_listing import UNDATED_NOTE
from anamnesis.storage.store import open_store

KEY = ReconcileKey("Site", "hospital", "ward")


def no_backend(model: object) -> NoReturn:
    raise AssertionError("a Site needs no back end")


def reconcile_options(environment: dict[str, str]) -> ReconcileOptions:
    return ReconcileOptions(environment, Path("/nowhere"), no_backend)


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
        """Reconciles a minute later; returns reason and message of ``Ready``."""
        self.time += timedelta(minutes=1)
        requeue_after = self.reconcile(environment)
        assert requeue_after is not None
        assert timedelta(seconds=54) <= requeue_after <= timedelta(seconds=66)
        condition, _, stalled = self.site.status.conditions
        assert stalled.message == ("" if condition.reason == "Readable" else condition.message)
        assert (condition.type, condition.status) == ("Ready", str(condition.reason == "Readable"))
        assert kstatus(self.site) == self.expected_state(condition.reason)
        return condition.reason, condition.message

    def expected_state(self, reason: str) -> str:
        """What tools should see: what may come back is in progress for five minutes."""
        if reason == "Readable":
            return CURRENT
        problem_time = self.site.status.problem_time
        assert problem_time is not None
        may_come_back = reason in ("Unreachable", "SecretMissing") and self.time - problem_time < timedelta(minutes=5)
        return IN_PROGRESS if may_come_back else FAILED

    def reconcile(self, environment: dict[str, str] | None = None) -> timedelta | None:
        return SiteReconciler(self.cluster, lambda: self.time, reconcile_options(environment or {})).reconcile(KEY)

    def set_source(self, source: dict[str, object]) -> None:
        changed = self.site.model_dump(mode="json", by_alias=True, exclude_none=True)
        changed["spec"]["source"] = source
        self.cluster.edit(Site.model_validate(changed))

    def count_status_writes(self) -> int:
        return sum(verb == "status" for verb, _ in self.cluster.writes)


@pytest.fixture
def polled_site() -> PolledSite:
    return PolledSite()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "arrives"
    path.mkdir()
    return path


def folder_source(folder: Path) -> dict[str, object]:
    return {"type": "Folder", "folder": {"path": str(folder)}}


def test_a_site_is_told_what_arrives_and_since_when(polled_site: PolledSite, folder):
    polled_site.create(folder_source(folder))
    assert polled_site.poll() == ("Readable", "no data has arrived yet")
    (folder / "a.png").write_bytes(b"x")
    assert polled_site.poll() == ("Readable", "1 file, at most 1 patient")
    first = polled_site.site.status.source
    polled_site.poll()
    assert polled_site.site.status.source == first
    assert first.last_change_time == datetime(2026, 11, 20, 12, 2, tzinfo=UTC)
    (folder / "labels.csv").write_text("")
    assert polled_site.poll() == ("Readable", "2 files")
    assert polled_site.site.status.source.last_change_time == polled_site.time
    assert polled_site.site.status.observed_generation == 1
    assert polled_site.cluster.events == []  # a first status without a fault makes no event


def test_nothing_new_is_told_now_and_then_only(polled_site: PolledSite, folder):
    polled_site.create(folder_source(folder))
    for _ in range(10):
        polled_site.poll()
    assert polled_site.count_status_writes() == 4
    assert polled_site.time - polled_site.site.status.last_poll_time < timedelta(minutes=3)


def test_an_unreadable_source_keeps_what_was_known(polled_site: PolledSite, folder):
    (folder / "a.png").write_bytes(b"x")
    polled_site.create(folder_source(folder))
    polled_site.poll()
    source_state = polled_site.site.status.source
    folder.rename(folder.with_name("away"))
    reason, message = polled_site.poll()
    assert reason == "NotFound"
    assert "the folder does not exist" in message
    assert polled_site.site.status.source == source_state
    folder.with_name("away").rename(folder)
    polled_site.poll()
    assert polled_site.site.status.source == source_state
    events = [event[1:3] for event in polled_site.cluster.events if event[2] != "NothingToDo"]
    assert events[0] == ("Warning", "NotFound")
    assert events[-1] == ("Normal", "Readable")


def test_what_a_person_mends_is_seen_soon_however_rarely_the_site_is_polled(polled_site: PolledSite, folder):
    polled_site.create({**folder_source(folder / "later"), "pollInterval": "6h"})
    assert polled_site.reconcile() < timedelta(minutes=2)
    (folder / "later").mkdir()
    assert polled_site.reconcile() > timedelta(hours=5)


def test_what_was_known_is_not_told_of_another_source(polled_site: PolledSite, folder):
    polled_site.create(folder_source(folder))
    polled_site.poll()
    polled_site.set_source(folder_source(folder / "elsewhere"))
    assert polled_site.poll()[0] == "NotFound"
    assert polled_site.site.status.source is None


def test_a_relative_path_means_nothing_on_a_cluster(polled_site: PolledSite):
    polled_site.create({"type": "Folder", "folder": {"path": "data/cxr"}})
    reason, message = polled_site.poll()
    assert reason == "Invalid"
    assert "spec.source.folder.path: expected an absolute path on a cluster, found 'data/cxr'" in message


def test_a_bucket_is_read_with_the_credentials_of_its_secret(polled_site: PolledSite, s3_environment):
    open_store("s3://models/ward", s3_environment).put("a.png", b"x")
    source = {"type": "S3", "s3": {"url": "s3://models/ward"}, "credentialsSecret": {"name": "bucket"}}
    polled_site.create(source)
    reason, message = polled_site.poll()
    assert (reason, "the Secret 'bucket' does not exist" in message) == ("SecretMissing", True)
    polled_site.cluster.secrets["hospital", "bucket"] = {name: f"{text}\n" for name, text in s3_environment.items()}
    assert polled_site.poll({"AWS_ACCESS_KEY_ID": "somebody else"}) == ("Readable", "1 file, at most 1 patient")
    polled_site.cluster.secrets["hospital", "bucket"] = {**s3_environment, "AWS_SECRET_ACCESS_KEY": "wrong"}
    assert polled_site.poll()[0] == "Refused"
    polled_site.cluster.secrets["hospital", "bucket"] = dict(s3_environment)
    polled_site.set_source({**source, "s3": {"url": "s3://nobody/ward"}})
    assert polled_site.poll()[0] == "NotFound"


def test_a_dicom_server_that_goes_and_comes_back(polled_site: PolledSite, orthanc: OrthancServer, tmp_path):
    write_phantom_site(tmp_path, "xray", 2, seed=1)
    orthanc.send(*(path for path in tmp_path.rglob("*") if path.is_file()))
    (tmp_path / "labels.csv").write_text("file,label")
    source = {"type": "Orthanc", "orthanc": {"url": orthanc.url}, "credentialsSecret": {"name": "pacs"}}
    polled_site.create(source, **{"from": "Manifest", "manifest": (tmp_path / "labels.csv").as_uri()})
    user = orthanc.environment["DICOM_USERNAME"]
    polled_site.cluster.secrets["hospital", "pacs"] = {"username": user, "password": "wrong"}
    assert (
        polled_site.poll(dict(orthanc.environment))[0] == "Refused"
    )  # the operator's own credentials are not for this
    polled_site.cluster.secrets["hospital", "pacs"] = {
        "username": user,
        "password": orthanc.environment["DICOM_PASSWORD"],
    }
    message = "the server has no study that matches spec.source.orthanc.query (modalities OT)"
    assert polled_site.poll() == ("Readable", f"no data has arrived yet: {message}")
    polled_site.set_source({**source, "orthanc": {"url": orthanc.url, "query": {"modalities": ["DX"]}}})
    assert polled_site.poll() == ("Readable", "4 files, at most 2 patients")
    source_state = polled_site.site.status.source
    orthanc.stop()
    assert polled_site.poll()[0] == "Unreachable"
    assert polled_site.site.status.source == source_state
    orthanc.start()
    assert polled_site.poll()[0] == "Readable"
    assert polled_site.site.status.source == source_state
    assert "SANLUCA" not in polled_site.site.status.model_dump_json()


def test_a_list_that_a_server_cuts_is_never_a_smaller_source(polled_site: PolledSite, tmp_path):
    studies = [FakeStudy(f"1.2.{day}", f"202401{day:02}" if day != 7 else "") for day in range(1, 31)]
    fake = FakeDicomweb(studies)
    (tmp_path / "labels.csv").write_text("file,label")
    labels = {"from": "Manifest", "manifest": (tmp_path / "labels.csv").as_uri()}
    with serve_dicomweb(fake) as url:
        source = {"type": "DICOMweb", "dicomweb": {"url": url, "query": {"modalities": []}}}
        polled_site.create(source, **labels)
        assert polled_site.poll() == ("Readable", "30 files, at most 1 patient")
        source_state = polled_site.site.status.source
        fake.cap = 10
        reason, message = polled_site.poll()
        assert (reason, "an unknown number is missing; raise the server's limit" in message) == ("IncompleteList", True)
        assert polled_site.site.status.source == source_state
        polled_site.set_source({**source, "dicomweb": {"url": url, "query": {"modalities": [], "from": "20240105"}}})
        assert polled_site.poll() == ("Readable", "25 files, at most 1 patient")
        polled_site.set_source(source)
        fake.studies = [study for study in studies if study.date]
        reason, message = polled_site.poll()
        assert (reason, message) == ("Readable", f"29 files, at most 1 patient; {UNDATED_NOTE}")


def test_a_manifest_outside_counts(polled_site: PolledSite, folder, tmp_path):
    (folder / "a.png").write_bytes(b"x")
    manifest = tmp_path / "labels.csv"
    polled_site.create(folder_source(folder), **{"from": "Manifest", "manifest": manifest.as_uri()})
    assert polled_site.poll()[0] == "NotFound"
    manifest.write_text("file,label\na.png,yes")
    polled_site.poll()
    first = polled_site.site.status.source
    manifest.write_text("file,label\na.png,no")
    polled_site.poll()
    assert polled_site.site.status.source.fingerprint != first.fingerprint


def test_a_site_that_is_gone_is_left_alone(polled_site: PolledSite):
    assert polled_site.reconcile() is None


def test_an_api_server_that_is_away_is_no_fault_of_the_source(polled_site: PolledSite, folder):
    polled_site.create(folder_source(folder))
    polled_site.cluster.down = True
    with pytest.raises(UnreachableError):
        polled_site.reconcile()


def test_keys_of_a_secret_become_the_environment():
    secret_values = {"username": "a", "password": "b\n", "token": "c", "AWS_REGION": "eu", "ca.crt": "x", "note": "y"}
    expected = {"DICOM_USERNAME": "a", "DICOM_PASSWORD": "b", "DICOM_TOKEN": "c", "AWS_REGION": "eu"}
    assert source_environment(secret_values) == expected


@pytest.mark.parametrize(
    ("source", "secret", "needed"),
    [
        ({"type": "S3", "s3": {"url": "s3://a/b"}}, {"AWS_ACCESS_KEY_ID": "s3cr3t"},
         "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
        ({"type": "DICOMweb", "dicomweb": {"url": "https://pacs"}}, {"username": "s3cr3t"},
         "token or username and password"),
        ({"type": "Orthanc", "orthanc": {"url": "https://pacs"}}, {}, "token or username and password"),
    ],
)  # fmt: skip
def test_a_secret_without_the_keys_of_its_source_is_named_and_not_quoted(
    polled_site: PolledSite, source: dict[str, object], secret: dict[str, str], needed: str
) -> None:
    polled_site.create(
        {**source, "credentialsSecret": {"name": "pacs"}}, **{"from": "Manifest", "manifest": "s3://a/l"}
    )
    polled_site.cluster.secrets["hospital", "pacs"] = secret
    reason, message = polled_site.poll()
    assert reason == "Invalid"
    assert f"the Secret 'pacs' needs the keys {needed} for a source of type {source['type']}" in message
    assert "s3cr3t" not in message


def test_a_split_key_that_no_run_could_read_is_told_before_the_first_run(polled_site: PolledSite, folder: Path) -> None:
    polled_site.create(folder_source(folder))
    changed = polled_site.site.model_dump(mode="json", by_alias=True, exclude_none=True)
    changed["spec"]["splitKey"] = {"type": "Secret", "secret": {"name": "split", "key": "hmac"}}
    polled_site.cluster.edit(Site.model_validate(changed))
    assert polled_site.poll()[0] == "SecretMissing"
    polled_site.cluster.secrets["hospital", "split"] = {"key": "k" * 64}
    reason, message = polled_site.poll()
    assert (reason, "the Secret 'split' has no key 'hmac'" in message) == ("Invalid", True)
    polled_site.cluster.secrets["hospital", "split"] = {"hmac": "k" * 64}
    assert polled_site.poll()[0] == "Readable"


@pytest.mark.parametrize("secret", [None, {"username": "anna", "password": "p"}])
def test_a_bucket_without_keys_is_told_by_its_field(polled_site: PolledSite, secret: dict[str, str] | None) -> None:
    reference = {"credentialsSecret": {"name": "pacs"}} if secret else {}
    polled_site.cluster.secrets[KEY.namespace, "pacs"] = secret or {}
    source = {"type": "DICOMweb", "dicomweb": {"url": "https://pacs"}, **reference}
    polled_site.create(source, manifest="s3://labels/ward.csv", **{"from": "Manifest"})
    reason, message = polled_site.poll()
    assert reason == "Invalid"
    assert message.startswith("spec.labels.manifest is in a bucket, and nobody gave its keys, AWS_ACCESS_KEY_ID and")
    assert ("add them to the Secret 'pacs'" in message) == (secret is not None)


def test_a_poll_starts_from_what_the_watches_reported_unless_they_lack_the_last_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    polled, cache, reads = PolledSite(), Cache(), list[str]()
    polled.create({"type": "Folder", "folder": {"path": str(tmp_path)}})
    read_site = polled.cluster.get
    reconciler = SiteReconciler(polled.cluster, lambda: polled.time, reconcile_options({}), cache)

    def report_to_cache() -> None:
        cache.put("Site", polled.site.model_dump(mode="json", by_alias=True, exclude_none=True), observed_at=0)

    def poll() -> int:
        """Returns how often the API server was asked for the Site."""
        polled.time += timedelta(minutes=5)  # so that each status is written
        reads.clear()
        with monkeypatch.context() as patch:
            patch.setattr(polled.cluster, "get", lambda *names: (reads.append(names[-1]), read_site(*names))[1])
            assert reconciler.reconcile(KEY) is not None
        assert polled.site.status.last_poll_time == polled.time
        return len(reads)

    report_to_cache()
    assert poll() == 1, "a new process does not know what was written last"
    assert poll() == 1, "the watch has not reported the status yet"
    report_to_cache()
    assert poll() == 0
    cache.remove("Site", polled.site.model_dump(mode="json", by_alias=True))
    assert poll() == 1
