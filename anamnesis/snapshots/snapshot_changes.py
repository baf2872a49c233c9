"""What changed between the snapshot in force and the next one, in numbers and words."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from anamnesis.records import (
    CARRIED_FORWARD,
    CORRECTED_LABELS,
    CORRECTED_TEST_LABELS,
    TRAINING_SPLITS,
    WITHDRAWN,
    WITHDRAWN_TEST_CASES,
)
from anamnesis.snapshots.carried_forward import Unlisted, carry_forward
from anamnesis.snapshots.corrected_labels import count_corrected_labels, find_corrected_samples
from anamnesis.snapshots.ingest_run import IngestRun
from anamnesis.snapshots.listings import Listing
from anamnesis.snapshots.manifest import SampleRecord
from anamnesis.snapshots.shrinkage import describe_shrinkage
from anamnesis.snapshots.source_reading import ReadSource
from anamnesis.snapshots.testsets import TestSet, find_frozen_splits, list_test_sets


@dataclass(frozen=True, slots=True)
class SnapshotChanges:
    """The changes of an ingest.

    Attributes:
        unlisted: what becomes of the samples that the source no longer lists.
        counts: see ``IngestResult.counts``.
        patients: see ``IngestResult.changed_patients``.
        notices: sentences for people at the site.
        hold: see ``IngestResult.hold``.
        listing_number: number of the listing in force after the ingest.
        left: see ``Listing``.
    """

    unlisted: Unlisted
    counts: Mapping[str, int]
    patients: Mapping[str, int]
    notices: tuple[str, ...]
    hold: str
    listing_number: int
    left: tuple[str, ...]

    def listing(self, snapshot: str, fingerprint: str) -> Listing:
        """Returns the listing that puts a snapshot in force."""
        return Listing(
            self.listing_number,
            fingerprint,
            snapshot,
            unlisted=tuple(sample.id for sample in self.unlisted.carried),
            left=self.left,
        )


def find_changes(run: IngestRun, read: ReadSource, test_set: TestSet) -> SnapshotChanges:
    """Compares what was read of a source with the snapshot in force.

    Args:
        run: the ingest.
        read: what was read.
        test_set: the test set in force.
    """
    unlisted = _find_unlisted(run, read)
    records = [assembled.record for assembled in read.samples]
    corrected_tests = count_corrected_labels(test_set, records)
    patients = {
        CARRIED_FORWARD: [sample.patient for sample in unlisted.carried if sample.split in TRAINING_SPLITS],
        WITHDRAWN: [*read.withdrawn_patients, *(sample.patient for sample in unlisted.withdrawn)],
        CORRECTED_LABELS: _corrected_patients(run, [*records, *unlisted.carried]),
        WITHDRAWN_TEST_CASES: [sample.patient for sample in test_set.samples if read.listed.withdraws(sample)],
    }
    counts = {name: len(samples) for name, samples in patients.items() if samples}
    hold = _describe_hold(run, read, unlisted)
    number = run.earlier.listing.number if run.earlier else 0
    return SnapshotChanges(
        unlisted=unlisted,
        counts=counts | ({CORRECTED_TEST_LABELS: corrected_tests} if corrected_tests else {}),
        patients={name: len(set(samples)) for name, samples in patients.items() if samples},
        notices=tuple(_describe(run, unlisted, counts, hold)),
        hold=hold,
        listing_number=number if hold else number + 1,
        left=_find_left(run, [*records, *unlisted.carried]),
    )


def _find_unlisted(run: IngestRun, read: ReadSource) -> Unlisted:
    if run.earlier is None:
        return Unlisted()
    from anamnesis.snapshots.shards import locate_contents  # imports numpy, which listing a source does not need

    maximum = run.config.maximum_studies
    return carry_forward(
        run.earlier_samples,
        read.listed,
        config=run.config,
        held_out_patients=find_frozen_splits(run.store, list_test_sets(run.store)),
        known_pseudonyms=run.known_pseudonyms,
        stored_contents=locate_contents(run.store),
        room=max(0, maximum - len(read.samples)) if maximum else None,
    )


def _corrected_patients(run: IngestRun, samples: Sequence[SampleRecord]) -> list[str]:
    earlier = [sample for sample in run.earlier_samples if sample.split in TRAINING_SPLITS]
    return [sample.patient for sample in find_corrected_samples(earlier, samples)]


def _describe_hold(run: IngestRun, read: ReadSource, unlisted: Unlisted) -> str:
    if run.earlier is None:
        return ""
    withdrawn = {sample.id for sample in run.earlier_samples if read.listed.withdraws(sample)}
    return describe_shrinkage(
        run.config,
        run.earlier,
        gone=unlisted.gone,
        withdrawn=withdrawn | {sample.id for sample in unlisted.withdrawn},
        present_samples=[assembled.record for assembled in read.samples],
    )


def _find_left(run: IngestRun, samples: Sequence[SampleRecord]) -> tuple[str, ...]:
    present = {name for sample in samples for name in (sample.patient, sample.study)}
    return tuple(sorted(run.known_pseudonyms - present))


def _describe(run: IngestRun, unlisted: Unlisted, counts: Mapping[str, int], hold: str) -> Iterator[str]:
    if hold:
        yield f"an update is held: {hold}"
    if count := counts.get(CARRIED_FORWARD):
        yield f"{count} training samples are not listed by the source any more; they stay in the site's data"
    if unlisted.without_image:
        yield (
            f"{len(unlisted.without_image)} samples that the source no longer lists are left out, because "
            f"{run.store.url}/shards has lost their images; restore them from a backup"
        )
    if counts.get(WITHDRAWN):
        yield (
            "withdrawn samples are in no snapshot any more; a version keeps what it learned of them until the next "
            "update: the sums are then computed without them, and weights do not unlearn"
        )
    if count := counts.get(WITHDRAWN_TEST_CASES):
        yield (
            f"{count} withdrawn cases are in the frozen test set, whose scores keep them until the next one: run "
            f"'anamnesis testset issue --site {run.config.name} --reason TEXT'"
        )
