"""What a person must know about the splits of a snapshot before an update starts. Class names and counts only."""

from collections import defaultdict
from collections.abc import Iterator

from anamnesis.records import MINIMUM_CELL_PATIENTS, MINIMUM_TEST_PATIENTS, TRAINING_SPLITS, TaskType
from anamnesis.snapshots.manifest import SnapshotManifest
from anamnesis.snapshots.testsets import TestSet


def describe_splits(manifest: SnapshotManifest, test_set: TestSet) -> Iterator[str]:
    """Yields a sentence for an empty training side, and one for classes with few test patients."""
    if next(manifest.samples_of(*TRAINING_SPLITS), None) is None:
        yield "no labelled patient is on the training side, so no update can learn here; lower testFraction"
    if test_set.task.type is not TaskType.CLASSIFICATION:
        return
    patients: dict[int | None, set[str]] = defaultdict(set)
    for sample in test_set.samples:
        patients[sample.target.index if sample.target else None].add(sample.patient)
    counts = {name: len(patients[index]) for index, name in enumerate(test_set.task.classes)}
    small_classes = [
        f"{name!r} {count if count >= MINIMUM_CELL_PATIENTS else f'less than {MINIMUM_CELL_PATIENTS}'}"
        for name, count in counts.items()
        if count < MINIMUM_TEST_PATIENTS
    ]
    if small_classes:
        yield (
            f"test patients of the classes: {', '.join(small_classes)}; below gate.minimumTestPatients "
            f"({MINIMUM_TEST_PATIENTS} if it is not set) the gate stays undecided"
        )
