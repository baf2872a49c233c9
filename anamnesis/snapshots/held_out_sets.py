"""The patients of a site whom an update holds out of training, to fit its operating point on them."""

from dataclasses import dataclass, replace

from anamnesis.records import HeldOutSet, Split, TaskType
from anamnesis.snapshots.calibration_sets import MINIMUM_PATIENTS, read_calibration_set
from anamnesis.snapshots.guard import Guard, OpenedSamples, open_calibration_set, open_split
from anamnesis.snapshots.manifest import SampleRecord, SnapshotManifest, read_snapshot_manifest
from anamnesis.snapshots.testsets import find_test_set
from anamnesis.storage.store import Store


@dataclass(frozen=True, slots=True)
class HeldOutPatients:
    """The held-out patients of an update.

    Attributes:
        source: calibration set or validation patients.
        digest: of the calibration set, or of the snapshot whose validation patients they are.
        records: their samples, without pixels, sorted by id.
    """

    source: HeldOutSet
    digest: str
    records: tuple[SampleRecord, ...]

    @property
    def split(self) -> Split:
        """The split of their samples."""
        return Split.CALIBRATION if self.source is HeldOutSet.CALIBRATION else Split.VALIDATION

    def open_samples(self, store: Store, guard: Guard) -> OpenedSamples:
        """Opens their samples, in the order of ``records``.

        Args:
            store: the site's own store.
            guard: has to allow ``split`` of ``digest``.
        """
        if self.source is HeldOutSet.CALIBRATION:
            return open_calibration_set(store, self.digest, guard)
        return open_split(store, self.digest, Split.VALIDATION, guard)


def find_held_out_patients(store: Store, snapshot: str) -> HeldOutPatients | None:
    """Returns whom an update of a snapshot holds out: the calibration set that is frozen beside its test set.

    A site without a calibration set holds out its validation patients, where they are enough; else nobody. Only
    classifications have operating points.

    Args:
        store: the site's own store.
        snapshot: digest of the snapshot.
    """
    manifest = read_snapshot_manifest(store, snapshot)
    if manifest.task.type is not TaskType.CLASSIFICATION:
        return None
    if digest := find_test_set(store, manifest.test_set).calibration:
        return HeldOutPatients(HeldOutSet.CALIBRATION, digest, read_calibration_set(store, digest).samples)
    if _holds_out_validation(store, manifest):
        return HeldOutPatients(HeldOutSet.VALIDATION, snapshot, tuple(manifest.samples_of(Split.VALIDATION)))
    return None


def read_learnable_manifest(store: Store, snapshot: str) -> SnapshotManifest:
    """Returns the manifest of a snapshot without the validation patients whom an update holds out.

    Training sets are chosen from it: a patient who is held out is in no published sum, and so hides nobody in it.
    """
    manifest = read_snapshot_manifest(store, snapshot)
    if not _holds_out_validation(store, manifest):
        return manifest
    learnable_samples = tuple(sample for sample in manifest.samples if sample.split is not Split.VALIDATION)
    return replace(manifest, samples=learnable_samples)


def _holds_out_validation(store: Store, manifest: SnapshotManifest) -> bool:
    validation_patients = {sample.patient for sample in manifest.samples_of(Split.VALIDATION)}
    return (
        manifest.task.type is TaskType.CLASSIFICATION
        and len(validation_patients) >= MINIMUM_PATIENTS
        and not find_test_set(store, manifest.test_set).calibration
    )
