"""The champion judged again: frozen test sets anew, recent cases before any training uses them."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from anamnesis import steps
from anamnesis.records import LabelSource, Monitoring, Split, Target, Task, TaskType, Window, decode, encode_object
from anamnesis.registry import Log, read_monitoring
from anamnesis.snapshots import ImageRecord, SampleRecord, SnapshotManifest
from anamnesis.snapshots.manifest import write_manifest
from anamnesis.storage import open_store
from anamnesis.updates import EvaluationRequest
from anamnesis.updates.scheduled_evaluation import arrived

if TYPE_CHECKING:
    from conftest import World


def request_of(world: "World", name: str = "evaluation-1", minimum: int = 4) -> EvaluationRequest:
    sites = tuple((world.config(known.name), known) for known in world.known)
    return EvaluationRequest(
        name, "model", world.registry, world.base, sites, world.key, "2026-01-01T00:00:00Z", minimum
    )


def evaluate(request: EvaluationRequest) -> Monitoring:
    found = decode(Monitoring, steps.evaluate_scheduled(encode_object(request), 1)["monitoring"])
    assert read_monitoring(open_store(request.registry), request.name) == found
    return found


def windows(found: Monitoring) -> dict[tuple[str, Window], int]:
    return {(one.site, one.window): one.score.n for one in found.measurements}


@pytest.fixture
def learned(world: "World") -> "World":
    """A model that has learned two sites."""
    for site in ("north", "east"):
        world.update(site)
    return world


def test_the_frozen_sets_are_judged_anew(learned: "World") -> None:
    head = Log(open_store(learned.registry)).head()
    found = evaluate(request_of(learned))
    assert windows(found) == {("north", Window.FROZEN): 8, ("east", Window.FROZEN): 9}
    assert (found.version, found.problems) == (learned.base, ())
    for one, site in zip(found.measurements, learned.known, strict=True):
        assert (one.test_set, one.task, one.metric) == (site.test_set, site.task.name, "Accuracy")
        assert one.recorded == one.score.value  # the same machine and bits
        assert one.score.low is not None
    assert Log(open_store(learned.registry)).head() == head

    store = open_store(learned.registry)
    for info in [info for info in store.list("versions/") if "/evaluations/" in info.key]:
        store.delete(info.key)
    again = evaluate(request_of(learned, "evaluation-2"))
    assert [one.score for one in again.measurements] == [one.score for one in found.measurements]
    assert {one.recorded for one in again.measurements} == {None}


def test_cases_that_arrived_since_are_judged_until_they_are_learned(learned: "World") -> None:
    learned.write("north", patients=36)
    found = evaluate(request_of(learned, minimum=12))
    assert windows(found)["north", Window.RECENT] == 12  # eight of the training side, four of the reserve
    (recent,) = (one for one in found.measurements if one.window is Window.RECENT)
    assert (recent.recorded, recent.score.low is not None) == (None, True)
    assert ("north", Window.RECENT) not in windows(evaluate(request_of(learned, "evaluation-2", minimum=13)))
    learned.update("north")
    assert ("north", Window.RECENT) not in windows(evaluate(request_of(learned, "evaluation-3", minimum=1)))


def test_a_metric_that_needs_two_classes_waits_for_them(learned: "World") -> None:
    learned.write("north", patients=36)
    request = request_of(learned)
    (config, site), *others = request.sites
    task = replace(site.task, primary_metric="AUROC")
    config = replace(config, task=task, labels=LabelSource(ignore=("right",)))
    found = evaluate(replace(request, sites=((config, replace(site, task=task)), *others)))
    assert found.problems == ()
    assert windows(found) == {("north", Window.FROZEN): 8, ("east", Window.FROZEN): 9}


def test_a_site_that_cannot_be_read_holds_up_nobody(learned: "World") -> None:
    shutil.rmtree(learned.root / "sources" / "north")
    found = evaluate(request_of(learned))
    assert set(windows(found)) == {("north", Window.FROZEN), ("east", Window.FROZEN)}
    ((site, words),) = found.problems
    assert (site, "there is no such folder" in words) == ("north", True)

    shutil.rmtree(learned.root / "stores" / "north")
    found = evaluate(request_of(learned, "evaluation-2"))
    assert set(windows(found)) == {("east", Window.FROZEN)}
    assert {site for site, _ in found.problems} == {"north"}


def test_a_name_is_evaluated_once(learned: "World") -> None:
    first = evaluate(request_of(learned))
    shutil.rmtree(learned.root / "stores")
    learned.base = ""
    assert evaluate(request_of(learned)) == first


def sample(name: str, split: Split, patient: str = "", content: str = "") -> SampleRecord:
    image = ImageRecord(content or f"pixels of {name}", "uint8", (1, 1), (1.0, 1.0), "YX")
    mask = ImageRecord("the same empty mask", "uint8", (1, 1), (1.0, 1.0), "YX")
    target = None if split is Split.PENDING else Target(mask="mask")
    return SampleRecord(name, patient or f"patient of {name}", "s", split, {"OT": image, "mask": mask}, target)


@pytest.fixture
def snapshot(tmp_path: Path) -> Callable[..., str]:
    task = Task("t", TaskType.SEGMENTATION, ("background", "lesion"), "Dice")
    store = open_store(str(tmp_path))
    return lambda *samples: write_manifest(store, SnapshotManifest("north", task, ("OT",), "k", "t", samples))


def test_what_counts_as_arrived(snapshot: Callable[..., str], tmp_path: Path) -> None:
    before = [
        snapshot(sample("first", Split.TRAIN)),
        snapshot(
            sample("trained", Split.TRAIN, "known"),
            sample("waiting", Split.RESERVE),
            sample("tested", Split.TEST),
            sample("unlabelled", Split.PENDING),
            sample("odd one", Split.PENDING, "known"),
        ),
    ]
    now = snapshot(
        sample("first", Split.TRAIN),
        sample("trained", Split.TRAIN, "known"),
        sample("waiting", Split.RESERVE),
        sample("tested", Split.TEST),
        sample("unlabelled", Split.TRAIN),  # its label came
        sample("odd one", Split.TRAIN, "known"),  # so did this, but its patient was learned
        sample("new", Split.TRAIN),
        sample("new, of a test patient", Split.RESERVE, "patient of tested"),
        sample("under another number", Split.TRAIN, content="pixels of waiting"),
        sample("still unlabelled", Split.PENDING),
    )
    store = open_store(str(tmp_path))
    assert arrived(store, now, tuple(before)) == {"unlabelled", "new", "new, of a test patient"}
    assert arrived(store, now, (*before, now)) == frozenset()
    assert len(arrived(store, now, ())) == 8
