"""Events of watches and listings go into the cache and the queue; a watch that missed a change is detected."""

from typing import Any

import pytest
from builders.resource_documents import REQUEST_DOCUMENT, document
from fakes.memory_api import MemoryApi
from hypothesis import given
from hypothesis import strategies as st

from anamnesis.operator.api import ContinualModel, Site
from anamnesis.operator.runtime.cache import Cache
from anamnesis.operator.runtime.kubernetes_api import check_kinds_installed, resource_path
from anamnesis.operator.runtime.reconcile_key import ReconcileKey
from anamnesis.operator.runtime.watchdog import Watchdog
from anamnesis.operator.runtime.work_queue import WorkQueue
from anamnesis.records import InputError, UnreachableError

SITES = resource_path("Site", "")
TASK = {"name": "t", "type": "Classification", "classes": ["a", "b"], "primaryMetric": "AUROC"}


def watched_document(kind: str, name: str, version: int, spec: dict[str, Any], **fields: Any) -> dict[str, Any]:
    metadata = {"namespace": "wards", "uid": f"uid-{name}", "resourceVersion": str(version)}
    return document(kind, name, spec, metadata) | fields


def site(name: str, version: int = 1, **fields: Any) -> dict[str, Any]:
    source = {"type": "Folder", "folder": {"path": "/data"}}
    spec = {"source": source, "modalities": ["DX"], "task": TASK, "store": "/images"}
    return watched_document("Site", name, version, spec, **fields)


def model(name: str, *sites: str, version: int = 1) -> dict[str, Any]:
    gate = {"floor": "0.8", "margin": "0.03", "approval": "Required"}
    spec = {"method": {"name": "Finetune"}, "gate": gate, "registry": {"url": "s3://models/m"}}
    return watched_document(
        "ContinualModel", name, version, {**spec, "sites": [{"name": site_name} for site_name in sites]}
    )


def update(name: str, model_name: str) -> dict[str, Any]:
    digest = "sha256:" + "a" * 64
    spec = {"model": model_name, "site": "s", "claim": digest, "sourceFingerprint": digest, "request": REQUEST_DOCUMENT}
    return watched_document("ModelUpdate", name, 1, spec)


def approval(**target: str) -> dict[str, Any]:
    decision = "Approve" if "update" in target else "RollBack"
    spec = {"version": "sha256:" + "a" * 64, "decision": decision, "approver": "rossi", "reason": "seen"}
    return watched_document("UpdateApproval", "rossi-approves", 1, spec | target)


RECORDED = {"conditions": [{"type": "Recorded", "status": "True", "reason": "Recorded"}]}


class WatchdogHarness:
    """A watchdog over a store in memory, with a clock that the test moves."""

    def __init__(self) -> None:
        self.elapsed, self.live_kinds = 0.0, list[str]()
        self.api, self.cache = MemoryApi(), Cache()
        self.api.lists = {
            resource_path(kind, ""): [] for kind in ("ContinualModel", "ModelUpdate", "Site", "UpdateApproval")
        }
        self.queue = WorkQueue(clock=lambda: self.elapsed)
        self.watchdog = Watchdog(
            self.api,
            self.cache,
            self.queue,
            namespaces=(),
            silence_limit=180,
            report_alive=self.live_kinds.append,
            clock=lambda: self.elapsed,
        )

    def handle_event(self, *documents: dict[str, Any], is_present: bool = True) -> None:
        for manifest in documents:
            self.watchdog.handle_event(manifest["kind"], is_present, manifest)

    def queued_keys(self) -> set[str]:
        queued = set()
        while (key := self.queue.get(timeout=0)) is not None:
            queued.add(key)
            self.queue.done(key)
        return {f"{key.kind}/{key.name}" for key in queued}


@pytest.fixture
def harness() -> WatchdogHarness:
    return WatchdogHarness()


@pytest.mark.parametrize(
    ("changed", "keys"),
    [
        (site("ulm", 2, status={"observedGeneration": 1}), {"Site/ulm", "ContinualModel/chest", "ContinualModel/hand"}),
        (site("bonn", 2), {"Site/bonn"}),
        (model("hand", "ulm", version=2), {"ContinualModel/hand"}),
        (update("chest-0123456789", "chest"), {"ContinualModel/chest"}),
        (approval(update="chest-0123456789"), {"UpdateApproval/chest", "ContinualModel/chest"}),
        (approval(model="hand"), {"UpdateApproval/hand", "ContinualModel/hand"}),
        (approval(model="hand") | {"status": RECORDED}, {"ContinualModel/hand"}),
        (approval(update="gone-0123456789"), {"UpdateApproval/gone", "ContinualModel/gone"}),
    ],
)
def test_a_change_queues_all_affected_keys(harness: WatchdogHarness, changed: dict[str, Any], keys: set[str]) -> None:
    harness.handle_event(site("ulm"), model("chest", "ulm"), model("hand", "ulm", "jena"))
    harness.queued_keys()
    harness.handle_event(changed)
    assert harness.queued_keys() == keys
    harness.handle_event(changed, is_present=False)
    assert harness.queued_keys() == keys


SOURCE = {"fingerprint": "sha256:" + "b" * 64, "files": 1, "lastChangeTime": "2026-05-01T12:00:00Z"}


def polled_status(minute: int, **source: Any) -> dict[str, Any]:
    return {"lastPollTime": f"2026-05-01T12:{minute:02}:00Z", "source": {**SOURCE, **source}}


@pytest.mark.parametrize(
    ("status", "changes", "keys"),
    [
        (polled_status(2, cursor="7"), {}, set()),
        (polled_status(2, files=2), {}, {"ContinualModel/chest"}),
        (polled_status(2), {"spec": {"store": "/other"}}, {"Site/ulm", "ContinualModel/chest"}),
        (polled_status(2), {"metadata": {"annotations": {"a": "b"}}}, {"Site/ulm"}),
        ({}, {}, {"Site/ulm", "ContinualModel/chest"}),
    ],
    ids=["unchanged", "new files", "new spec at the same time", "annotated", "status lost"],
)
def test_the_result_of_a_poll_starts_no_other_poll_and_reconciles_models_where_the_source_changed(
    harness: WatchdogHarness, status: dict[str, Any], changes: dict[str, dict[str, Any]], keys: set[str]
) -> None:
    harness.handle_event(model("chest", "ulm"), site("ulm", status=polled_status(1)))
    harness.queued_keys()
    changed = site("ulm", 2, status=status)
    for part, fields in changes.items():
        changed[part] = {**changed[part], **fields}
    harness.handle_event(changed)
    assert harness.queued_keys() == keys


def test_an_unreadable_object_is_ignored_and_queued(harness: WatchdogHarness, caplog: pytest.LogCaptureFixture) -> None:
    ulm = site("ulm")
    harness.handle_event({**ulm, "spec": {**ulm["spec"], "canary": 1}})
    assert harness.cache.resources() == ()
    assert harness.cache.unreadable_counts()["Site"] == 1
    assert harness.queued_keys() == {"Site/ulm"}, "reconciling writes on the Site why it is unreadable"
    assert (
        "ignores a resource: Site ulm: this release of the operator does not accept the fields spec.canary; "
        in caplog.text
    )


def test_an_unknown_status_field_of_a_newer_release_is_ignored(harness: WatchdogHarness) -> None:
    harness.handle_event({**site("ulm"), "status": {"canary": 1}})
    assert len(harness.cache.resources()) == 1


def test_a_name_that_belongs_to_another_object_by_now_stays(harness: WatchdogHarness) -> None:
    old, new = site("ulm"), site("ulm", 2)
    new["metadata"]["uid"] = "another"
    harness.handle_event(old, new)
    harness.handle_event(old, is_present=False)
    assert harness.cache.get(Site, "wards", "ulm") is not None


def test_the_first_listing_brings_everything(harness: WatchdogHarness) -> None:
    harness.api.lists[SITES] = [site("ulm")]
    assert not harness.watchdog.has_synced()
    harness.watchdog.check_watches()
    assert harness.watchdog.has_synced()
    assert harness.queued_keys() == {"Site/ulm"}
    assert isinstance(harness.cache.get(Site, "wards", "ulm"), Site)
    assert harness.cache.get(ContinualModel, "wards", "ulm") is None


def test_a_watch_that_missed_a_change_counts_as_silent_and_the_change_is_reconciled(harness: WatchdogHarness) -> None:
    harness.watchdog.check_watches()
    harness.elapsed = 100
    harness.api.lists[SITES] = [site("ulm")]
    harness.watchdog.check_watches()
    assert harness.queued_keys() == {"Site/ulm"}
    assert harness.watchdog.silent_kinds() == ()
    harness.live_kinds.clear()
    harness.elapsed = 290
    harness.watchdog.check_watches()
    assert harness.watchdog.silent_kinds() == ("Site",)
    assert "Site" not in harness.live_kinds
    assert "ContinualModel" in harness.live_kinds
    harness.elapsed = 291
    harness.handle_event(site("ulm"))
    harness.watchdog.check_watches()
    assert harness.watchdog.silent_kinds() == ()


def test_objects_deleted_while_no_watch_ran_are_reconciled_and_no_watch_is_silent(harness: WatchdogHarness) -> None:
    harness.handle_event(site("ulm"), model("chest", "ulm"))
    harness.queued_keys()
    harness.elapsed = 1
    harness.watchdog.check_watches()
    assert harness.queued_keys() == {"Site/ulm", "ContinualModel/chest"}
    harness.elapsed = 1000
    harness.watchdog.check_watches()
    assert harness.watchdog.silent_kinds() == ()


def test_an_event_during_a_listing_is_newer_than_the_listing() -> None:
    cache = Cache()
    cache.put("Site", site("ulm", 5), observed_at=10)
    assert cache.replace("Site", "", [site("ulm", 4)], listed_at=9) == ()
    assert cache.replace("Site", "", [], listed_at=9) == ()
    assert cache.replace("Site", "other", [], listed_at=11) == ()
    assert len(cache.replace("Site", "wards", [], listed_at=11)) == 1


def test_an_unreachable_api_server_makes_no_watch_silent(harness: WatchdogHarness) -> None:
    harness.api.down = True
    with pytest.raises(UnreachableError):
        harness.watchdog.check_watches()
    assert harness.watchdog.silent_kinds() == ()
    assert not harness.watchdog.has_synced()


@given(st.lists(st.sampled_from(("change", "report", "miss", "check", "wait")), max_size=40))
def test_every_change_is_queued_and_a_live_watch_is_never_silent(steps: list[str]) -> None:
    harness, version, is_unreported = WatchdogHarness(), 0, False
    for step in steps:
        harness.elapsed += 1
        if step == "change":
            version, is_unreported = version + 1, True
            harness.api.lists[SITES] = [site("ulm", version)]
        elif step == "report" and is_unreported:
            harness.handle_event(site("ulm", version))
            is_unreported = False
        elif step == "wait" and not is_unreported:
            harness.elapsed += 200
        elif step == "check":
            harness.watchdog.check_watches()
            assert harness.watchdog.silent_kinds() == ()
    harness.elapsed += 1
    harness.watchdog.check_watches()
    assert (ReconcileKey("Site", "wards", "ulm") == harness.queue.get(timeout=0)) == (version > 0)


def test_missing_definitions_are_an_error_with_the_command_that_installs_them() -> None:
    with pytest.raises(
        InputError, match=r"does not serve continualmodels, .*sites/status, .* of anamnesis.dev/v1alpha1"
    ):
        check_kinds_installed(MemoryApi())


def test_the_cache_knows_which_models_name_a_site() -> None:
    cache = Cache()
    for name, sites in (("chest", ("ulm", "bern")), ("knee", ("ulm",))):
        cache.put("ContinualModel", model(name, *sites), observed_at=1)
    assert cache.models_of_site("wards", "ulm") == ("chest", "knee")
    assert cache.models_of_site("other", "ulm") == ()
    cache.put("ContinualModel", model("chest", "bern"), observed_at=2)
    assert cache.models_of_site("wards", "ulm") == ("knee",)
    cache.remove("ContinualModel", model("chest", "bern"))
    assert cache.models_of_site("wards", "bern") == ()
    cache.replace("ContinualModel", "wards", [], listed_at=3)
    assert cache.models_of_site("wards", "ulm") == ()
