"""Issues the next test set of a site: from its present data, for patients that no training has used."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from anamnesis.records import TRAINING_SPLITS, ConflictError, InputError, Progress, SiteConfig, Split, ignore_progress
from anamnesis.snapshots.ingestion import read_present_samples
from anamnesis.snapshots.keys import key_fingerprint
from anamnesis.snapshots.manifest import SampleRecord, read_snapshot_manifest
from anamnesis.snapshots.store_binding import check_store_binding
from anamnesis.snapshots.testsets import (
    TestSet,
    check_complete,
    check_task,
    freeze_calibration_set,
    list_calibration_sets,
    list_frozen_samples,
    list_test_sets,
    write_test_set,
)
from anamnesis.storage.store import Store


def issue_test_set(
    config: SiteConfig, store: Store, key: bytes, workers: int = 2, progress: Progress = ignore_progress
) -> TestSet:
    """Issues the next test set of a site from its present data: corrected labels, identifiers and series count.

    It has the patients of the earlier sets and of the reserve, without those whose patient, image or a changed copy of
    an image a training split of any snapshot has. A calibration set is frozen beside it; where that would be too small,
    the earlier one stays. It becomes the current set with the next ingest. The earlier sets stay, and none of their
    patients ever trains.

    Args:
        config: settings of the site.
        store: the site's own store.
        key: the site's split key.
        workers: number of processes that read files, when there are many.
        progress: receives the progress.

    Returns:
        The new set; the current one where the present data gives the same set, as after a repeated command.

    Raises:
        InputError: the site has no test set yet, the source is unusable, or the new set would lack a class.
        RefusedError: the store belongs to another site, key or task.
        ConflictError: another process issued a set with the same number.
    """
    check_store_binding(store, config.name, key_fingerprint(key))
    issued_test_sets = list_test_sets(store)
    if not issued_test_sets:
        raise InputError(f"site {config.name!r}: no test set was frozen yet; run 'anamnesis ingest' first")
    check_task(issued_test_sets, config.task)
    current_set = issued_test_sets[-1]
    samples = read_present_samples(config, store, key, workers, progress)
    trained_samples = tuple(_trained_samples(store))
    test_samples, calibration_samples = (
        _without_copies(store, config.modalities[0], selected, trained_samples, issued_test_sets)
        for selected in _select_samples(store, samples, trained_samples, issued_test_sets)
    )
    next_set = replace(
        current_set, number=current_set.number + 1, key_fingerprint=key_fingerprint(key), samples=test_samples
    )
    check_complete(next_set)
    calibration = freeze_calibration_set(store, next_set, calibration_samples) or current_set.calibration
    next_set = replace(next_set, calibration=calibration)
    if replace(next_set, number=current_set.number, key_fingerprint=current_set.key_fingerprint) == current_set:
        return current_set
    if not write_test_set(store, next_set):
        raise ConflictError(
            f"{store.url}: another process issued test set {next_set.number} first; "
            "read that test set before you issue another one"
        )
    return next_set


@dataclass(frozen=True, slots=True)
class _SampleIdentities:
    """Patients and images of some samples: a patient is recognised by the pseudonym or by any image."""

    patients: frozenset[str]
    images: frozenset[str]

    @classmethod
    def of_samples(cls, samples: Iterable[SampleRecord]) -> "_SampleIdentities":
        records = list(samples)
        images = frozenset(content for record in records for content in image_contents(record))
        return cls(frozenset(record.patient for record in records), images)

    def patients_among(self, samples: Iterable[SampleRecord]) -> set[str]:
        return {
            sample.patient
            for sample in samples
            if sample.patient in self.patients or not self.images.isdisjoint(image_contents(sample))
        }


def image_contents(sample: SampleRecord) -> frozenset[str]:
    """Returns the digests of a sample's images, without its mask."""
    mask = sample.target.mask if sample.target else None
    return frozenset(image.content for name, image in sample.images.items() if name != mask)


def _select_samples(
    store: Store,
    samples: Sequence[SampleRecord],
    trained_samples: Sequence[SampleRecord],
    issued_test_sets: Sequence[TestSet],
) -> tuple[tuple[SampleRecord, ...], tuple[SampleRecord, ...]]:
    """Returns the samples of the next test set and of its calibration set."""
    trained = _SampleIdentities.of_samples(trained_samples).patients_among(samples)
    tested, calibrating = (
        _SampleIdentities.of_samples(
            sample for frozen_set in frozen_sets for sample in frozen_set.samples
        ).patients_among(samples)
        for frozen_sets in (issued_test_sets, list_calibration_sets(store, issued_test_sets))
    )
    tested |= {sample.patient for sample in samples if sample.split is Split.TEST} - calibrating
    calibrating |= {sample.patient for sample in samples if sample.split is Split.CALIBRATION}
    labelled = [sample for sample in samples if sample.split is not Split.PENDING and sample.patient not in trained]
    return (
        tuple(replace(sample, split=Split.TEST) for sample in labelled if sample.patient in tested),
        tuple(
            replace(sample, split=Split.CALIBRATION)
            for sample in labelled
            if sample.patient in calibrating and sample.patient not in tested
        ),
    )


def _without_copies(
    store: Store,
    modality: str,
    samples: Sequence[SampleRecord],
    trained_samples: Sequence[SampleRecord],
    issued_test_sets: Sequence[TestSet],
) -> tuple[SampleRecord, ...]:
    """Returns the samples without new patients with a changed copy of a trained image, for example a mirrored one."""
    from anamnesis.snapshots.returned_patients import find_copies  # imports numpy, which listing does not need

    frozen_contents = {
        content for sample in list_frozen_samples(store, issued_test_sets) for content in image_contents(sample)
    }
    new_images = {
        sample.images[modality]: sample.patient
        for sample in samples
        if frozen_contents.isdisjoint(image_contents(sample))
    }
    trained_images = [(sample.images[modality], sample.patient) for sample in trained_samples]
    if not new_images or not trained_images:
        return tuple(samples)
    copies = find_copies(store, list(new_images), trained_images)
    patients = {patient for image, patient in new_images.items() if image.content in copies}
    return tuple(sample for sample in samples if sample.patient not in patients)


def _trained_samples(store: Store) -> Iterable[SampleRecord]:
    for info in store.list("snapshots/"):
        digest = f"sha256:{info.key.removeprefix('snapshots/').removesuffix('.json')}"
        yield from read_snapshot_manifest(store, digest).samples_of(*TRAINING_SPLITS)
