"""No difference between two training sets of a site is fewer patients than the minimum."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anamnesis.records import RefusedError, Split, Target, Task, TaskType
from anamnesis.snapshots import training_selection
from anamnesis.snapshots.manifest import ImageRecord, SampleRecord, SnapshotManifest, write_snapshot_manifest
from anamnesis.snapshots.training_selection import (
    choose_training_set,
    count_differing,
    count_joined_or_left,
    find_sample_ids,
    select_training_set,
)
from anamnesis.snapshots.training_sets import TrainingSet, list_training_sets
from anamnesis.storage import open_store

MINIMUM = 4
TASK = Task("find", TaskType.CLASSIFICATION, ("normal", "lesion"))
Labels = Mapping[int, tuple[int, int]]
"""Patient -> class and number of images."""


def sample(patient: str, content: str, label: int) -> SampleRecord:
    images = {"DX": ImageRecord(content, "uint8", (1, 1), (1.0, 1.0), "YX")}
    return SampleRecord(f"{patient}/{content}", patient, "", Split.TRAIN, images, Target(index=label))


def snapshot_of(labels: Labels, key: str = "p") -> SnapshotManifest:
    """A snapshot whose pseudonyms come from a key; the images do not."""
    samples = tuple(
        sample(f"{key}{patient}", f"{patient}-{image}", label)
        for patient, (label, images) in sorted(labels.items())
        for image in range(images)
    )
    return SnapshotManifest("clinic", TASK, ("DX",), "key", "test", samples)


def count_samples(manifest: SnapshotManifest, training_set: TrainingSet) -> int:
    return len(find_sample_ids(manifest, training_set))


def both(count: int, start: int = 0) -> dict[int, tuple[int, int]]:
    """The same number of patients of each class, with one image each."""
    return {patient: (patient % 2, 1) for patient in range(2 * start, 2 * (start + count))}


def histories() -> st.SearchStrategy[list[Labels]]:
    """Data of a site that grows, loses patients, and has labels and images corrected, in any order."""
    changes = st.lists(
        st.dictionaries(
            st.integers(0, 40), st.none() | st.tuples(st.integers(0, 1), st.integers(1, 2)), min_size=1, max_size=14
        ),
        min_size=1,
        max_size=8,
    )
    return changes.map(lambda steps: list(_apply(both(6), steps)))


def _apply(labels: Labels, steps: Sequence[Mapping[int, tuple[int, int] | None]]) -> Iterator[Labels]:
    yield labels
    for step in steps:
        merged = {**labels, **step}
        labels = {patient: change for patient, change in merged.items() if change is not None}
        yield labels


@given(histories())
def test_any_two_published_sets_differ_by_enough_patients_or_none(history: list[Labels]) -> None:
    published: list[TrainingSet] = []
    for labels in history:
        manifest = snapshot_of(labels)
        selection = select_training_set(manifest, published, MINIMUM)
        image_count = sum(len(contents) for contents in selection.training_set.all_members.values())
        assert count_samples(manifest, selection.training_set) == image_count
        published.append(selection.training_set)
    nothing = TrainingSet("clinic", {})
    for first, second in combinations([nothing, *published], 2):
        views = [(first.all_members, second.all_members)]
        views += [(first.classes.get(name, {}), second.classes.get(name, {})) for name in TASK.classes]
        for members, earlier in views:
            difference = count_differing(members, earlier)
            assert not earlier or not members or not difference or difference >= MINIMUM
            if difference and earlier and members:
                assert count_joined_or_left(members, earlier) not in range(1, MINIMUM)
            assert len(members) >= MINIMUM or not members


def test_growth_waits_and_is_counted_until_there_are_enough() -> None:
    published = [select_training_set(snapshot_of(both(10)), [], MINIMUM).training_set]
    assert count_samples(snapshot_of(both(10)), published[0]) == 20
    for extra in (1, 2, 3):
        selection = select_training_set(snapshot_of(both(10 + extra)), published, MINIMUM)
        assert selection.training_set == published[0]
        assert selection.held_back_by_class == {"lesion": extra, "normal": extra}
    selection = select_training_set(snapshot_of(both(14)), published, MINIMUM)
    assert not selection.held_back_by_class
    assert count_samples(snapshot_of(both(14)), selection.training_set) == 28


def test_a_patient_who_left_is_not_learned_again_and_hides_among_others() -> None:
    published = [select_training_set(snapshot_of(both(10)), [], MINIMUM).training_set]
    without_patient = {patient: label for patient, label in both(10).items() if patient != 0}
    selection = select_training_set(snapshot_of(without_patient), published, MINIMUM)
    normal = selection.training_set.classes["normal"]
    assert "p0" not in normal
    assert count_differing(normal, published[0].classes["normal"]) == MINIMUM
    assert selection.held_back_by_class == {"normal": MINIMUM - 1}
    assert selection.training_set.classes["lesion"] == published[0].classes["lesion"]


def test_a_new_split_key_or_new_identifiers_hide_no_difference() -> None:
    published = [select_training_set(snapshot_of(both(10)), [], MINIMUM).training_set]
    same = select_training_set(snapshot_of(both(10), key="q"), published, MINIMUM)
    assert (same.held_back_by_class, sorted(same.training_set.all_members)[0]) == ({}, "q0")
    without_patient = {patient: label for patient, label in both(10).items() if patient != 0}
    selection = select_training_set(snapshot_of(without_patient, key="q"), [*published, same.training_set], MINIMUM)
    for earlier in published:
        assert count_differing(selection.training_set.classes["normal"], earlier.classes["normal"]) == MINIMUM
    more = select_training_set(snapshot_of(both(11), key="q"), published, MINIMUM)
    assert more.held_back_by_class == {"lesion": 1, "normal": 1}


def export_again(manifest: SnapshotManifest) -> SnapshotManifest:
    """The same patients; each image has other bytes, as after another compression."""
    samples = (
        replace(item, images={name: replace(image, content=f"{image.content}-again") for name, image in images.items()})
        for item in manifest.samples
        for images in (item.images,)
    )
    return replace(manifest, samples=tuple(samples))


@pytest.mark.parametrize("change", [{0: None}, {100: (0, 1)}, {0: None, 100: (0, 1)}], ids=["left", "came", "both"])
def test_an_export_of_all_images_hides_nobody_who_came_or_left(change: Mapping[int, tuple[int, int] | None]) -> None:
    published = [select_training_set(snapshot_of(both(10)), [], MINIMUM).training_set]
    same = select_training_set(export_again(snapshot_of(both(10))), published, MINIMUM)
    assert not same.held_back.patients
    (labels,) = list(_apply(both(10), [change]))[1:]
    selection = select_training_set(export_again(snapshot_of(labels)), published, MINIMUM)
    learned, earlier = (item.classes["normal"] for item in (selection.training_set, published[0]))
    assert len(set(learned) ^ set(earlier)) >= MINIMUM
    assert len(learned) >= 10 - MINIMUM


def test_new_images_of_known_patients_wait_too() -> None:
    published = [select_training_set(snapshot_of(both(10)), [], MINIMUM).training_set]
    manifest = snapshot_of({**both(10), 0: (0, 2), 1: (1, 2)})
    selection = select_training_set(manifest, published, MINIMUM)
    assert selection.training_set == published[0]
    assert selection.held_back_by_class == {"lesion": 1, "normal": 1}


def test_a_corrected_label_is_a_difference_in_both_classes() -> None:
    published = [select_training_set(snapshot_of(both(10)), [], MINIMUM).training_set]
    selection = select_training_set(snapshot_of({**both(10), 0: (1, 1)}), published, MINIMUM)
    assert "p0" not in selection.training_set.all_members  # too few to be added to one class, and gone from the other
    assert selection.held_back_by_class == {"lesion": 1, "normal": MINIMUM - 1}


def test_labels_that_are_corrected_all_over_do_not_wait_for_those_held_back() -> None:
    first = select_training_set(snapshot_of(both(8)), [], MINIMUM).training_set
    grown = both(8) | {16: (0, 1), 17: (1, 1)}
    waiting = select_training_set(snapshot_of(grown), [first], MINIMUM)
    assert waiting.held_back.patients == 2
    corrected = snapshot_of({patient: (1 - label, images) for patient, (label, images) in grown.items()})
    selection = select_training_set(corrected, [first], MINIMUM)
    assert count_samples(corrected, selection.training_set) == 16, "all who were learned, with their new labels"
    assert selection.held_back.patients == 2


def test_a_class_with_too_few_patients_waits_and_the_others_are_learned(tmp_path: Path) -> None:
    task = Task("find", TaskType.CLASSIFICATION, ("a", "b", "c"))
    samples = tuple(
        sample(f"p{label}-{patient}", f"{label}-{patient}", label)
        for label, count in enumerate((6, 5, 2))
        for patient in range(count)
    )
    store = open_store(tmp_path.as_uri())
    snapshot = write_snapshot_manifest(store, SnapshotManifest("clinic", task, ("DX",), "key", "test", samples))
    selection = choose_training_set(store, snapshot, MINIMUM)
    assert sorted(selection.training_set.classes) == ["a", "b"]
    assert selection.held_back_text.startswith("held back: 2 patients of 1 classes, until ")
    assert list_training_sets(store) == (selection.training_set,)
    assert choose_training_set(store, snapshot, MINIMUM) == selection
    assert len(list_training_sets(store)) == 1
    with pytest.raises(RefusedError, match=r"site 'clinic': too few patients.*held back: 7 patients of 2 classes"):
        choose_training_set(open_store((tmp_path / "other").as_uri()), _copy(tmp_path, snapshot), 6)


def test_an_empty_training_side_is_told(tmp_path: Path) -> None:
    store = open_store(tmp_path.as_uri())
    with pytest.raises(RefusedError, match=r"too few patients to learn; nobody with a label is .*: lower testFraction"):
        choose_training_set(store, write_snapshot_manifest(store, snapshot_of({})), MINIMUM)


def test_another_process_that_was_first_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(tmp_path.as_uri())
    small, large = (write_snapshot_manifest(store, snapshot_of(both(count))) for count in (10, 11))
    write, other_snapshots = training_selection.write_training_set, [small]

    def write_after_another_process(*arguments: Any) -> bool:
        if other_snapshots:
            choose_training_set(store, other_snapshots.pop(), MINIMUM)
        return write(*arguments)

    monkeypatch.setattr(training_selection, "write_training_set", write_after_another_process)
    selection = choose_training_set(store, large, MINIMUM)
    assert selection.held_back_by_class == {"lesion": 1, "normal": 1}
    assert list_training_sets(store) == (selection.training_set,)


def _copy(folder: Path, snapshot: str) -> str:
    target = folder / "other" / "snapshots"
    target.mkdir(parents=True)
    for path in (folder / "snapshots").iterdir():
        (target / path.name).write_bytes(path.read_bytes())
    return snapshot
