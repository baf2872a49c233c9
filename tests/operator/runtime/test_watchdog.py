"""What watches and listings tell comes into the cache and the queue; a watch that missed something is found out."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from toys.memory_api import MemoryApi

from anamnesis.operator.api import ContinualModel, Site
from anamnesis.operator.runtime.cache import Cache
from anamnesis.operator.runtime.kubernetes_api import check_installed, path_of
from anamnesis.operator.runtime.reconcile_key import Key
from anamnesis.operator.runtime.watchdog import Watchdog
from anamnesis.operator.runtime.work_queue import WorkQueue
from anamnesis.records import InputError, UnreachableError

SITES = path_of("Site", "")
TASK = {"name": "t", "type": "Classification", "classes": ["a", "b"], "primaryMetric": "AUROC"}


def document(kind: str, name: str, version: int, spec: dict[str, Any], **more: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "wards", "uid": f"uid-{name}", "resourceVersion": str(version)}
    return {"apiVersion": "anamnesis.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec, **more}


def site(name: str, version: int = 1, **more: Any) -> dict[str, Any]:
    source = {"type": "Folder", "folder": {"path": "/data"}}
    spec = {"source": source, "modalities": ["DX"], "task": TASK, "store": "/images"}
    return document("Site", name, version, spec, **more)


def model(name: str, *sites: str, version: int = 1) -> dict[str, Any]:
    gate = {"floor": "0.8", "margin": "0.03", "approval": "Required"}
    spec = {"method": {"name": "Finetune"}, "gate": gate, "registry": {"url": "s3://models/m"}}
    return document("ContinualModel", name, version, {**spec, "sites": [{"name": each} for each in sites]})


def update(name: str, of: str) -> dict[str, Any]:
    digest = "sha256:" + "a" * 64
    spec = {"model": of, "site": "s", "claim": digest, "source": digest, "request": "{}"}
    return document("ModelUpdate", name, 1, spec)


def approval(**about: str) -> dict[str, Any]:
    decision = "Approve" if "update" in about else "RollBack"
    spec = {"version": "sha256:" + "a" * 64, "decision": decision, "approver": "rossi", "reason": "seen"}
    return document("UpdateApproval", "word", 1, spec | about)


class Scene:
    """A watchdog over a store in memory, with a clock that the test moves."""

    def __init__(self) -> None:
        self.now, self.alive = 0.0, list[str]()
        self.api, self.cache = MemoryApi(), Cache()
        self.api.lists = {path_of(kind, ""): [] for kind in ("ContinualModel", "ModelUpdate", "Site", "UpdateApproval")}
        self.queue = WorkQueue(clock=lambda: self.now)
        self.dog = Watchdog(self.api, self.cache, self.queue, (), 180, self.alive.append, lambda: self.now)

    def hear(self, *documents: dict[str, Any], there: bool = True) -> None:
        for each in documents:
            self.dog.hear(each["kind"], there, each)

    def keys(self) -> set[str]:
        taken = set()
        while (key := self.queue.take(timeout=0)) is not None:
            taken.add(key)
            self.queue.done(key)
        return {f"{key.kind}/{key.name}" for key in taken}


@pytest.fixture
def scene() -> Scene:
    return Scene()


@pytest.mark.parametrize(
    ("changed", "keys"),
    [
        (site("ulm", 2, status={"observedGeneration": 1}), {"Site/ulm", "ContinualModel/chest", "ContinualModel/hand"}),
        (site("bonn", 2), {"Site/bonn"}),
        (model("hand", "ulm", version=2), {"ContinualModel/hand"}),
        (update("chest-0123456789", "chest"), {"ContinualModel/chest"}),
        (approval(update="chest-0123456789"), {"ContinualModel/chest"}),
        (approval(model="hand"), {"ContinualModel/hand"}),
        (approval(update="gone-0123456789"), set()),
    ],
)
def test_a_change_asks_for_all_that_it_touches(scene: Scene, changed: dict[str, Any], keys: set[str]) -> None:
    scene.hear(site("ulm"), model("chest", "ulm"), model("hand", "ulm", "jena"))
    scene.keys()
    scene.hear(changed)
    assert scene.keys() == keys
    scene.hear(changed, there=False)
    assert scene.keys() == keys


def test_a_look_that_found_nothing_new_is_nothing_to_the_models(scene: Scene) -> None:
    scene.hear(model("chest", "ulm"), site("ulm"))
    scene.keys()
    scene.hear(site("ulm", 2, status={"polled": "2026-05-01T12:00:00Z"}))
    assert scene.keys() == {"Site/ulm"}


def test_an_object_of_another_release_is_left_out_and_asked_for(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    document = site("ulm")
    scene.hear({**document, "spec": {**document["spec"], "canary": 1}})
    assert scene.cache.resources() == ()
    assert scene.cache.unread()["Site"] == 1
    assert scene.keys() == {"Site/ulm"}, "whoever reads it tells on it why it cannot be read"
    assert "Site ulm: made for another release of the operator: spec.canary; it is left out" in caplog.text


def test_what_a_newer_release_told_is_passed_over(scene: Scene) -> None:
    scene.hear({**site("ulm"), "status": {"canary": 1}})
    assert len(scene.cache.resources()) == 1


def test_a_name_that_belongs_to_another_object_by_now_stays(scene: Scene) -> None:
    old, new = site("ulm"), site("ulm", 2)
    new["metadata"]["uid"] = "another"
    scene.hear(old, new)
    scene.hear(old, there=False)
    assert scene.cache.get(Site, "wards", "ulm") is not None


def test_the_first_look_brings_everything(scene: Scene) -> None:
    scene.api.lists[SITES] = [site("ulm")]
    assert not scene.dog.synced()
    scene.dog.look()
    assert scene.dog.synced()
    assert scene.keys() == {"Site/ulm"}
    assert isinstance(scene.cache.get(Site, "wards", "ulm"), Site)
    assert scene.cache.get(ContinualModel, "wards", "ulm") is None


def test_a_watch_that_missed_something_is_silent_after_a_while_and_the_work_goes_on(scene: Scene) -> None:
    scene.dog.look()
    scene.now = 100
    scene.api.lists[SITES] = [site("ulm")]
    scene.dog.look()
    assert scene.keys() == {"Site/ulm"}
    assert scene.dog.silent() == ()
    scene.alive.clear()
    scene.now = 290
    scene.dog.look()
    assert scene.dog.silent() == ("Site",)
    assert "Site" not in scene.alive
    assert "ContinualModel" in scene.alive
    scene.now = 291
    scene.hear(site("ulm"))
    scene.dog.look()
    assert scene.dog.silent() == ()


def test_what_went_while_nobody_watched_is_worked_on_and_blames_no_watch(scene: Scene) -> None:
    scene.hear(site("ulm"), model("chest", "ulm"))
    scene.keys()
    scene.now = 1
    scene.dog.look()
    assert scene.keys() == {"Site/ulm", "ContinualModel/chest"}
    scene.now = 1000
    scene.dog.look()
    assert scene.dog.silent() == ()


def test_what_is_told_during_a_listing_is_newer_than_the_listing() -> None:
    cache = Cache()
    cache.put("Site", site("ulm", 5), at=10)
    assert cache.replace("Site", "", [site("ulm", 4)], at=9) == ()
    assert cache.replace("Site", "", [], at=9) == ()
    assert cache.replace("Site", "other", [], at=11) == ()
    assert len(cache.replace("Site", "wards", [], at=11)) == 1


def test_no_answer_blames_no_watch(scene: Scene) -> None:
    scene.api.down = True
    with pytest.raises(UnreachableError):
        scene.dog.look()
    assert scene.dog.silent() == ()
    assert not scene.dog.synced()


@given(st.lists(st.sampled_from(("change", "tell", "miss", "look", "wait")), max_size=40))
def test_work_is_asked_for_every_change_and_a_live_watch_is_never_blamed(steps: list[str]) -> None:
    scene, version, untold = Scene(), 0, False
    for step in steps:
        scene.now += 1
        if step == "change":
            version, untold = version + 1, True
            scene.api.lists[SITES] = [site("ulm", version)]
        elif step == "tell" and untold:
            scene.hear(site("ulm", version))
            untold = False
        elif step == "wait" and not untold:
            scene.now += 200
        elif step == "look":
            scene.dog.look()
            assert scene.dog.silent() == ()
    scene.now += 1
    scene.dog.look()
    assert (Key("Site", "wards", "ulm") == scene.queue.take(timeout=0)) == (version > 0)


def test_missing_definitions_are_told_with_what_to_do() -> None:
    with pytest.raises(
        InputError, match=r"does not serve continualmodels, .*sites/status, .* of anamnesis.dev/v1alpha1"
    ):
        check_installed(MemoryApi())
